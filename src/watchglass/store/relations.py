"""What the service's own database says of its tables and indexes: bounded, timed, and readable by any role.

Without a right to read a column its statistics are hidden; PostgreSQL's guesses stand in for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watchglass import sql
from watchglass.analysis.index_usage import IndexUse
from watchglass.analysis.relations import Column, Facts, Index, Relation
from watchglass.store.database import Database

if TYPE_CHECKING:
    from watchglass.store.database import Fetch

SECONDS = 3.0
MOST_TABLES = 20
"""Tables of one statement that are looked up."""

MOST_INDEXES = 20_000
_OF_KEYS = ("columns", "classes", "collations", "options")
_ROWS_A_PAGE = 50.0
"""Of a table that was never analyzed."""


@dataclass(frozen=True, slots=True)
class Server:
    """Of one database: the schema of HypoPG (None: not installed), since when scans are counted, unix seconds."""

    trigrams: str | None
    trigrams_available: bool
    hypopg: str | None
    hypopg_available: bool
    counted_since: float
    now: float
    replica: bool

    @property
    def counted_seconds(self) -> float:
        """For how long scans and writes were counted."""
        return max(0.0, self.now - self.counted_since)


@dataclass(frozen=True, slots=True)
class Usage:
    """All indexes of a database, the largest first; `more` says that there are others."""

    server: Server
    indexes: list[IndexUse]
    more: bool


async def facts(fetch: Fetch, names: Iterable[str]) -> tuple[Facts, Server]:
    """What is known of the tables of these names (quoted, see `analysis.sql_reading.written`), and of their server."""
    queries = sql.load("relations")
    server = await _server(fetch)
    tables = await fetch(queries["relations_named"], list(dict.fromkeys(names))[:MOST_TABLES])
    oids = sorted({row["oid"] for row in tables})
    columns = await fetch(queries["relations_columns"], oids, sorted({row["name"] for row in tables}))
    indexes = await fetch(queries["relations_indexes"], oids)
    found = {row["written"]: _relation(row, columns, indexes) for row in tables}
    return Facts(found, server.trigrams, server.trigrams_available, server.counted_seconds), server


async def usage(database: Database, limit: int = MOST_INDEXES) -> Usage:
    """Every index of the database. Errors are those of `Database.ask`."""

    async def read(fetch: Fetch) -> Usage:
        server = await _server(fetch)
        rows = await fetch(sql.load("relations")["relations_index_usage"], limit + 1)
        return Usage(server, [_use(row) for row in rows[:limit]], len(rows) > limit)

    return await database.ask(read, seconds=SECONDS)


async def _server(fetch: Fetch) -> Server:
    [row] = await fetch(sql.load("relations")["relations_server"])
    return Server(**row)


def _use(row: Any) -> IndexUse:
    parts = {name: str(row[name]).split() for name in _OF_KEYS}
    keys = tuple(" ".join(key) for key in zip(*parts.values(), strict=False))  # columns of INCLUDE are no keys
    return IndexUse(**{name: value for name, value in row.items() if name not in _OF_KEYS}, keys=keys)


def _relation(row: Any, columns: Sequence[Any], indexes: Sequence[Any]) -> Relation:
    rows = _rows(row["tuples"], row["analyzed_pages"], row["pages"])
    return Relation(
        row["schema"],
        row["name"],
        row["quoted"],
        row["kind"],
        rows,
        row["pages"],
        row["inserts"],
        row["updates"],
        row["hot_updates"],
        {one["name"]: _column(one, rows) for one in columns if one["oid"] == row["oid"]},
        tuple(_index(one) for one in indexes if one["oid"] == row["oid"]),
    )


def _rows(tuples: float, analyzed_pages: int, pages: int) -> float:
    """As the planner has it: as dense as when it was last looked at."""
    if tuples < 0 or not analyzed_pages:
        return pages * _ROWS_A_PAGE
    return tuples * pages / analyzed_pages


def _column(row: Any, rows: float) -> Column:
    common = (row["name"], row["quoted"], row["type"])
    if row["n_distinct"] is None:
        return Column(*common, ordered_by_bytes=row["ordered_by_bytes"], analyzed=False)
    distinct = row["n_distinct"] if row["n_distinct"] >= 0 else -row["n_distinct"] * rows
    figures = (max(1.0, distinct), row["null_frac"], row["avg_width"], row["correlation"] or 0.0)
    return Column(*common, *figures, row["ordered_by_bytes"])


def _index(row: Any) -> Index:
    of_table = {name: value for name, value in row.items() if name != "oid"}
    return Index(**{**of_table, "keys": tuple(row["keys"]), "classes": tuple(row["classes"])})
