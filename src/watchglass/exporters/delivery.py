"""One batch into the store, less what the store will not have."""

from __future__ import annotations

import time
from dataclasses import replace

from watchglass import guard
from watchglass.errors import WatchglassError
from watchglass.exporters.own import OwnMeters
from watchglass.records import Batch
from watchglass.store.writer import Writer


async def deliver(writer: Writer, batch: Batch, own: OwnMeters) -> Batch:
    """Have the batch in the store when this returns, and return what of it is there.

    After a `WatchglassError` it is to be offered again, unchanged. What the store refuses is tried on a new connection,
    then the metrics alone, then given up and counted.
    """
    metrics = replace(batch, logs=(), traces=(), errors=(), incidents=())
    tries = [batch, batch, *([metrics] if batch.points and len(batch) > len(metrics) else [])]
    for content in tries:
        if not writer.is_open:
            await writer.open()
        began, clamped = time.perf_counter(), writer.clamped
        try:
            await writer.write(content)
        except WatchglassError:
            raise
        except Exception:
            guard.caught("exporters.flushing")
            await writer.close()
        else:
            own.clamped += writer.clamped - clamped
            own.flushed(content, time.perf_counter() - began)
            own.rejected(batch, content)
            return content
    own.rejected(batch, Batch(batch.sequence))
    return Batch(batch.sequence)
