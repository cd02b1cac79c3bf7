"""Which times rows may have, so that the skewed clock of one process never fails a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import asyncpg

from watchglass import sql
from watchglass.store.connection import transaction

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

LOOK_AHEAD_SECONDS = 3600.0
"""How often a writer sees to the partitions; those of logs and traces reach a day ahead."""

_FUTURE = timedelta(minutes=5)
_SECONDS = 10.0


class Bounds:
    """The partitions of each table around the database's present, and its encoding."""

    def __init__(self, encoding: str, now: datetime, spans: Mapping[str, tuple[datetime, datetime]]) -> None:
        self.encoding = encoding
        self.spans = spans
        self.now = now
        """The database's clock, as it was last read."""
        self._read = now

    def are_old_at(self, now: datetime) -> bool:
        """Whether it is time to look ahead again, or the database's clock was set back."""
        return abs((now - self._read).total_seconds()) > LOOK_AHEAD_SECONDS

    def within(self, table: str, moment: datetime) -> datetime:
        """The moment, or the nearest that the table takes; what is more than five minutes ahead becomes the present."""
        lower, upper = self.spans[table]
        if moment > self.now + _FUTURE:
            moment = self.now
        return min(max(moment, lower), upper - timedelta(microseconds=1))


async def look_ahead(connection: Connection) -> Bounds:
    """Have partitions for what comes next, and return the bounds of those there are."""
    queries = sql.load("batches")
    try:
        async with transaction(connection, seconds=_SECONDS, lock_seconds=_SECONDS / 2):
            await connection.execute(queries["create_partitions"])
    except asyncpg.LockNotAvailableError:
        pass  # somebody maintains them now; those there are may do, and we look again in an hour
    async with transaction(connection, seconds=_SECONDS, readonly=True):
        rows = await connection.fetch(queries["writable"])
    spans = {row["parent"]: _around(row["now"], row["lowers"], row["uppers"]) for row in rows}
    if spans.keys() < {"metrics_10s", "logs", "traces"}:
        raise asyncpg.LockNotAvailableError("the partitions are not there yet")
    return Bounds("utf-8" if rows[0]["encoding"] == "UTF8" else "ascii", rows[0]["now"], spans)


def _around(now: datetime, lowers: Sequence[datetime], uppers: Sequence[datetime]) -> tuple[datetime, datetime]:
    """The bounds of the run of partitions without a gap that holds `now`, or is nearest before it."""
    first, last = lowers[0], uppers[0]
    for lower, upper in zip(lowers[1:], uppers[1:], strict=True):
        if lower > now and lower > last:
            break
        first, last = (lower if lower > last else first), upper
    return first, last
