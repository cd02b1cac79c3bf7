"""Which traces are kept, decided once a request ended, when it is known what came of it.

Errors, limited by group; slow ones, over their endpoint's own 99th percentile or the setting; the first of each
endpoint and latency band a minute; and a random share, chosen by the trace id as OpenTelemetry's consistent
probability sampling does, so that services which handled the same trace keep the same ones. A caller that has not
sampled its trace takes it out of that share only: what fails or is slow here is worth reading whoever called.
https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import frexp, inf
from typing import Any, Final, Protocol

from watchglass import meters
from watchglass.instrumentation import attributes
from watchglass.instrumentation.allowance import GROUP_IS_FULL, Allowance
from watchglass.instrumentation.error_groups import ErrorGroups, counted
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.request import Child, ChildFields, Request, new_span_id
from watchglass.instrumentation.slowness import Slowness
from watchglass.records import SpanRecord, Trace
from watchglass.settings import Settings

CLIENT_DISCONNECT = "client_disconnect"
"""The `error.type` of a response that the client did not wait for."""

ABANDONED = frozenset({CLIENT_DISCONNECT, "asyncio.exceptions.CancelledError"})
"""Ends that are nobody's error: they alone do not keep a trace."""

NOT_CHOSEN: Final = "not_chosen"
"""Why most traces are not kept: nothing is special about them."""

_MINUTE = 60.0
"""Of the recorder's clock, which nobody sets back."""

_RANDOM_BITS = (1 << 56) - 1
_FASTEST, _FASTEST_SECONDS = -9, 2.0**-9
"""All below two milliseconds is one band, what is above has one per power of two."""

_TEXT = "db.query.text"
_CONNECTION = 1 << 10
"""The band of connections, which have no duration."""


class Handled(Protocol):
    """A request that is being handled."""

    def known(self) -> dict[str, Any]:
        """What is known of it before its end, as attributes of its span; its route is set if it is known."""


class Tail:
    """Decides on the requests of a process. `open` are those that are being handled.

    `ended_too` is told each request that ended. A trace that is not kept costs well under a microsecond.
    """

    def __init__(
        self,
        settings: Settings,
        recorder: Recorder,
        offer: Callable[[Trace], None],
        errors: ErrorGroups | None = None,
        ended_too: Callable[[Request], None] | None = None,
    ) -> None:
        self.open: dict[Request, Handled] = {}
        self._errors = errors or ErrorGroups(settings.redaction_key)
        self._ended_too = ended_too
        self._allowance = Allowance(settings)
        self._slowness = Slowness(recorder, settings.slow_request_seconds)
        self._not_random = round((1 - settings.random_trace_share) * (_RANDOM_BITS + 1))
        self._offer = offer
        self._recorder = recorder
        self._seen = recorder.counter(meters.TRACES_SEEN)
        self._passed_over = recorder.counter(meters.TRACES_DROPPED, (NOT_CHOSEN,))
        self._considered = 0
        self._minute = -inf
        self._endpoints: dict[tuple[str, str | None], _Endpoint] = {}
        recorder.before_collect(self._count)

    def failed(self, request: Request, error: BaseException) -> None:
        """Take note of the exception that ended a request, while it is there."""
        if request.error is not None and request.error not in ABANDONED:
            request.error_group = counted(self._errors, error, request.error)

    def ended(self, request: Request, seconds: float | None, scope: Mapping[str, Any]) -> None:
        """Decide on a request that took `seconds`, None for a connection; offer its trace if it is kept."""
        self._seen.add()
        try:
            self._decide(request, seconds, scope)
        finally:
            if self._ended_too is not None:  # last, for its group of errors is known by now
                request.path, request.span = scope["path"], None
                self._ended_too(request)

    def _decide(self, request: Request, seconds: float | None, scope: Mapping[str, Any]) -> None:
        minute = request.end // _MINUTE
        if minute > self._minute:
            self._minute = minute
            self._endpoints = {}
            self._allowance.begin()
        key = request.method, request.route
        endpoint = self._endpoints.get(key) or self._endpoint(key)
        if seconds is None:
            band, slow = _CONNECTION, False
        else:
            band = frexp(seconds)[1] if seconds > _FASTEST_SECONDS else _FASTEST
            slow = seconds >= endpoint.slow
        if request.error is not None or slow or band not in endpoint.bands or self._is_random(request):
            refused = self._consider(request, seconds, scope, self._reason(request, slow, band not in endpoint.bands))
            if refused != GROUP_IS_FULL:  # which is no word about the others of its band
                endpoint.bands.add(band)

    def _endpoint(self, key: tuple[str, str | None]) -> _Endpoint:
        return self._endpoints.setdefault(key, _Endpoint(self._slowness.limit(key)))

    def _is_random(self, request: Request) -> bool:
        if request.trace_id & _RANDOM_BITS < self._not_random:
            return False
        return request.sampled or request.parent_id is None

    def _reason(self, request: Request, slow: bool, first: bool) -> str | None:
        if request.error is not None and request.error not in ABANDONED:
            if request.error_group is None:
                request.error_group = self._errors.of_status(request.error, attributes.span_name(request))
            return "error"
        if slow:
            return "slow"
        return "first" if first else "random" if self._is_random(request) else None

    def _consider(
        self, request: Request, seconds: float | None, scope: Mapping[str, Any], reason: str | None
    ) -> str | None:
        """Keep a trace that is worth it, or count why there is no room and say it."""
        if reason is None:
            return None
        self._considered += 1
        weight = 2_000 + sum(map(_weight, request.client_work))
        refused = self._allowance.take(reason, (request.method, request.route), request.error_group, weight)
        if refused is not None:
            self._recorder.counter(meters.TRACES_DROPPED, (refused,)).add()
            return refused
        self._recorder.counter(meters.TRACES_KEPT, (reason,)).add()
        self._offer(trace_of(request, scope, reason, seconds))
        return None

    def _count(self) -> None:
        """Say of how many traces nobody thought twice."""
        self._passed_over.value = max(self._passed_over.value, self._seen.value - self._considered)


class _Endpoint:
    """An endpoint in one minute: from when on it is slow, and the bands of which a trace was considered."""

    __slots__ = ("bands", "slow")

    def __init__(self, slow: float) -> None:
        self.slow = slow
        self.bands: set[int] = set()


def _weight(child: ChildFields) -> int:
    """The bytes of a span, about: the text of its statement is most of a long one."""
    attributes = child[3]
    names = attributes[::2]
    text = attributes[2 * names.index(_TEXT) + 1] if _TEXT in names else None
    return 1_000 + max(500, len(text or ""))


def trace_of(request: Request, scope: Mapping[str, Any], reason: str, seconds: float | None = None) -> Trace:
    """The trace of an ended request that took `seconds`, its server span first."""
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
    spans = (root, *children_of(request))
    return Trace(root, spans, reason, request.dropped_children, request.error_group, seconds, request.sampled)


def children_of(request: Request) -> list[SpanRecord]:
    """The work that was done for a request so far, as spans."""
    return [_child(request, child) for child in request.children]


def _child(request: Request, child: Child) -> SpanRecord:
    return SpanRecord(
        request.trace_id,
        child.span_id or new_span_id(),
        child.parent_id or request.span_id,
        child.name,
        child.kind,
        request.time_ns(child.start),
        request.time_ns(child.end),
        child.attributes,
        child.error,
    )
