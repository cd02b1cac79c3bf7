"""The trace a request belongs to: read from its headers, told in those of the response.

W3C trace context is read here, in a microsecond. What the host propagates beyond it (baggage, trace state, other
formats) goes through the propagators that the host set.
https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Any, NamedTuple

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, TraceFlags, TraceState

from watchglass.instrumentation.request import Request

_TRACEPARENT = re.compile(rb"[ \t]*(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]*)?[ \t]*")
_W3C = frozenset({"traceparent", "tracestate", "baggage"})
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_NOT_SAMPLED = TraceFlags(TraceFlags.DEFAULT)
EMPTY_STATE = TraceState.get_default()

Headers = Mapping[bytes, bytes]


class Parent(NamedTuple):
    """The remote span that caused a request, and the context it sent along."""

    trace_id: int
    span_id: int
    sampled: bool
    state: TraceState = EMPTY_STATE


class Incoming(NamedTuple):
    """What the headers of a request say: a parent, and a context with all that the propagators know."""

    parent: Parent | None
    context: Context


NOTHING = Incoming(None, Context())


def parse_traceparent(value: bytes) -> Parent | None:
    """The parent a `traceparent` header names; None if it is malformed, which starts a new trace."""
    found = _TRACEPARENT.fullmatch(value)
    if found is None or (found[1] == b"00" and found[5] is not None):
        return None
    trace_id, span_id = int(found[2], 16), int(found[3], 16)
    if not trace_id or not span_id:
        return None
    return Parent(trace_id, span_id, bool(int(found[4], 16) & TraceFlags.SAMPLED))


class Reader:
    """Reads the parent of requests by the propagators in force."""

    def __init__(self) -> None:
        self._propagator: Any = None
        self._plain = True

    def read(self, headers: Headers) -> Incoming:
        """What these headers (names in lower case) say."""
        propagator = propagate.get_global_textmap()
        if propagator is not self._propagator:
            self._plain = "traceparent" in propagator.fields and propagator.fields <= _W3C
            self._propagator = propagator
        if not self._plain or b"tracestate" in headers or b"baggage" in headers:
            return _extract(headers)
        value = headers.get(b"traceparent")
        parent = parse_traceparent(value) if value is not None else None
        return Incoming(parent, NOTHING.context) if parent is not None else NOTHING


def _extract(headers: Headers) -> Incoming:
    carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
    context = propagate.extract(carrier, Context())
    found = trace.get_current_span(context).get_span_context()
    if not found.is_valid:
        return Incoming(None, context)
    return Incoming(Parent(found.trace_id, found.span_id, found.trace_flags.sampled, found.trace_state), context)


class CarriedSpan(NonRecordingSpan):
    """A span that records nothing and tells the ids of a request to whoever asks."""

    def __init__(self, request: Request, state: TraceState) -> None:
        self._request = request
        self._state = state

    def __repr__(self) -> str:
        return f"CarriedSpan({self.get_span_context()!r})"

    def get_span_context(self) -> SpanContext:
        request = self._request
        flags = _SAMPLED if request.sampled else _NOT_SAMPLED
        return SpanContext(request.trace_id, request.span_id, False, flags, self._state)


def remote_span(parent: Parent) -> Span:
    """The caller's span, as the parent of one that a tracer of the host's makes."""
    flags = _SAMPLED if parent.sampled else _NOT_SAMPLED
    return NonRecordingSpan(SpanContext(parent.trace_id, parent.span_id, True, flags, parent.state))


def response_headers(headers: list[tuple[bytes, bytes]], names: Container[bytes], request: Request) -> None:
    """Add `X-Trace-ID` and `traceparent` to a response that has headers `names`; what it has already stays alone."""
    if b"x-trace-id" not in names:
        headers.append((b"x-trace-id", request.trace_hex.encode()))
    if b"traceparent" not in names:
        flags = "01" if request.sampled else "00"
        headers.append((b"traceparent", f"00-{request.trace_hex}-{request.span_hex}-{flags}".encode()))
