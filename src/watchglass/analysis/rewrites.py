"""Where no index helps, another way to ask: what in a statement keeps it slow, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from watchglass.analysis import sql_reading
from watchglass.analysis.relations import FEWEST_PAGES, Facts
from watchglass.analysis.uses import SortKey, Use, uses

if TYPE_CHECKING:
    from sqlglot import exp

Kind = Literal["cast", "wildcard", "offset", "not_in", "member", "n_plus_one"]

MANY_SKIPPED = 1000
"""Rows that an OFFSET reads and throws away before it is worth a word."""

MANY_CALLS = 5.0
"""Calls of one statement in one request that look like one for each row of another."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What to write otherwise: why, and an example in SQL where one can be given."""

    kind: Kind
    sentence: str
    example: str | None = None


def rewrites(text: str, facts: Facts) -> list[Rewrite]:
    """Other ways to ask for the same. Raises `ExtraMissing` without sqlglot."""
    tree = sql_reading.read(text)
    if tree is None:
        return []
    large = [use for use in uses(tree, facts.relations) if use.relation.pages >= FEWEST_PAGES]
    found = [*_of_columns(large, facts), *_not_in(tree), *_offset(tree, large)]
    return list(dict.fromkeys(found))


def n_plus_one(calls: float, requests: float) -> Rewrite | None:
    """From how often a statement was called in so many requests that called it."""
    if not requests or calls / requests < MANY_CALLS:
        return None
    return Rewrite(
        "n_plus_one",
        f"It is called {calls / requests:,.0f} times in a request: ask once for all of them, with the values as one "
        "array, or join the statement that the values come from.",
        "... WHERE id = ANY($1)",
    )


def _of_columns(large: Iterable[Use], facts: Facts) -> Iterator[Rewrite]:
    for use in large:
        for qual in use.quals:
            column = use.relation.columns[qual.column]
            if qual.kind == "cast":
                yield _cast(column.quoted, column.type)
            elif qual.kind == "member":
                yield Rewrite(
                    "member",
                    f"An index on the elements of {column.quoted} serves @>, not = ANY: ask whether the array contains "
                    f"the value, and create: CREATE INDEX CONCURRENTLY ON {use.relation.quoted} USING gin "
                    f"({column.quoted})",
                    f"{column.quoted} @> ARRAY[...]",
                )
            elif qual.kind == "infix" and not (facts.trigrams or facts.trigrams_available):
                yield Rewrite(
                    "wildcard",
                    f"A pattern that begins with a wildcard reads every {column.quoted}: only an index of trigrams "
                    "serves it, and the server does not have the extension pg_trgm. Install PostgreSQL's contrib "
                    "package, or search by the beginning of the text.",
                )


def _cast(column: str, type: str) -> Rewrite:
    if type.startswith(("timestamp", "date")):
        return Rewrite(
            "cast",
            f"A cast on {column} keeps every index on it from being used: ask for a range of it instead.",
            f"{column} >= DATE '2026-01-31' AND {column} < DATE '2026-01-31' + 1",
        )
    return Rewrite(
        "cast",
        f"A cast on {column} keeps every index on it from being used: cast what it is compared with to its type.",
        f"{column} = CAST(... AS {type})",
    )


def _not_in(tree: exp.Expr) -> Iterator[Rewrite]:
    from sqlglot import exp

    for node in tree.find_all(exp.Not):
        inside = node.this.unnest()
        if isinstance(inside, exp.In) and inside.args.get("query"):
            yield Rewrite(
                "not_in",
                "NOT IN finds no row at all once its subquery gives a single NULL, so that PostgreSQL cannot make an "
                "anti-join of it and compares each row with the whole list: say NOT EXISTS.",
                "WHERE NOT EXISTS (SELECT FROM other WHERE other.id = this.id)",
            )


def _offset(tree: exp.Expr, large: Sequence[Use]) -> Iterator[Rewrite]:
    offset = tree.args.get("offset")
    if offset is None or not large:
        return
    skipped = offset.expression
    if skipped.is_int and int(skipped.name) < MANY_SKIPPED:
        return
    what = f"{int(skipped.name):,} rows" if skipped.is_int else "all rows before the page"
    yield Rewrite(
        "offset",
        f"OFFSET reads {what} and throws them away: remember the last row of the page before, and ask for what comes "
        "after it.",
        _next_page([key for use in large for key in use.sort]),
    )


def _next_page(keys: Sequence[SortKey]) -> str | None:
    """How to ask for what comes after a row; None where rows cannot be compared so, for some keys descend."""
    if len({key.descending for key in keys}) > 1:
        return None
    names = [key.column for key in keys] or ["id"]
    descends = bool(keys) and keys[0].descending
    order = ", ".join(f"{name} DESC" if descends else name for name in names)
    return f"WHERE ({', '.join(names)}) {'<' if descends else '>'} (...) ORDER BY {order} LIMIT ..."
