"""Meeting the host's OpenTelemetry: its providers are used where it set them, and never replaced."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.context import get_current as get_context
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer

from watchglass import __version__
from watchglass.instrumentation import contrib
from watchglass.instrumentation.request import Flat, Request, attributes_of, current_request

_tracer: tuple[object, Tracer | None] = (None, None)
"""The global provider last seen, and our tracer of it if it is one that records."""


def host_tracer() -> Tracer | None:
    """A tracer of the provider that the host set globally; None while it set none. Costs well under a microsecond."""
    global _tracer
    provider = getattr(trace, "_TRACER_PROVIDER", None)
    if provider is None:
        return None
    if _tracer[0] is not provider:
        records = not isinstance(provider, trace.NoOpTracerProvider | trace.ProxyTracerProvider)
        _tracer = (provider, provider.get_tracer("watchglass", __version__) if records else None)
    return _tracer[1]


def record_client_work(
    name: str,
    start: float,
    end: float,
    attributes: Mapping[str, Any] | Flat,
    error: str | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Take note of client work that ended: a child of the current request, if there is one.

    Where the host set a tracer provider it is a span of the host's as well, with the same ids. `start` and `end` are
    readings of `clock`, which is the recorder's.
    """
    request = current_request()
    tracer = host_tracer()
    if tracer is not None:
        named = attributes_of(attributes) if isinstance(attributes, tuple) else attributes
        _record_with(tracer, request, name, start, end, named, error, clock)
    elif request is not None:
        request.add_child(name, start, end, attributes, error, 0, _parent_within(request))


def _parent_within(request: Request) -> int:
    """The span of the application's own that is current, or 0 for the request itself."""
    if get_context() is request.context:  # nearly always, and a third of what it takes to look for the span
        return 0
    span = trace.get_current_span()
    if span is trace.INVALID_SPAN or isinstance(span, trace.NonRecordingSpan):
        return 0
    found = span.get_span_context()
    return found.span_id if found.trace_id == request.trace_id else 0


def _record_with(
    tracer: Tracer,
    request: Request | None,
    name: str,
    start: float,
    end: float,
    attributes: Mapping[str, Any],
    error: str | None,
    clock: Callable[[], float],
) -> None:
    system = attributes.get("db.system.name")
    if contrib.makes_spans_of(system):
        if request is not None:
            parent = contrib.around(system)
            parent_id = parent.span_id if parent.trace_id == request.trace_id else 0
            request.add_child(name, start, end, attributes, error, 0, parent_id)
        return
    started = request.time_ns(start) if request else time.time_ns() - round((clock() - start) * 1e9)
    parent = trace.get_current_span().get_span_context()
    span = tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes, start_time=started)
    if error is not None:
        span.set_attribute("error.type", error)
        span.set_status(Status(StatusCode.ERROR))
    span.end(started + round((end - start) * 1e9))
    if request is not None:
        parent_id = parent.span_id if parent.is_valid and parent.trace_id == request.trace_id else 0
        request.add_child(name, start, end, attributes, error, span.get_span_context().span_id, parent_id)
