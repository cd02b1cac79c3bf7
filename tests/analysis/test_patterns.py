"""Of a pattern is told where its wildcards are, and nothing of what it looks for."""

from __future__ import annotations

import pytest

from watchglass.analysis.patterns import patterns_of, with_patterns
from watchglass.analysis.shapes import as_statement
from watchglass.redaction import sql_shape


@pytest.mark.parametrize(
    ("text", "arguments", "patterns"),
    [
        ("SELECT * FROM t WHERE a LIKE $1", ["%swordfish%"], ["%xxxx%"]),
        ("SELECT * FROM t WHERE a ILIKE 'swordfish%' AND b = 7", None, ["xxxx%"]),
        ("SELECT * FROM t WHERE a LIKE '%' || $2 || '%' AND b = $1", [7, "word"], ["%xxxx%"]),
        ("SELECT * FROM t WHERE a LIKE $1::text OR b LIKE $2", ["ab%", "%c_d%"], ["xx%", "%x_x%"]),
        (r"SELECT * FROM t WHERE a NOT LIKE '50\%%'", None, ["xx%"]),
        ("SELECT * FROM t WHERE a LIKE '%a-b-c-d%'", None, ["%xx%"]),
        ("SELECT * FROM t WHERE a ILIKE ANY ($1::text[])", [["%swordfish%", "ab%", None]], ["{%xxxx%,xx%}"]),
        ("SELECT * FROM t WHERE a LIKE ANY (ARRAY['%swordfish', $1])", ["%b%"], ["{%xxxx,%x%}"]),
        ("SELECT * FROM t WHERE a LIKE ANY ('{%swordfish%, b%}'::text[])", None, ["{%xxxx%,x%}"]),
        ("SELECT * FROM t WHERE a LIKE ANY ($1)", [[]], ["{}"]),
        ("SELECT * FROM t WHERE a LIKE ANY ($1)", [[7]], [""]),
        ("SELECT * FROM t WHERE a LIKE ANY ($1)", None, [""]),
        ("SELECT * FROM t WHERE a LIKE ANY ($1)", [["%swordfish%"] * 1000], [""]),
        ("SELECT * FROM t WHERE a LIKE ALL ($1)", [["%swordfish%"]], [""]),
        ("SELECT * FROM t WHERE a LIKE ANY (SELECT b FROM u)", None, [""]),
        ("SELECT * FROM t WHERE a LIKE b", None, [""]),
        ("SELECT * FROM t WHERE a LIKE $1", None, [""]),
        ("SELECT * FROM t WHERE a LIKE $1", [7], [""]),
        ("SELECT * FROM t WHERE a = 'like'", None, []),
        ("DELETE FROM t WHERE a LIKE '%x%'", None, []),
    ],
)
def test_where_the_wildcards_of_a_pattern_are(text: str, arguments: list[object] | None, patterns: list[str]) -> None:
    assert patterns_of(text, arguments) == patterns


def test_they_are_put_where_the_shape_of_the_statement_has_none() -> None:
    sent = "SELECT * FROM t WHERE a LIKE '%swordfish%' AND b IN (1, 2, 3) AND c LIKE $1"
    shape = as_statement(sql_shape(sent))
    assert shape is not None and "swordfish" not in shape
    known = with_patterns(shape, patterns_of(sent, ["ab%"]))
    assert "a LIKE '%xxxx%'" in known and "c LIKE 'xx%'" in known


def test_those_of_an_array_are_put_there_one_by_one() -> None:
    sent = "SELECT * FROM t WHERE a ILIKE ANY ($1::text[]) AND b LIKE ANY (ARRAY['%swordfish%', 'b%'])"
    shape = as_statement(sql_shape(sent))
    assert shape is not None
    known = with_patterns(shape, patterns_of(sent, [["%word%", "%fish%"]]))
    assert "a ILIKE ANY(ARRAY['%xxxx%', '%xxxx%'])" in known and "b LIKE ANY(ARRAY['%xxxx%', 'x%'])" in known


def test_what_does_not_fit_or_is_not_known_is_left_alone() -> None:
    text = "SELECT * FROM t WHERE a LIKE $1"
    assert with_patterns(text, []) == text
    assert with_patterns(text, [""]) == text
    assert with_patterns(text, ["%x%", "x%"]) == text
    many = "SELECT * FROM t WHERE " + " OR ".join(["a LIKE ANY ($1)"] * 20)
    assert with_patterns(many, ["{" + ",".join(["%xxxx%"] * 250) + "}"] * 20) == many
    assert with_patterns("no statement", ["x%"]) == "no statement"
