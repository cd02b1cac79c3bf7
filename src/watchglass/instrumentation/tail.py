"""Which traces are kept, decided once a request ended: errors, slow ones, and the first of each endpoint a minute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from watchglass import meters
from watchglass.instrumentation import attributes
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.request import Child, Request, new_span_id
from watchglass.records import SpanRecord, Trace
from watchglass.settings import Settings

CLIENT_DISCONNECT = "client_disconnect"
"""The `error.type` of a response that the client did not wait for."""

ABANDONED = frozenset({CLIENT_DISCONNECT, "asyncio.exceptions.CancelledError"})
"""Ends that are nobody's error: they alone do not keep a trace."""

_MINUTE_NS = 60_000_000_000


class Tail:
    """Keeps at most `traces_per_minute` traces a minute, of one endpoint at most half of them."""

    def __init__(self, settings: Settings, recorder: Recorder, offer: Callable[[Trace], None]) -> None:
        self._limit = settings.traces_per_minute
        self._of_one = max(1, self._limit // 2)
        self._slow = settings.slow_request_seconds
        self._offer = offer
        self._recorder = recorder
        self._seen = recorder.counter(meters.TRACES_SEEN)
        self._minute = 0
        self._kept: Counter[tuple[str, str | None]] = Counter()
        self._total = 0

    def ended(self, request: Request, seconds: float, scope: Mapping[str, Any]) -> None:
        """Decide on a request that took `seconds`; offer its trace if it is kept."""
        self._seen.add()
        minute = request.start_ns // _MINUTE_NS
        if minute > self._minute:
            self._minute, self._total = minute, 0
            self._kept.clear()
        endpoint = (request.method, request.route)
        reason = self._reason(request, seconds, endpoint)
        if reason is None or self._total >= self._limit or self._kept[endpoint] >= self._of_one:
            return
        self._total += 1
        self._kept[endpoint] += 1
        self._recorder.counter(meters.TRACES_KEPT, (reason,)).add()
        self._offer(trace_of(request, scope, reason))

    def _reason(self, request: Request, seconds: float, endpoint: tuple[str, str | None]) -> str | None:
        if request.error is not None and request.error not in ABANDONED:
            return "error"
        if seconds >= self._slow:
            return "slow"
        return None if endpoint in self._kept else "first"


def trace_of(request: Request, scope: Mapping[str, Any], reason: str) -> Trace:
    """The trace of an ended request, its server span first."""
    root = SpanRecord(
        request.trace_id,
        request.span_id,
        request.parent_id,
        attributes.span_name(request),
        "server",
        request.start_ns,
        request.time_ns(request.end),
        {**attributes.of_scope(scope), **attributes.of_outcome(request)},
        request.error,
    )
    children = [_child(request, child) for child in list(request.children)]
    return Trace(root, (root, *children), reason, request.dropped_children)


def _child(request: Request, child: Child) -> SpanRecord:
    return SpanRecord(
        request.trace_id,
        child.span_id or new_span_id(),
        child.parent_id or request.span_id,
        child.name,
        child.kind,
        request.time_ns(child.start),
        request.time_ns(child.end),
        dict(child.attributes),
        child.error,
    )
