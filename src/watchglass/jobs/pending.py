"""The requests that have been running for a while, noted in the store while they do.

They are written every few seconds while there are any, and go when they end. A process that is killed leaves them
behind: those never ended.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from watchglass import sql
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.attributes import span_name
from watchglass.instrumentation.documents import running as described_now
from watchglass.instrumentation.request import Request
from watchglass.instrumentation.tail import Handled
from watchglass.jobs.noting import keep_noted, set_noted
from watchglass.store.text import storable, storable_json

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

Running = tuple[Request, Handled]

SLOW: Final = 2.0
"""Seconds after which a request is noted."""

LOOK_SECONDS: Final = 1.0
EVERY: Final = 5.0
"""Seconds after which those that go on running are noted again, with what was done for them meanwhile."""

MOST: Final = 100
"""Requests of a process that are noted: those that began first."""


class PendingRequests:
    """`open_requests` gives the requests of a process that are being handled. `run` is for `Pipeline.run_on_loop`."""

    def __init__(
        self,
        pipeline: Pipeline,
        open_requests: Callable[[], Mapping[Request, Handled]],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """The clock is the recorder's."""
        self._pipeline = pipeline
        self._open = open_requests
        self._clock = clock

    async def run(self) -> None:
        """Look for as long as the pipeline runs; at the end, whatever still runs is being let go in order."""
        await keep_noted(self._running, self._note, LOOK_SECONDS, EVERY)

    def _running(self) -> dict[Hashable, Running]:
        """Those whose duration has not ended, oldest first: a stream that began to flow is not waited for."""
        since = self._clock() - SLOW
        found = [one for one in self._open().items() if one[0].start <= since and one[0].work is not None]
        return {one[0].span_id: one for one in sorted(found, key=lambda one: one[0].start)[:MOST]}

    async def _note(self, running: Sequence[Running]) -> None:
        async with self._pipeline.borrow() as connection:
            await note(connection, self._pipeline.instance.instance_id, running, self._clock())


async def note(connection: Connection, instance: str, running: Sequence[Running], until: float) -> None:
    """Have these requests of a process, which run until now, in the store, and no others."""
    rows = [_row(*one, until) for one in running]
    await set_noted(connection, sql.load("pending")["set_pending"], instance, rows)


def _row(request: Request, handled: Handled, until: float) -> tuple[Any, ...]:
    spans = described_now(request, handled, until)["spans"]
    return (
        bytes.fromhex(request.trace_hex),
        bytes.fromhex(request.span_hex),
        storable(span_name(request)),
        storable(request.method),
        storable(request.route) if request.route else None,
        datetime.fromtimestamp(request.start_ns / 1e9, UTC),
        json.dumps([json.loads(storable_json(span)) for span in spans]),
    )
