"""A store with thirty days in it, made in minutes.

The newest days go the way they go in a service: ten seconds after ten seconds through the writer, rolled up by the
functions of the elected process, expired by its maintenance. Before that, where only hours and days are kept any more,
the rows of hours are made with NumPy, the same ones that rolling up makes, and days are rolled up from them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import past
from bench.series import TICK, Exported
from bench.traffic import HOUR, Requests, Traffic

from watchglass.analysis.tiers import CHUNKS, DAY, MINUTE
from watchglass.jobs.retention import maintain
from watchglass.records import Batch, Instance, Point
from watchglass.settings import Settings
from watchglass.store import rollups
from watchglass.store.connection import close, connect
from watchglass.store.migrations import migrate
from watchglass.store.reader import Reader
from watchglass.store.writer import Writer

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

TIERS = ("metrics_10s", "metrics_1m", "metrics_1h", "metrics_1d")


@dataclass(frozen=True)
class Tier:
    """What a tier holds: bytes with indexes, and the days from its oldest row to the end of the traffic."""

    bytes: int
    days: float

    @property
    def bytes_per_day(self) -> float:
        return self.bytes / self.days if self.days else 0.0


class Filling:
    """Fills the store `dsn` with what one process that serves the traffic writes from `start` to `end` (unix seconds)."""

    def __init__(self, dsn: str, traffic: Traffic, start: float, end: float) -> None:
        self.dsn = dsn
        self.roll_up_seconds = 0.0
        self._traffic, self._exported = traffic, Exported(traffic)
        self._start, self._end = start, end
        self._settings = Settings(database_url=dsn, service_name="bench")
        self._recent = max(start, end - self._settings.retention_1m_days * DAY) // DAY * DAY
        self._sequence = 0

    @property
    def live_days(self) -> float:
        """The days that went through the writer and were rolled up."""
        return (self._end - max(self._start, self._recent)) / DAY

    async def run(self) -> None:
        """Bring the store to where it is after running from start to end."""
        await migrate(self.dsn)
        connection = await connect(self.dsn)
        writer = Writer(self.dsn, Instance("bench", "", "1.0", "bench-1", "host-a", 1, self._start))
        try:
            await past.make_partitions(connection, self._start, self._end)
            await writer.open()
            await self._fill_hours(connection)
            for requests in self._traffic.between(max(self._start, self._recent), self._end):
                await self._live(connection, writer, requests)
            await maintain(connection, self._settings)
            await connection.execute("VACUUM ANALYZE")
        finally:
            await writer.close()
            await close(connection)

    async def _fill_hours(self, connection: Connection) -> None:
        await past.reach(connection, self._start, self._recent)
        await past.add_series(connection, [*self._exported.durations, *self._exported.requests])
        instance = await connection.fetchval("SELECT max(id) FROM watchglass.instances")
        for requests in self._traffic.between(self._start, self._recent):
            await past.add_hour(connection, self._exported, requests, instance)

    async def _live(self, connection: Connection, writer: Writer, requests: Requests) -> None:
        """Write what came in an hour, a minute at once, and do what the elected process does."""
        waiting: list[Point] = []
        filled = self._recent
        for moment, points in self._exported.points(requests):
            waiting += points
            filled = moment + TICK
            if filled % MINUTE == 0:
                await self._write(writer, waiting)
                waiting = []
        await self._write(writer, waiting)
        began = time.perf_counter()
        await _roll_up(connection, filled)
        self.roll_up_seconds += time.perf_counter() - began

    async def _write(self, writer: Writer, points: Sequence[Point]) -> None:
        if points:
            self._sequence += 1
            await writer.write(Batch(self._sequence, points))


async def tiers(dsn: str, start: float, end: float) -> tuple[dict[str, Tier], int]:
    """What each tier holds, and the bytes of the whole store."""
    reader, connection = Reader(dsn), await connect(dsn)
    try:
        sizes = {size.name: size.bytes for size in await reader.sizes()}
        found = {}
        for name in TIERS:
            oldest = await connection.fetchval(f"SELECT extract(epoch FROM min(time))::float8 FROM watchglass.{name}")
            found[name] = Tier(sizes[name], (end - max(start, oldest)) / DAY if oldest else 0.0)
        return found, sum(sizes.values())
    finally:
        await reader.close()
        await close(connection)


async def _roll_up(connection: Connection, filled: float) -> None:
    """Roll up what is whole, into every tier."""
    until = "SELECT extract(epoch FROM until)::float8 FROM watchglass.rollups WHERE width = 60"
    while await connection.fetchval(until) + CHUNKS[MINUTE] <= filled:
        assert await rollups.roll_up(connection, MINUTE)
    for width in (HOUR, DAY):
        while await rollups.roll_up(connection, width):
            pass
