"""One batch after another into the store: frozen when made, retried unchanged until it is there."""

from __future__ import annotations

import time
from dataclasses import replace

from watchglass import guard
from watchglass.errors import WatchglassError
from watchglass.exporters import logs, traces
from watchglass.exporters.metrics import MetricDeltas
from watchglass.exporters.own import OwnMeters
from watchglass.exporters.queue import Queue
from watchglass.records import Batch, LogRecord, Trace
from watchglass.store.writer import Writer


class Flusher:
    """Empties the queues and the recorder into the writer. While a batch cannot be written nothing more is taken."""

    def __init__(
        self, writer: Writer, deltas: MetricDeltas, logs: Queue[LogRecord], traces: Queue[Trace], own: OwnMeters
    ) -> None:
        self.writer = writer
        self.last_flush: float | None = None
        self._deltas = deltas
        self._logs = logs
        self._traces = traces
        self._own = own
        self._sequence = 0
        self._frozen: Batch | None = None
        self._rejections = 0

    @property
    def waiting(self) -> bool:
        """Whether there are records, or a batch that could not be written."""
        return bool(self._frozen or self._logs or self._traces)

    async def flush(self, *, metrics: bool) -> None:
        """Write all records that wait and, if asked, the metrics. Raises what stands in the way: `WatchglassError`."""
        if not self.writer.is_open:
            await self.writer.open()
        await self._finish()
        self._freeze(metrics)
        while self._frozen:
            await self._finish()
            self._freeze(metrics=False)
        self.last_flush = time.time()

    def _freeze(self, metrics: bool) -> None:
        batch = Batch(
            self._sequence + 1,
            self._deltas.take(time.time()) if metrics else (),
            self._logs.take(logs.A_FLUSH),
            self._traces.take(traces.A_FLUSH),
        )
        if len(batch):
            self._sequence, self._frozen, self._rejections = batch.sequence, batch, 0

    async def _finish(self) -> None:
        """Write the frozen batch, without what the store will not have."""
        while self._frozen:
            batch, began = self._frozen, time.perf_counter()
            try:
                await self.writer.write(batch)
            except WatchglassError:
                raise
            except Exception:
                guard.caught("exporters.flushing")
                await self._reject(batch)
            else:
                self._frozen = None
                self._own.flushed(batch, time.perf_counter() - began)

    async def _reject(self, batch: Batch) -> None:
        """After a refusal: the same on a new connection, then the metrics alone, then nothing of it."""
        self._rejections += 1
        if self._rejections > 1 and (batch.logs or batch.traces):
            self._own.dropped.update({("logs", "rejected"): len(batch.logs), ("traces", "rejected"): len(batch.traces)})
            self._frozen = replace(batch, logs=(), traces=()) if batch.points else None
        elif self._rejections > 1:
            self._own.dropped["metrics", "rejected"] += len(batch.points)
            self._frozen = None
        await self.writer.close()
        await self.writer.open()
