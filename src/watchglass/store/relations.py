"""What the service's own database says of its tables and indexes: bounded, timed, and readable by any role.

Without a right to read a column its statistics are hidden; PostgreSQL's guesses stand in for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watchglass import sql
from watchglass.analysis.index_usage import IndexUse
from watchglass.analysis.relations import Column, Facts, Index, Partition, Relation
from watchglass.store.database import Database

if TYPE_CHECKING:
    from watchglass.store.database import Fetch

SECONDS = 3.0
MOST_TABLES = 20
"""Tables of one statement that are looked up."""

MOST_PARTITIONS = 200
"""Partitions of a table that are looked at; of one that has more they stand for the others."""

MOST_INDEXES = 20_000
_OF_KEYS = ("columns", "classes", "collations", "options")
_COUNTED = ("pages", "inserts", "updates", "hot_updates", "beside_bytes")
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
    parents = sorted({row["oid"] for row in tables if row["kind"] == "p"})
    parts = await fetch(queries["relations_partitions"], parents, MOST_PARTITIONS + 1) if parents else []
    oids = sorted({row["oid"] for row in (*tables, *parts)})
    columns = await fetch(queries["relations_columns"], *_with_columns(tables, parts))
    indexes = await fetch(queries["relations_indexes"], oids)
    found = {row["written"]: _relation(row, parts, columns, indexes) for row in tables}
    counted = None if server.replica else server.counted_seconds  # a replica counts the scans of its own, and no writes
    return Facts(found, server.trigrams, server.trigrams_available, counted), server


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


def _with_columns(tables: Sequence[Any], parts: Sequence[Any]) -> tuple[list[int], list[str]]:
    """The tables whose columns are looked up: of what is partitioned also its largest part, which has statistics."""
    roots = {row["oid"] for row in tables}
    wanted = [*tables, *(largest for root in roots if (largest := _largest(root, parts)))]
    return sorted({row["oid"] for row in wanted}), sorted({row["name"] for row in wanted})


def _largest(root: int, parts: Sequence[Any]) -> Any:
    """Of a partitioned table; None of another."""
    return max((row for row in parts if row["root"] == root), key=lambda row: row["pages"], default=None)


def _relation(row: Any, parts: Sequence[Any], columns: Sequence[Any], indexes: Sequence[Any]) -> Relation:
    mine = [part for part in parts if part["root"] == row["oid"]]
    counted = [part for part in mine if not part["has_parts"]] if row["kind"] == "p" else [row]
    left_off = mine[0]["in_all"] - len(mine) if mine else 0
    each = 1 + left_off / max(1, len(mine))
    rows = sum(map(_rows_of, counted)) * each
    usable = not any(part["is_foreign"] for part in mine)
    return Relation(
        row["schema"],
        row["name"],
        row["quoted"],
        row["kind"],
        rows=rows,
        columns=_columns(row["oid"], _largest(row["oid"], parts), columns, rows),
        indexes=_indexes(row["oid"], indexes),
        partitions=tuple(_partition(part, indexes) for part in mine) if usable else None,
        partitions_left_off=left_off,
        **{name: round(sum(one[name] for one in counted) * each) for name in _COUNTED},
    )


def _columns(oid: int, largest: Any, columns: Sequence[Any], rows: float) -> dict[str, Column]:
    """Those of a table; what ANALYZE never saw of the whole of one that is partitioned, it saw of its largest part.

    That has at least so many different values.
    """
    found = {one["name"]: _column(one, rows) for one in columns if one["oid"] == oid}
    for one in columns if largest else ():
        if one["oid"] == largest["oid"] and not found[one["name"]].analyzed:
            found[one["name"]] = _column(one, _rows_of(largest))
    return found


def _indexes(oid: int, indexes: Sequence[Any]) -> tuple[Index, ...]:
    return tuple(_index(one) for one in indexes if one["oid"] == oid)


def _partition(row: Any, indexes: Sequence[Any]) -> Partition:
    names = ("oid", "parent", "name", "quoted", "quoted_schema", "has_parts")
    rows = 0.0 if row["has_parts"] else _rows_of(row)
    return Partition(
        **{name: row[name] for name in names}, rows=rows, pages=row["pages"], indexes=_indexes(row["oid"], indexes)
    )


def _rows_of(row: Any) -> float:
    """As the planner has it: as dense as when it was last looked at."""
    pages: int = row["pages"]
    if row["tuples"] < 0 or not row["analyzed_pages"]:
        return pages * _ROWS_A_PAGE
    return float(row["tuples"] * pages / row["analyzed_pages"])


def _column(row: Any, rows: float) -> Column:
    common = (row["name"], row["quoted"], row["type"])
    if row["n_distinct"] is None:
        return Column(*common, width=row["avg_width"], ordered_by_bytes=row["ordered_by_bytes"], analyzed=False)
    distinct = row["n_distinct"] if row["n_distinct"] >= 0 else -row["n_distinct"] * rows
    figures = (max(1.0, distinct), row["null_frac"], row["avg_width"], row["correlation"] or 0.0)
    elements = row["elements"], row["common_elements"] or 0.0
    return Column(*common, *figures, row["ordered_by_bytes"], True, row["is_long"], *elements)


def _index(row: Any) -> Index:
    of_table = {name: value for name, value in row.items() if name != "oid"}
    return Index(**{**of_table, "keys": tuple(row["keys"]), "classes": tuple(row["classes"])})
