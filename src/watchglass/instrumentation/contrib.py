"""Standing beside contrib's ASGI middleware in the host's stack, so that a request has one server span.

Its middleware goes on measuring and calling its hooks; only the span it would start is the one that is there already.
Suppressing it by the context would take the spans of outbound calls with it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import NoOpTracer, ProxyTracer, Span, SpanContext, Tracer

from watchglass import guard
from watchglass.instrumentation.request import current_request

_CLIENTS = {
    "postgresql": ("opentelemetry.instrumentation.asyncpg", "AsyncPGInstrumentor"),
    "redis": ("opentelemetry.instrumentation.redis", "RedisInstrumentor"),
}


def middlewares(stack: Any) -> Iterator[Any]:
    """Contrib's middlewares in a built stack, outermost first."""
    seen: set[int] = set()
    while stack is not None and id(stack) not in seen:
        seen.add(id(stack))
        cls = type(stack)
        if cls.__name__ == "OpenTelemetryMiddleware" and cls.__module__.startswith("opentelemetry.instrumentation"):
            yield stack
        stack = getattr(stack, "app", None)


def stand_beside(stack: Any) -> Tracer | None:
    """Have contrib's middlewares in `stack` share the server span; the tracer of the outermost, None if none is."""
    found: Tracer | None = None
    for middleware in middlewares(stack):
        tracer = getattr(middleware, "tracer", None)
        if isinstance(tracer, SharingTracer):
            tracer = tracer.original
        elif tracer is not None:
            middleware.tracer = SharingTracer(tracer)
        found = found or tracer
    return found


def step_aside(stack: Any) -> None:
    """Give contrib's middlewares their own tracers back."""
    for middleware in middlewares(stack):
        if isinstance(getattr(middleware, "tracer", None), SharingTracer):
            middleware.tracer = middleware.tracer.original


def records(tracer: Tracer) -> bool:
    """Whether a tracer makes spans that somebody gets."""
    if isinstance(tracer, ProxyTracer):
        return getattr(trace, "_TRACER_PROVIDER", None) is not None
    return not isinstance(tracer, NoOpTracer)


def makes_spans_of(system: Any) -> bool:
    """Whether contrib's instrumentor of a database client is at work, so that the host has its spans from there."""
    module, name = _CLIENTS.get(system, ("", ""))
    instrumentor = getattr(sys.modules.get(module), name, None)
    return bool(getattr(getattr(instrumentor, "_instance", None), "_is_instrumented_by_opentelemetry", False))


def around(system: Any) -> SpanContext:
    """The current span; that around it, where it is contrib's of an operation of this system."""
    span = trace.get_current_span()
    scope = getattr(getattr(span, "instrumentation_scope", None), "name", None)
    return (scope == _CLIENTS[system][0] and getattr(span, "parent", None)) or span.get_span_context()


class SharingTracer(Tracer):
    """A tracer whose first span in a request is the request's own."""

    def __init__(self, original: Tracer) -> None:
        self.original = original

    def start_span(self, name: str, *args: Any, **kwargs: Any) -> Span:
        try:
            shared = _shared(kwargs.get("attributes"))
        except Exception:
            guard.caught("shared span")
            shared = None
        return shared or self.original.start_span(name, *args, **kwargs)

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> AbstractContextManager[Span]:  # type: ignore[override]
        return self.original.start_as_current_span(*args, **kwargs)


def _shared(attributes: Any) -> SharedSpan | None:
    """The server span, with contrib's attributes too; None where another span is current."""
    current, request = trace.get_current_span(), current_request()
    if request is None or request.span is None or current is not request.span:
        return None
    current.set_attributes(attributes or {})
    return SharedSpan(current)


class SharedSpan(Span):
    """A span that somebody else ends: over for contrib once contrib ended it, as its own would be."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._over = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._span, name)

    def end(self, end_time: int | None = None) -> None:
        self._over = True

    def is_recording(self) -> bool:
        return not self._over and self._span.is_recording()

    def get_span_context(self) -> trace.SpanContext:
        return self._span.get_span_context()

    def set_attributes(self, attributes: Any) -> None:
        self._span.set_attributes(attributes)

    def set_attribute(self, key: str, value: Any) -> None:
        self._span.set_attribute(key, value)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        self._span.add_event(name, attributes, timestamp)

    def add_link(self, context: trace.SpanContext, attributes: Any = None) -> None:
        self._span.add_link(context, attributes)

    def update_name(self, name: str) -> None:
        self._span.update_name(name)

    def set_status(self, status: Any, description: str | None = None) -> None:
        if not self._over:
            self._span.set_status(status, description)

    def record_exception(self, *args: Any, **kwargs: Any) -> None:
        if not self._over:
            self._span.record_exception(*args, **kwargs)
