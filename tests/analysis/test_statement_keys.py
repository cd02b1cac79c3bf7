"""A client's shape and PostgreSQL's text of one statement have one key, those of two statements have two."""

from __future__ import annotations

import pytest

from watchglass.analysis.statement_keys import Joined, key_of
from watchglass.redaction import sql_shape


@pytest.mark.parametrize(
    ("sent", "known"),
    [
        ("SELECT * FROM t WHERE id = $1", "SELECT * FROM t WHERE id = $1"),
        ("SELECT * FROM t WHERE id = $1 AND kind = 'x'", "SELECT * FROM t WHERE id = $1 AND kind = $2"),
        ("SELECT * FROM t WHERE a = 5 AND id = $1", "SELECT * FROM t WHERE a = $2 AND id = $1"),
        ("SELECT * FROM t WHERE id IN (1, 2, 3)", "SELECT * FROM t WHERE id IN ($1, $2, $3)"),
        ("SELECT * FROM t WHERE id IN (1, 2, 3)", "SELECT * FROM t WHERE id IN ($1 /*, ... */)"),
        ("SELECT ARRAY[1,2]", "SELECT ARRAY[$1 /*, ... */]"),
        ("UPDATE t SET active = true, gone = NULL WHERE n = -1", "UPDATE t SET active = $1, gone = $2 WHERE n = $3"),
        ("SELECT -1, - 2", "SELECT $1, $2"),
        ("SELECT n - 1 FROM t", "SELECT n - $1 FROM t"),
        ("SELECT E'a\\'b', b'1', U&'x'", "SELECT $1, $2, $3"),
        ("INSERT INTO t VALUES (1, 'a'), (2, 'b')", "INSERT INTO t VALUES ($1, $2), ($3, $4)"),
        ("SELECT 1; -- done", "SELECT $1"),
        ("SELECT /* why */  interval '1 day'\n", "SELECT interval $1"),
    ],
)
def test_both_sides_have_one_key(sent: str, known: str) -> None:
    assert key_of(sql_shape(sent)) == key_of(sql_shape(known))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("UPDATE t SET n = n + 1", "UPDATE t SET n = n - $1"),
        ("SELECT * FROM t WHERE a IS NULL", "SELECT * FROM t WHERE a IS TRUE"),
        ("SELECT * FROM t WHERE a IS NULL", "SELECT * FROM t WHERE a IS NOT NULL"),
        ("SELECT * FROM t WHERE a = $1", "SELECT * FROM t WHERE b = $1"),
        ("SELECT a1 FROM t", "SELECT a2 FROM t"),
        ("SELECT nullable FROM t", "SELECT n FROM t"),
    ],
)
def test_different_statements_have_different_keys(one: str, other: str) -> None:
    assert key_of(sql_shape(one)) != key_of(sql_shape(other))


def test_an_equal_shape_is_found_first_then_the_one_that_weighs_most() -> None:
    joined = Joined({"SELECT ?": 1.0, "SELECT $1": 2.0, "SELECT a": 1.0})
    assert joined.find("SELECT $1") == "SELECT $1"
    assert joined.find("SELECT $2") == "SELECT $1"
    assert joined.find("SELECT b") is None


def test_what_has_postgresqls_identifier_is_found_by_it_before_what_looks_alike() -> None:
    weights = {"SELECT a FROM t WHERE b = ?": 1.0, "select A from T where B = ?": 2.0, "SELECT 1": 1.0}
    joined = Joined(weights, {"SELECT a FROM t WHERE b = ?": 7, "select A from T where B = ?": 7, "SELECT 1": None})
    assert joined.find("SELECT  a from t WHERE b=$1", 7) == "select A from T where B = ?"
    assert joined.find("SELECT a FROM t WHERE b = $1", 8) == "SELECT a FROM t WHERE b = ?"
    assert joined.find("SELECT a FROM t WHERE b = ?", 7) == "SELECT a FROM t WHERE b = ?"
    assert joined.find("SELECT  a from t WHERE b=$1", None) is None


def test_a_key_is_made_in_time_linear_in_the_text() -> None:
    for text in ("(" * 2000, "$1" * 1000, "?," * 1000, "[?" * 1000, "- " * 1000, "is not " * 300):
        key_of(text)
