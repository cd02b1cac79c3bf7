"""What the sessions of the service's database do now: bounded, timed, and asked as whatever role the service has.

A session that PostgreSQL hides from that role is there with its number, its user and its application alone; who waits
for which lock is hidden from nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from watchglass import sql
from watchglass.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from watchglass.store.database import Database, Fetch

Row = Mapping[str, Any]
"""A row by the names of its columns, as `sql/activity.sql` has them."""

SECONDS: Final = 3.0
MOST: Final = 100
"""Sessions of each kind."""

MOST_GROUPS: Final = 200
MOST_LOCKED: Final = 500
"""Sessions that wait or are waited for."""

MOST_HELD: Final = 1_000
FRESH_SECONDS: Final = 15.0
"""For how long what a process said of its connections is believed; it says it every five."""

OF_DRIVER: Final = (
    r'^(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|DEALLOCATE|COPY "?watchglass"?|WITH RECURSIVE typeinfo_tree)(?!\w)|^$'
)
"""What the driver of Watchglass's own connections words itself."""

PREPARED: Final = 0
"""What pg_blocking_pids calls a prepared transaction."""

ENDS_SECONDS: Final = 1.0
"""For how long the end of a session is waited for."""


@dataclass(frozen=True, slots=True)
class Activity:
    """Of one moment. `sessions` are those that run, idle in a transaction, wait or are waited for, longest first.

    `groups` count connections, `waiting` are the locks that are waited for, `locked` are the processes asked for
    because they wait or are waited for, `prepared` is a prepared transaction, where one is in the way: that one, if it
    is known which (`is_it`).
    """

    server: Row
    groups: Sequence[Row]
    waiting: Sequence[Row]
    locked: Sequence[int]
    sessions: Sequence[Row]
    prepared: Row | None


@dataclass(frozen=True, slots=True)
class Ending:
    """What came of asking PostgreSQL to end something: `done`, or `forbidden`; not `told` where nobody was there."""

    done: bool = False
    forbidden: bool = False
    told: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A session by its number, None where there is none, and the server it is of."""

    server: Row
    session: Row | None


async def activity(database: Database) -> Activity:
    """What happens now, in one transaction. Errors are those of `Database.ask`."""
    queries = sql.load("activity")

    async def read(fetch: Fetch) -> Activity:
        [server] = _rows(await fetch(queries["activity_server"]))
        groups = _rows(await fetch(queries["activity_connections"], MOST_GROUPS, OF_DRIVER))
        waiting = _rows(await fetch(queries["activity_waiting"], MOST))
        locked = _locked(waiting)
        sessions = _rows(await fetch(queries["activity_sessions"], locked, MOST, OF_DRIVER))
        waited_for = [row["transaction"] for row in waiting if PREPARED in row["blocked_by"]]
        prepared = _rows(await fetch(queries["activity_prepared"], waited_for)) if waited_for else []
        return Activity(server, groups, waiting, locked, sessions, prepared[0] if prepared else None)

    return await database.ask(read, seconds=SECONDS)


async def held(database: Database, names: Sequence[str]) -> list[Row]:
    """The connections to databases of these names that processes of services hold, from the store."""
    return _rows(await database.fetch(sql.load("backends")["held_backends"], list(names), FRESH_SECONDS, MOST_HELD))


async def present(database: Database, pids: Iterable[int]) -> set[int]:
    """Which of these are sessions of the server. Errors are those of `Database.ask`."""
    rows = await database.fetch(sql.load("activity")["activity_present"], list(pids), seconds=SECONDS)
    return {row["pid"] for row in rows}


async def session(database: Database, pid: int) -> Found:
    """One session. Errors are those of `Database.ask`."""
    queries = sql.load("activity")

    async def read(fetch: Fetch) -> Found:
        [server] = _rows(await fetch(queries["activity_server"]))
        rows = _rows(await fetch(queries["activity_sessions"], [pid], 0, OF_DRIVER))
        return Found(server, rows[0] if rows else None)

    return await database.ask(read, seconds=SECONDS)


def is_full(error: DatabaseUnavailable) -> bool:
    """Whether the server has no connection left for one more client."""
    return isinstance(error.__cause__, asyncpg.TooManyConnectionsError)


async def cancel(database: Database, pid: int, began: datetime) -> Ending:
    """Cancel what the session runs that began then. Errors are those of `Database.ask`."""
    return await _end(database, sql.load("activity")["activity_cancel"], pid, began)


async def terminate(database: Database, pid: int, began: datetime) -> Ending:
    """End the session that began then, and wait a moment for its end. Errors are those of `Database.ask`."""
    query = sql.load("activity")["activity_terminate"]
    return await _end(database, query, pid, began, int(ENDS_SECONDS * 1000))


async def _end(database: Database, query: str, *arguments: Any) -> Ending:
    async def send(fetch: Fetch) -> Ending:
        try:
            rows = await fetch(query, *arguments)
        except asyncpg.InsufficientPrivilegeError:
            return Ending(forbidden=True)
        return Ending(done=bool(rows and rows[0]["done"]), told=bool(rows))

    return await database.ask(send, seconds=SECONDS, readonly=False)


def _locked(waiting: Sequence[Row]) -> list[int]:
    """Each once, those that wait before those that are in their way."""
    blockers = (pid for row in waiting for pid in row["blocked_by"])
    return list(dict.fromkeys([*(row["pid"] for row in waiting), *blockers]))[:MOST_LOCKED]


def _rows(records: Iterable[asyncpg.Record]) -> list[Row]:
    return [dict(record) for record in records]
