"""The local roots of one application: opened when a request comes, ended with its response.

Where the host has a tracer provider the root is a span of the host's, made by the tracer that would have made it
without us; else it is ids and numbers only, carried in the OpenTelemetry context as a span that records nothing.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Status, StatusCode, Tracer

from watchglass.instrumentation import attributes, contrib
from watchglass.instrumentation.native import SCOPE_KEY, Native
from watchglass.instrumentation.propagation import EMPTY_STATE, CarriedSpan, Parent, Reader, remote_span
from watchglass.instrumentation.providers import host_tracer
from watchglass.instrumentation.request import (
    Request,
    current_request,
    new_span_id,
    new_trace_id,
    reset_current_request,
    set_current_request,
)
from watchglass.instrumentation.routes import Templates, root_path_of
from watchglass.instrumentation.sampling import Sampler

Scope = MutableMapping[str, Any]

MARK = "watchglass.request"
"""Where the scope carries its request; a layer further in, of an application mounted or wrapped, leaves it alone."""


class Root:
    """An open root: its request, and what belongs to it until its end. `context` None: the host's own is in force."""

    __slots__ = ("_tokens", "context", "meter", "request", "root_path", "scope", "telemetry")

    def __init__(self, request: Request, scope: Scope, root_path: str, context: Context | None) -> None:
        self.request = request
        self.scope = scope
        self.root_path = root_path
        self.context = context
        self.telemetry: Any = None
        self.meter: Any = None
        self._tokens: tuple[Any, Any] | None = None

    def attach(self) -> None:
        """Make it the current request and its span the current span."""
        attached = otel_context.attach(self.context) if self.context is not None else None
        self.request.context = self.context
        self._tokens = set_current_request(self.request), attached

    def close(self) -> None:
        """Undo `attach`, and leave nothing in the scope; what is still done for the request is not its own any more."""
        self.request.closed, self.request.context = True, None
        self.scope.pop(MARK, None)
        self.scope.pop(SCOPE_KEY, None)
        if self._tokens is None:
            return
        current, attached = self._tokens
        try:
            reset_current_request(current)
            if attached is not None:
                otel_context.detach(attached)
        except ValueError:
            pass  # a call that was abandoned is closed in another context


