"""What sqlglot reads otherwise than PostgreSQL does is read as PostgreSQL does."""

from __future__ import annotations

import pytest

from watchglass.analysis import parsing, sql_reading
from watchglass.analysis.explainable import refusal
from watchglass.analysis.quals import Qual
from watchglass.analysis.relations import Column, Relation
from watchglass.analysis.searches import search_of
from watchglass.analysis.uses import uses

TABLE = Relation("public", "t", "public.t", columns={"name": Column("name", "name", "text")})


def quals(condition: str) -> tuple[Qual, ...]:
    tree = sql_reading.read(f"SELECT * FROM t WHERE {condition}")
    assert tree is not None
    [use] = uses(tree, {'"t"': TABLE})
    return use.quals


@pytest.mark.parametrize(
    ("condition", "values"),
    [
        ("name IN ($1,$2)", 2),
        ("name IN($1,$2,$3)", 3),
        ("name = ANY(ARRAY[$1,$2])", 2),
        ("name = ANY (ARRAY[$1::text,$2::text])", 2),
    ],
)
def test_parameters_need_no_space_behind_them(condition: str, values: int) -> None:
    assert quals(condition) == (Qual("name", "equal", values=values),)
    assert refusal(f"SELECT * FROM t WHERE {condition}") is None


@pytest.mark.parametrize(
    "text",
    [
        "SELECT '$1,$2', $$a$1,$$, $b$ $1,$2 $b$, \"$1,$2\", E'\\'$1,' FROM a$1",
        "SELECT 'it''s \"Evil\"(x)', \"Evil\"(x)",
        'WITH "Made"("A") AS (SELECT 1) SELECT * FROM "Made" JOIN f(1) AS "T"("B") ON TRUE',
        'SELECT "Count"(x), "Max"(x), public."Lower"(x), "a ""Quote"(x)',
    ],
)
def test_what_is_in_quotes_stays_as_it_is(text: str) -> None:
    [tree] = parsing.statements(text)
    assert tree is not None
    told = parsing.text_of(tree)
    assert told == text.replace("$$a$1,$$, $b$ $1,$2 $b$", "'a$1,', ' $1,$2 '").replace("E'\\'$1,'", "e'''$1,'")


def test_a_function_whose_quoted_name_has_capitals_is_not_postgresqls_own() -> None:
    assert quals("lower(name) = $1") == quals('"lower"(name) = $1') == (Qual("name", "equal", "lower"),)
    assert quals('"Lower"(name) = $1') == quals('"LOWER" (name) = $1') == ()


def test_the_search_for_what_is_changed_calls_the_functions_that_the_statement_calls() -> None:
    found = search_of('DELETE FROM t WHERE "Evil"(name,$1) = evil($2)')
    assert found is not None and found.text == 'SELECT t.ctid FROM t WHERE "Evil"(name, $1) = evil($2)'
