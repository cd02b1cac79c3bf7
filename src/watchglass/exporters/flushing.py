"""What is taken at every interval, and one batch after another into the store: frozen when made, sent in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from watchglass.errors import WatchglassError
from watchglass.exporters.backlog import Backlog
from watchglass.exporters.delivery import deliver
from watchglass.exporters.metrics import MetricDeltas
from watchglass.exporters.own import OwnMeters
from watchglass.exporters.spool import Spool
from watchglass.exporters.waiting import Waiting
from watchglass.records import Batch
from watchglass.store.writer import Writer

T = TypeVar("T")

SLOW_SECONDS = 1.0
"""A batch that is not in the store after so long is spooled."""


class Flusher:
    """Empties the recorder into the backlog at every interval, also while the store is away, and that into the writer.

    While the store is away, what waits is on disk too. `stored` is told what of each batch is in the store.
    """

    def __init__(
        self,
        writer: Writer,
        deltas: MetricDeltas,
        waiting: Waiting,
        own: OwnMeters,
        backlog: Backlog,
        spool: Spool,
        clock: Callable[[], float] = time.time,
        stored: Callable[[Batch], None] = lambda batch: None,
    ) -> None:
        self.writer = writer
        self.spool = spool
        self.last_flush: float | None = None
        self._deltas = deltas
        self._records = waiting
        self._own = own
        self._backlog = backlog
        self._clock = clock
        self._stored = stored
        self._sequence = 0
        self._away = False

    @property
    def waiting(self) -> bool:
        """Whether there are records, or a batch that could not be written."""
        return bool(self._backlog or self._records)

    @property
    def lagging(self) -> bool:
        """Whether the store is away, or slow."""
        return self._away or bool(self._backlog)

    def take(self) -> None:
        """Freeze what was measured since the last time, and the records that wait."""
        lagging = self.lagging
        self._freeze(metrics=True)
        if lagging:
            self.spool.save(self._backlog)

    async def flush(self, *, metrics: bool) -> None:
        """Have in the store what waits and, if asked, the metrics as they are now.

        Raises what stands in the way: `WatchglassError`. All is in the backlog then, and on disk.
        """
        if metrics:
            self.take()
        if not self.writer.is_open:
            await self._reach(self.writer.open())
        await self._deliver()
        while self._records:
            self._freeze(metrics=False)
            await self._deliver()
        self.last_flush = self._clock()

    def leave(self) -> None:
        """At the end: what is not written is on disk when this returns, for another process to write."""
        if not self.lagging and not self._records:
            return
        self._freeze(metrics=True)
        while self._records:
            self._freeze(metrics=False)
        self.spool.save(self._backlog)

    def _freeze(self, *, metrics: bool) -> None:
        points = self._deltas.take(self._clock()) if metrics else ()
        batch = Batch(self._sequence + 1, points, **self._records.take())
        if len(batch):
            self._sequence = batch.sequence
            self._backlog.add(batch)

    async def _deliver(self) -> None:
        """Send the backlog, one batch at a time, so that whoever borrows the connection comes in between."""
        while (batch := self._backlog.next()) is not None:
            timer = asyncio.get_running_loop().call_later(SLOW_SECONDS, self.spool.save, self._backlog)
            try:
                stored = await self._reach(deliver(self.writer, batch, self._own))
            finally:
                timer.cancel()
            self._backlog.done()
            self._stored(stored)
            await asyncio.sleep(0)
        self.spool.clear()

    async def _reach(self, attempt: Coroutine[Any, Any, T]) -> T:
        """Know whether the store is away; as long as it is, what waits is on disk."""
        try:
            reached = await attempt
        except WatchglassError:
            self._away = True
            self.spool.save(self._backlog)
            raise
        self._away = False
        return reached
