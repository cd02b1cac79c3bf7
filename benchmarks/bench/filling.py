"""A store with thirty days in it, made in minutes.

The newest days go the way they go in a service, through the writer. Before that, the same rows are made with NumPy, an
hour at once. All of it is rolled up by the functions of the elected process, and expires by its maintenance.
"""

from __future__ import annotations

import time
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
    """Fills the store `dsn` with what one process that serves the traffic writes from `start` to `end` (unix seconds).

    What came from `written` on goes through the writer.
    """

    def __init__(self, dsn: str, traffic: Traffic, start: float, end: float, written: float) -> None:
        self.dsn = dsn
        self.roll_up_seconds = 0.0
        self._traffic, self._exported = traffic, Exported(traffic)
        self._start, self._end, self._written = start, end, max(start, written // HOUR * HOUR)
        self._settings = Settings(database_url=dsn, service_name="bench")
        self._sequence = 0

    async def run(self) -> None:
        """Bring the store to where it is after running from start to end."""
        await migrate(self.dsn)
        connection = await connect(self.dsn)
        writer = Writer(self.dsn, Instance("bench", "", "1.0", "bench-1", "host-a", 1, self._start))
        try:
            await past.make_partitions(connection, self._start, self._end)
            await writer.open()
            await past.begin_rolling_up(connection, self._start)
            await self._fill(connection)
            for requests in self._traffic.between(self._written, self._end):
                await self._write_hour(writer, requests)
                await self._roll_up(connection, requests)
            await maintain(connection, self._settings)
            await connection.execute("VACUUM ANALYZE")
        finally:
            await writer.close()
            await close(connection)

    async def _fill(self, connection: Connection) -> None:
        """What nobody waits for: an hour at once, and each day what has expired goes."""
        await past.add_series(connection, [*self._exported.durations, *self._exported.requests])
        instance = await connection.fetchval("SELECT max(id) FROM watchglass.instances")
        for requests in self._traffic.between(self._start, self._written):
            await past.add_hour(connection, self._exported, requests, instance)
            await self._roll_up(connection, requests)
            if requests.time[0] % DAY < HOUR:
                await maintain(connection, self._settings)

    async def _write_hour(self, writer: Writer, requests: Requests) -> None:
        """Write what came in an hour, a minute at once."""
        waiting: list[Point] = []
        for moment, points in self._exported.points(requests):
            waiting += points
            if (moment + TICK) % MINUTE == 0:
                await self._write(writer, waiting)
                waiting = []
        if waiting:
            await self._write(writer, waiting)

    async def _write(self, writer: Writer, points: list[Point]) -> None:
        self._sequence += 1
        await writer.write(Batch(self._sequence, points))

    async def _roll_up(self, connection: Connection, requests: Requests) -> None:
        """Roll up what is whole after these requests, into every tier."""
        began = time.perf_counter()
        filled = min(self._end, (requests.time[0] // HOUR + 1) * HOUR)
        until = "SELECT extract(epoch FROM until)::float8 FROM watchglass.rollups WHERE width = 60"
        while await connection.fetchval(until) + CHUNKS[MINUTE] <= filled:
            assert await rollups.roll_up(connection, MINUTE)
        for width in (HOUR, DAY):
            while await rollups.roll_up(connection, width):
                pass
        self.roll_up_seconds += time.perf_counter() - began


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