class Roots:
    """Opens and ends the local roots of `app`; `sampler` decides where no tracer of the host's does."""

    def __init__(self, app: Any, clock: Callable[[], float], sampler: Sampler | None = None) -> None:
        self._app = app
        self._clock = clock
        self._sampler = sampler
        self._reader = Reader()
        self._native = Native(app)
        self._templates = Templates(app)
        self._stack: Any = None
        self._contrib: Tracer | None = None

    def open(self, scope: Scope, method: str) -> Root:
        """The root of the request in `scope`; the caller attaches and closes it."""
        start = self._clock()
        root_path = root_path_of(self._app, scope)
        outer = trace.get_current_span()
        if outer is not INVALID_SPAN and current_request() is None and _serves(outer):
            root = Root(_adopted(outer, scope, method, start), scope, root_path, None)
            native = False
        else:
            stack = self._built_stack()
            native = self._native.enabled(scope, self._contrib is not None)
            root = self._begin(scope, method, start, root_path, self._tracer(scope, native, stack))
        scope[MARK] = root.request
        root.telemetry = self._native.stand_in(scope, root.request, root_path, native)
        if native and root.telemetry is not None:
            self._take_over(root)
        return root

    def _begin(self, scope: Scope, method: str, start: float, root_path: str, tracer: Tracer | None) -> Root:
        parent, context = self._reader.read(dict(scope["headers"]))
        if parent is None and current_request() is not None:
            parent = _local_parent()
        request = _host_request(tracer, scope, method, start, parent, context) if tracer is not None else None
        if request is not None:
            span: Span = request.span
        else:
            request = _own_request(scope, method, start, parent, self._sampler)
            span = CarriedSpan(request, EMPTY_STATE if parent is None else parent.state)
        return Root(request, scope, root_path, trace.set_span_in_context(span, context))

    def _take_over(self, root: Root) -> None:
        """Do what FastAPI's own telemetry would have done for the host."""
        if root.context is not None:
            root.context = self._native.in_context(root.context, root.telemetry)
        if root.request.protocol == "http":
            root.meter = self._native.meter(root.scope, root.request)

    def end(self, root: Root, seconds: float) -> None:
        """Complete the request, whose `end`, `status` and `error` are set, with its route; end the host's span."""
        request = root.request
        request.route = self.route(root)
        if request.span is None and root.meter is None:
            return
        outcome = attributes.of_outcome(request)
        if root.meter is not None:
            root.meter.record(seconds, outcome)
        span = request.span
        if span is not None and span.is_recording():
            span.set_attributes(outcome)
            span.update_name(attributes.span_name(request))
            if request.error is not None:
                span.set_status(Status(StatusCode.ERROR))
            span.end(request.time_ns(request.end))

    def route(self, root: Root) -> str | None:
        """The route that the request has been given by now."""
        telemetry = root.telemetry
        if telemetry is None or not self._native.tells_route:
            return self._templates.of(root.scope, root.root_path)
        route: str | None = telemetry.route
        if route is not None and route == telemetry._mount_prefix + "/{path}":
            return self._templates.of(root.scope, root.root_path) or route
        return route

    def _tracer(self, scope: Scope, native: bool, stack: Any) -> Tracer | None:
        if stack is not self._stack:
            self._stack, self._contrib = stack, contrib.stand_beside(stack)
        if self._contrib is not None and contrib.records(self._contrib):
            return self._contrib
        if native:
            return self._native.tracer() or host_tracer()
        tracer = host_tracer()
        return None if tracer is None or self._native.excludes(scope) else tracer

    def _built_stack(self) -> Any:
        """The application's middlewares, built now if this is its first request, as Starlette is about to do."""
        stack = getattr(self._app, "middleware_stack", self._app)
        if stack is None:
            stack = self._app.middleware_stack = self._app.build_middleware_stack()
        return stack

    def step_aside(self) -> None:
        """Give back what was taken from the middlewares of the host."""
        contrib.step_aside(self._stack)
        self._stack = self._contrib = None


def _serves(span: Span) -> bool:
    """Whether the current span is the server span already: contrib wrapped around the application by hand."""
    return span.is_recording() and getattr(span, "kind", None) is SpanKind.SERVER


def _adopted(span: Span, scope: Scope, method: str, start: float) -> Request:
    found = span.get_span_context()
    parent = getattr(span, "parent", None)
    parent_id = parent.span_id if parent is not None else None
    return Request(found.trace_id, found.span_id, parent_id, True, start, method, scope["type"])


def _host_request(
    tracer: Tracer, scope: Scope, method: str, start: float, parent: Parent | None, context: Context
) -> Request | None:
    """The request as a span of the host's tracer; None if the tracer makes none."""
    request = Request(0, 0, parent.span_id if parent else None, False, start, method, scope["type"])
    if parent is not None:
        context = trace.set_span_in_context(remote_span(parent), context)
    span = tracer.start_span(
        attributes.span_method(request),
        context,
        SpanKind.SERVER,
        attributes.of_scope(scope),
        start_time=request.start_ns,
    )
    found = span.get_span_context()
    if not found.is_valid or found.span_id == request.parent_id:
        return None
    request.identify(found.trace_id, found.span_id, found.trace_flags.sampled)
    request.span = span
    return request


def _own_request(scope: Scope, method: str, start: float, parent: Parent | None, sampler: Sampler | None) -> Request:
    if parent is None:
        request = Request(new_trace_id(), new_span_id(), None, True, start, method, scope["type"])
    else:
        request = Request(parent.trace_id, new_span_id(), parent.span_id, parent.sampled, start, method, scope["type"])
    if sampler is not None:
        request.sampled = sampler(request.trace_id, parent)
    return request


def _local_parent() -> Parent | None:
    """The current span, as the parent of a request that this process makes to itself."""
    found = trace.get_current_span().get_span_context()
    if not found.is_valid:
        return None
    return Parent(found.trace_id, found.span_id, found.trace_flags.sampled, found.trace_state)
