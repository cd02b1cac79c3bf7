"""Other ways to ask, where no index helps."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from watchglass.analysis.relations import Column, Facts, Relation
from watchglass.analysis.rewrites import n_plus_one, rewrites
from watchglass.errors import ExtraMissing

COLUMNS = {
    name: Column(name, name, type)
    for name, type in (("id", "bigint"), ("at", "timestamp with time zone"), ("name", "text"), ("tags", "text[]"))
}


def facts(pages: int = 5000, **server: Any) -> Facts:
    relation = Relation("public", "t", "public.t", rows=pages * 50.0, pages=pages, columns=COLUMNS)
    return Facts({'"t"': relation}, **server)


def kinds(statement: str, known: Facts | None = None) -> list[str]:
    return [one.kind for one in rewrites(statement, known or facts())]


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("SELECT * FROM t WHERE id::text = $1", "cast"),
        ("SELECT * FROM t WHERE CAST(at AS date) = $1", "cast"),
        ("SELECT * FROM t WHERE date(at) = $1", "cast"),
        ("SELECT * FROM t ORDER BY id LIMIT $1 OFFSET $2", "offset"),
        ("SELECT * FROM t ORDER BY id LIMIT 10 OFFSET 20000", "offset"),
        ("SELECT * FROM t WHERE id NOT IN (SELECT id FROM other)", "not_in"),
        ("SELECT * FROM t WHERE NOT (id IN (SELECT id FROM other))", "not_in"),
        ("SELECT * FROM t WHERE $1 = ANY(tags)", "member"),
        ("SELECT * FROM t WHERE name LIKE '%needle%'", "wildcard"),
        ("SELECT * FROM t WHERE name ILIKE ANY (ARRAY['%needle%', '%thread%'])", "wildcard"),
    ],
)
def test_a_statement_that_no_index_helps_is_told_another_way(statement: str, kind: str) -> None:
    assert kinds(statement) == [kind]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM t WHERE id = $1",
        "SELECT * FROM t WHERE id = $1::bigint",
        "SELECT * FROM t WHERE name::text = $1",
        "SELECT * FROM t WHERE id NOT IN (1, 2, 3)",
        "SELECT * FROM t ORDER BY id LIMIT 10 OFFSET 10",
        "SELECT * FROM t WHERE name LIKE 'needle%'",
        "SELECT * FROM t WHERE name NOT LIKE '%needle%'",
        "SELECT * FROM t WHERE name NOT LIKE ANY (ARRAY['%needle%', '%thread%'])",
        "SELECT * FROM t WHERE name LIKE ALL (ARRAY['%needle%', '%thread%'])",
        "SELECT * FROM t WHERE name LIKE ANY ($1)",
        "SELECT * FROM t WHERE id = ANY($1)",
        "this is no statement",
        "SELECT 1; DROP TABLE t",
        "",
    ],
)
def test_what_is_well_asked_or_not_understood_is_left_alone(statement: str) -> None:
    assert kinds(statement) == []


def test_small_tables_and_what_trigrams_could_serve_are_left_alone() -> None:
    assert kinds("SELECT * FROM t WHERE id::text = $1", facts(pages=5)) == []
    assert kinds("SELECT * FROM t ORDER BY id OFFSET $1", facts(pages=5)) == []
    assert kinds("SELECT * FROM t WHERE name LIKE '%needle%'", facts(trigrams_available=True)) == []


def test_a_page_is_asked_for_by_the_key_that_orders_it() -> None:
    [one] = rewrites("SELECT * FROM t ORDER BY at DESC, id DESC LIMIT 10 OFFSET 20000", facts())
    assert one.example == "WHERE (at, id) < (...) ORDER BY at DESC, id DESC LIMIT ..."
    assert "20,000 rows" in one.sentence
    [mixed] = rewrites("SELECT * FROM t ORDER BY at DESC, id LIMIT 10 OFFSET 20000", facts())
    assert mixed.example is None


def test_a_statement_for_each_row_of_another_is_told_from_its_calls() -> None:
    assert n_plus_one(4.9, 1) is None
    assert n_plus_one(100, 0) is None
    found = n_plus_one(1600, 100)
    assert found is not None and "16 times in a request" in found.sentence


def test_without_the_parser_its_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("sqlglot"):
            raise ImportError(name)
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ExtraMissing, match=r"pip install 'watchglass\[plans\]'"):
        rewrites("SELECT 1", facts())
