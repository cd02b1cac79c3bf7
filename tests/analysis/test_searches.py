"""The SELECT that finds the rows a statement changes or locks, as it is planned in the statement's place."""

from __future__ import annotations

import pytest

from watchglass.analysis.explainable import refusal
from watchglass.analysis.searches import search_of


@pytest.mark.parametrize(
    ("statement", "search", "numbers"),
    [
        ("DELETE FROM t WHERE a = $1", "SELECT t.ctid FROM t WHERE a = $1", (1,)),
        (
            "UPDATE t SET a = $1, b = b + $2 WHERE id = $3 AND a < $1 RETURNING *",
            "SELECT t.ctid FROM t WHERE id = $2 AND a < $1",
            (1, 3),
        ),
        (
            'UPDATE ONLY "Old Shop"."order" AS "O" SET a = 1 FROM c JOIN d ON c.x = d.x WHERE c.id = "O"."user"',
            'SELECT "O".ctid FROM ONLY "Old Shop"."order" AS "O", c JOIN d ON c.x = d.x WHERE c.id = "O"."user"',
            (),
        ),
        (
            "DELETE FROM t USING c, d WHERE t.c = c.id AND c.d = d.id AND d.name = $2",
            "SELECT t.ctid FROM t, c, d WHERE t.c = c.id AND c.d = d.id AND d.name = $1",
            (2,),
        ),
        (
            "WITH old AS (SELECT id FROM u WHERE a = $2) DELETE FROM t WHERE id IN (SELECT id FROM old)",
            "WITH old AS (SELECT id FROM u WHERE a = $1) SELECT t.ctid FROM t WHERE id IN (SELECT id FROM old)",
            (2,),
        ),
        ("SELECT * FROM t WHERE a = $1 FOR UPDATE", "SELECT * FROM t WHERE a = $1", (1,)),
        (
            "UPDATE t SET a = 1 WHERE id = (SELECT id FROM t WHERE b = $1 LIMIT 1 FOR UPDATE SKIP LOCKED)",
            "SELECT t.ctid FROM t WHERE id = (SELECT id FROM t WHERE b = $1 LIMIT 1)",
            (1,),
        ),
    ],
)
def test_what_changes_or_locks_rows_is_looked_at_as_the_select_that_finds_them(
    statement: str, search: str, numbers: tuple[int, ...]
) -> None:
    found = search_of(statement)
    assert found is not None
    assert (found.text, found.numbers) == (search, numbers)
    assert refusal(found.text) is None


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM t WHERE a = $1",
        "DELETE FROM t",
        "UPDATE t SET a = 1",
        "DELETE FROM t WHERE CURRENT OF c",
        "INSERT INTO t VALUES ($1)",
        "DELETE FROM t WHERE a = 1; DELETE FROM u WHERE a = 1",
        "TRUNCATE t",
        "this is no statement",
        "",
    ],
)
def test_of_anything_else_there_is_none(statement: str) -> None:
    assert search_of(statement) is None


def test_one_that_still_writes_is_refused_by_the_fence_as_any_text_is() -> None:
    found = search_of("WITH x AS (DELETE FROM u RETURNING id) UPDATE t SET a = 1 WHERE id IN (SELECT id FROM x)")
    assert found is not None
    assert refusal(found.text) == "It writes."


def test_its_arguments_are_the_statements_of_these_numbers() -> None:
    found = search_of("UPDATE t SET a = $1 WHERE c = $3 AND b = $2")
    assert found is not None
    assert found.arguments(["a", "b", "c"]) == ("b", "c")
    assert found.arguments(["a"]) is None
    assert found.arguments(None) is None
    assert found.written == {"a"}
