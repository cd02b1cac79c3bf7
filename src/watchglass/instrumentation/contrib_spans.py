"""The spans of contrib's instrumentors of clients, as children of the request that they were made for.

Where the host has a tracer provider each is a span of the host's as well, made by the tracer that contrib would have
had without us, with the same ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, SpanContext, SpanKind, StatusCode, Tracer, TracerProvider

from watchglass import guard, redaction
from watchglass.instrumentation.operations import error_type
from watchglass.instrumentation.outbound import note_http
from watchglass.instrumentation.providers import host_tracer
from watchglass.instrumentation.request import Request, current_request, new_span_id

_PLACE = "instrumentation.contrib"
_MAX_NAME = 200


class ChildProvider(TracerProvider):
    """Given to contrib's instrumentors. `clock` is the recorder's."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock

    def get_tracer(self, *args: Any, **kwargs: Any) -> Tracer:
        return ChildTracer(self._clock, args, kwargs)


class ChildTracer(Tracer):
    """A tracer of one of contrib's instrumentors; `args` and `kwargs` are what it asks a provider for a tracer with."""

    def __init__(self, clock: Callable[[], float], args: Any, kwargs: Any) -> None:
        self._clock = clock
        self._asked = args, kwargs
        self._hosts: tuple[Any, Tracer | None] = (None, None)

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> Span:
        if guard.own_work.get():
            return INVALID_SPAN
        tracer = self._of_host()
        inner = None if tracer is None else tracer.start_span(name, context, kind, attributes, *args, **kwargs)
        try:
            return self._child(name, context, kind, attributes, inner)
        except Exception:
            guard.caught(_PLACE)
            return inner or INVALID_SPAN

    def _child(self, name: str, context: Context | None, kind: SpanKind, attributes: Any, inner: Span | None) -> Span:
        request = current_request()
        if request is None:
            return inner or INVALID_SPAN
        parent = trace.get_current_span(context).get_span_context()
        return ChildSpan(name, request, inner, parent, dict(attributes or {}), self._clock, kind)

    @contextmanager
    def start_as_current_span(  # type: ignore[override]
        self,
        name: str,
        *args: Any,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
        **kwargs: Any,
    ) -> Iterator[Span]:
        span = self.start_span(name, *args, **kwargs)
        with trace.use_span(span, end_on_exit, record_exception, set_status_on_exception) as current:
            yield current

    def _of_host(self) -> Tracer | None:
        try:
            if host_tracer() is None:
                return None
            provider = trace.get_tracer_provider()
            if provider is not self._hosts[0]:
                args, kwargs = self._asked
                self._hosts = provider, provider.get_tracer(*args, **kwargs)
            return self._hosts[1]
        except Exception:
            guard.caught(_PLACE)
            return None


class ChildSpan(Span):
    """A span of client work; `inner` is the host's, if it has a provider."""

    def __init__(
        self,
        name: str,
        request: Request,
        inner: Span | None,
        parent: SpanContext,
        attributes: dict[str, Any],
        clock: Callable[[], float],
        kind: SpanKind = SpanKind.CLIENT,
    ) -> None:
        self._name = name
        self._kind: Any = kind.name.lower()
        self._request = request
        self._inner = inner or INVALID_SPAN
        self._parent_id = parent.span_id if parent.trace_id == request.trace_id else 0
        self._attributes = attributes
        self._clock = clock
        self._start = clock()
        self._error: str | None = None
        self._over = False
        self._context = inner.get_span_context() if inner is not None else _below(request, parent)

    def end(self, end_time: int | None = None) -> None:
        self._inner.end(end_time)
        if self._over:
            return
        self._over = True
        try:
            end = self._clock()
            if self._kind == "client":
                note_http(self._attributes, self._start, end)
            name, attributes = redaction.text(self._name, None, _MAX_NAME), redaction.attributes(self._attributes)
            ids = self._context.span_id, self._parent_id
            self._request.add_child(name, self._start, end, attributes, self._error, *ids, self._kind)
        except Exception:
            guard.caught(_PLACE)

    def get_span_context(self) -> SpanContext:
        return self._context

    def is_recording(self) -> bool:
        return not self._over

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        self._attributes.update(attributes)
        self._inner.set_attributes(attributes)

    def set_attribute(self, key: str, value: Any) -> None:
        self._attributes[key] = value
        self._inner.set_attribute(key, value)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        self._inner.add_event(name, attributes, timestamp)

    def update_name(self, name: str) -> None:
        self._name = name
        self._inner.update_name(name)

    def set_status(self, status: Any, description: str | None = None) -> None:
        code = getattr(status, "status_code", status)
        self._error = (self._error or "_OTHER") if code is StatusCode.ERROR else None
        self._inner.set_status(status, description)

    def record_exception(self, exception: BaseException, *args: Any, **kwargs: Any) -> None:
        try:
            self._error = error_type(exception)
        except Exception:
            guard.caught(_PLACE)
        self._inner.record_exception(exception, *args, **kwargs)

    @property
    def name(self) -> str:
        """Contrib's instrumentor of Redis reads it."""
        return self._name


def _below(request: Request, parent: SpanContext) -> SpanContext:
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if request.sampled else trace.TraceFlags.DEFAULT)
    return SpanContext(request.trace_id, new_span_id(), False, flags, parent.trace_state)
