"""Keys of documents that a statement asks for are kept where they are names, so that an index can be advised."""

from __future__ import annotations

import pytest

from watchglass.analysis.documents import keys_of, with_keys
from watchglass.analysis.shapes import as_statement
from watchglass.redaction import sql_shape


@pytest.mark.parametrize(
    ("text", "arguments", "keys"),
    [
        ("SELECT * FROM t WHERE doc ->> 'sku' = $1", ["77"], ["sku"]),
        ("SELECT * FROM t WHERE (doc ->> $1::text) = $2::varchar", ["sku", "swordfish"], ["sku"]),
        ("SELECT * FROM t WHERE (doc -> 'line_1') ->> $1 = $2", ["Name", "x"], ["Name", "line_1"]),
        ("SELECT doc ->> 'sku' FROM t WHERE doc ->> $1 = $2", None, ["sku", ""]),
        ("SELECT * FROM t WHERE doc ->> 'jane@example.com' = '1'", None, []),
        ("SELECT * FROM t WHERE doc ->> '4711' = '1' AND doc ->> 'c81e728d9d4c2f63' = '1'", None, []),
        ("SELECT * FROM t WHERE doc ->> 0 = '1' AND doc ->> $1 = '1'", [7], []),
        ("SELECT * FROM t WHERE name = 'doc ->> x'", None, []),
        ("SELECT * FROM t WHERE jsonb_extract_path_text(doc, 'sku') = $1", None, []),
        ("DELETE FROM t WHERE doc ->> 'sku' = $1", None, []),
    ],
)
def test_a_key_is_told_where_it_is_a_name(text: str, arguments: list[object] | None, keys: list[str]) -> None:
    assert keys_of(text, arguments) == keys


def test_the_keys_stand_where_the_shape_has_none() -> None:
    text = "SELECT * FROM t WHERE (doc -> 'a') ->> 'sku' = 'swordfish' AND doc ->> 'jane@example.com' = $1"
    shape = as_statement(sql_shape(text))
    assert shape is not None and "sku" not in shape
    known = with_keys(shape, keys_of(text, None))
    assert known == "SELECT * FROM t WHERE (doc -> 'a') ->> 'sku' = $4 AND doc ->> $5 = $1"
    assert with_keys(shape, ["sku"]) == shape
