"""The connections that are held, noted in the store while they are: by them the page finds whose a session is.

A lock that matters is held for a while. So they are looked at twice a second, and what was in use for the same request
twice in a row is written down; in a service that holds none so long nothing is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Final

from watchglass import guard, sql
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.asyncpg import AsyncPGInstrumentor
from watchglass.instrumentation.attributes import span_name
from watchglass.instrumentation.backends import Use
from watchglass.instrumentation.request import Request
from watchglass.instrumentation.tail import Handled
from watchglass.jobs.noting import keep_noted, set_noted
from watchglass.store.text import storable

LOOK_SECONDS: Final = 0.5
EVERY: Final = 5.0
"""Seconds after which those that go on being held are noted again."""

MOST: Final = 200
"""Connections of a process that are noted: those that are open for the longest time."""

Seen = tuple[int, str, int, bool]
"""What tells one use from another: server process, database, the request's span, and whether the request has ended."""


def connections_in_use() -> list[Use]:
    """Those of this process, none while asyncpg is not observed."""
    observer = AsyncPGInstrumentor().observer
    return observer.backends.in_use() if observer else []


class HeldConnections:
    """`open_requests` gives the requests of a process that are being handled. `run` is for `Pipeline.run_on_loop`."""

    def __init__(
        self,
        pipeline: Pipeline,
        open_requests: Callable[[], Mapping[Request, Handled]],
        clock: Callable[[], float] = time.perf_counter,
        in_use: Callable[[], Sequence[Use]] = connections_in_use,
    ) -> None:
        """The clock is the recorder's."""
        self._pipeline = pipeline
        self._open = open_requests
        self._clock = clock
        self._in_use = in_use
        self._before: set[Seen] = set()

    async def run(self) -> None:
        """Look for as long as the pipeline runs; at its end nothing is left in the store."""
        await keep_noted(self._held, self._note, LOOK_SECONDS, EVERY)

    def _held(self) -> dict[Hashable, Use]:
        """Those that were in use for the same request at the last look already, each once."""
        now = {_seen(use): use for use in sorted(self._in_use(), key=lambda use: -use.connected)}
        before, self._before = self._before, set(now)
        held = [(seen, use) for seen, use in now.items() if seen in before]
        return dict(held[-MOST:])

    async def _note(self, held: Sequence[Use]) -> None:
        open_requests, now = self._open(), self._clock()
        rows = {(use.pid, use.database): _row(use, open_requests, now) for use in held}
        query, instance = sql.load("backends")["set_backends"], self._pipeline.instance.instance_id
        async with self._pipeline.borrow() as connection:
            await set_noted(connection, query, instance, list(rows.values()))


def _seen(use: Use) -> Seen:
    request = use.request
    return use.pid, use.database, request.span_id if request else 0, request is not None and request.closed


def _row(use: Use, open_requests: Mapping[Request, Handled], now: float) -> tuple[Any, ...]:
    request = use.request
    if request is not None and (handled := open_requests.get(request)) is not None:
        with guard.protected("held connections"):
            handled.known()  # which finds its route
    return (
        use.pid,
        storable(use.database),
        max(0.0, now - use.connected),
        bytes.fromhex(request.trace_hex) if request else None,
        bytes.fromhex(request.span_hex) if request else None,
        storable(span_name(request)) if request else None,
        request is not None and request.closed,
    )
