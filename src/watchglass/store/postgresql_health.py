"""What the service's own database says of its health: bounded, timed, and readable by any role.

Every question is a transaction of its own, so that one that takes too long says nothing of the others. All raise the
errors of `Database.ask`.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from watchglass import sql
from watchglass.analysis.postgresql_health import (
    Checkpoints,
    DatabaseAge,
    DeadTuples,
    Holder,
    Reads,
    Sender,
    Server,
    Size,
    Slot,
    Standby,
    TableAge,
    Vacuum,
    Wal,
)
from watchglass.store.database import Database

SECONDS: Final = 2.0
"""After so long a question is given up."""

MOST: Final = 20
"""Rows of an answer."""

_CHECKPOINTER: Final = 17
"""From this version on checkpoints are counted apart from the background writer."""

T = TypeVar("T")


async def server(database: Database) -> Server:
    [found] = await _rows(database, Server, sql.load("postgresql_health")["health_server"])
    return found


async def reads(database: Database) -> list[Reads]:
    return await _rows(database, Reads, sql.load("postgresql_health")["health_reads"], MOST)


async def dead_tuples(database: Database) -> list[DeadTuples]:
    return await _rows(database, DeadTuples, sql.load("postgresql_health")["health_dead_tuples"], MOST)


async def vacuums(database: Database) -> list[Vacuum]:
    return await _rows(database, Vacuum, sql.load("postgresql_health")["health_vacuums"], MOST)


async def horizon(database: Database) -> list[Holder]:
    return await _rows(database, Holder, sql.load("postgresql_health")["health_horizon"], MOST)


async def sizes(database: Database) -> list[Size]:
    return await _rows(database, Size, sql.load("postgresql_health")["health_sizes"], MOST)


async def database_ages(database: Database) -> list[DatabaseAge]:
    return await _rows(database, DatabaseAge, sql.load("postgresql_health")["health_wraparound_databases"], 200)


async def table_ages(database: Database) -> list[TableAge]:
    return await _rows(database, TableAge, sql.load("postgresql_health")["health_wraparound_tables"], MOST)


async def checkpoints(database: Database, major: int) -> Checkpoints:
    [found] = await _rows(database, Checkpoints, checkpoints_query(major))
    return found


def checkpoints_query(major: int) -> str:
    """The statement that a server of this version understands."""
    queries = sql.load("postgresql_health")
    if major >= _CHECKPOINTER:
        return queries["health_checkpoints_from_17"]
    return queries["health_checkpoints_before_17"]


async def wal(database: Database) -> Wal:
    [found] = await _rows(database, Wal, sql.load("postgresql_health")["health_wal"])
    return found


async def senders(database: Database) -> list[Sender]:
    return await _rows(database, Sender, sql.load("postgresql_health")["health_senders"], MOST)


async def slots(database: Database) -> list[Slot]:
    return await _rows(database, Slot, sql.load("postgresql_health")["health_slots"], MOST)


async def standby(database: Database) -> Standby:
    [found] = await _rows(database, Standby, sql.load("postgresql_health")["health_standby"])
    return found


async def _rows(database: Database, kind: type[T], query: str, *arguments: Any) -> list[T]:
    return [kind(**row) for row in await database.fetch(query, *arguments, seconds=SECONDS)]
