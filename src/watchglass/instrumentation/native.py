"""Standing in for FastAPI's own telemetry (0.142 and newer), so that a request has one server span.

FastAPI leaves a request alone whose scope carries a request object already, and still tells that object which route it
chose, mounts included. Where the host uses that telemetry it loses nothing: the object then carries the host's span,
tracer and logger, and FastAPI's own instruments are recorded as it would have done.

All of this is private to FastAPI. Where it is not as expected there is no stand-in, from the first failure on, and
FastAPI's telemetry goes on beside ours.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from functools import wraps
from typing import Any, TypeVar

from opentelemetry import _logs, metrics, trace
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Tracer

from watchglass import guard
from watchglass.instrumentation.attributes import span_method
from watchglass.instrumentation.request import Request

_telemetry: Any
_key: Any
try:
    from fastapi.telemetry import _api

    _telemetry, _key = _api._RequestTelemetry, _api._REQUEST_TELEMETRY_KEY
    _telemetry(span=None, span_method="GET", tracer=None, logger=None, data=None, _mount_prefix="", _exceptions=[])
    _ = _telemetry.tracer, _telemetry.logger, _telemetry.route, _telemetry.status_code
    _globals = trace._TRACER_PROVIDER, metrics._internal._METER_PROVIDER, _logs._internal._LOGGER_PROVIDER
except (ImportError, AttributeError, TypeError):
    _telemetry = _key = None

SCOPE_KEY = "fastapi.telemetry"
_ON_METRICS = ("url.scheme", "http.request.method", "network.protocol.version")

Scope = MutableMapping[str, Any]
Method = TypeVar("Method", bound=Callable[..., Any])


def _or_give_up(otherwise: Any) -> Callable[[Method], Method]:
    """Have a method of `Native` end the stand-in where it fails, and return `otherwise`."""

    def decorate(method: Method) -> Method:
        @wraps(method)
        def guarded(self: Native, *args: Any) -> Any:
            try:
                return method(self, *args)
            except Exception:
                self._failed()
                return otherwise

        return guarded  # type: ignore[return-value]

    return decorate


class Native:
    """The stand-in for one application, FastAPI or not: one may be mounted in it."""

    available = _telemetry is not None

    def __init__(self, app: Any) -> None:
        self._telemetry: Any = getattr(app, "_native_telemetry", None) if self.available else None
        self._config: Any = getattr(app, "_telemetry", None) if self._telemetry is not None else None
        self._standing_in = self.available
        self._tracers: tuple[Any, Any] = (None, None)
        self.tells_route = self._telemetry is not None

    def give_up(self) -> None:
        """Leave FastAPI's own telemetry alone from now on."""
        self._telemetry = self._config = None
        self._standing_in = self.tells_route = False

    def _failed(self) -> None:
        self.give_up()
        guard.caught("FastAPI's own telemetry")

    def enabled(self, scope: Scope, beside_contrib: bool) -> bool:
        """Whether the host would have FastAPI's own telemetry for this request."""
        try:  # not by the decorator, which takes as long as all of this
            if self._telemetry is None or beside_contrib or self._nothing_provided():
                return False
            return self._telemetry.enabled() and not self.excludes(scope)
        except Exception:
            self._failed()
            return False

    @_or_give_up(False)
    def excludes(self, scope: Scope) -> bool:
        """Whether the host excluded this request from FastAPI's own telemetry."""
        exclude = self._config["exclude"] if self._config is not None else None
        return exclude is not None and bool(exclude(scope))

    def _nothing_provided(self) -> bool:
        """Whether the host plainly has no provider at all: the usual case, told in a fraction of a microsecond."""
        config = self._config
        return (
            trace._TRACER_PROVIDER is None
            and metrics._internal._METER_PROVIDER is None
            and _logs._internal._LOGGER_PROVIDER is None
            and config["tracer_provider"] is None
            and config["meter_provider"] is None
            and config["logger_provider"] is None
        )

    @_or_give_up(None)
    def tracer(self) -> Tracer | None:
        """The tracer FastAPI would use, where the host has a provider for it and did not turn its spans off."""
        provider = self._provider("tracing", "tracer_provider", trace.get_tracer_provider)
        if provider is None:
            return None
        if provider is not self._tracers[0]:
            self._tracers = provider, provider.get_tracer("fastapi", _version())
        return self._tracers[1]  # type: ignore[no-any-return]

    def _provider(self, signal: str, name: str, get_global: Callable[[], Any]) -> Any:
        """The provider of a signal that is turned on, or None."""
        if self._config is None or not self._config[signal]:
            return None
        provider = self._config[name] or get_global()
        return None if _api._unconfigured(provider) or type(provider).__name__.startswith("NoOp") else provider

    def stand_in(self, scope: Scope, request: Request, root_path: str, enabled: bool) -> Any:
        """Put a request object of ours into the scope and return it; None where there is none."""
        if not self._standing_in:
            return None
        try:
            telemetry = self._equip(request) if enabled else _bare()
            telemetry._mount_prefix = root_path.rstrip("/")
            scope[SCOPE_KEY] = telemetry
            return telemetry
        except Exception:
            self._failed()
            return None

    def _equip(self, request: Request) -> Any:
        telemetry = _telemetry(span=request.span, span_method=span_method(request))
        if request.span is not None and self._config["operation_spans"]:
            telemetry.tracer = self.tracer()
        provider = self._provider("logs", "logger_provider", _logs.get_logger_provider)
        if provider is not None:
            telemetry.logger = provider.get_logger("fastapi", _version())
        return telemetry

    @staticmethod
    def in_context(context: Context, telemetry: Any) -> Context:
        """The context with the request object, where FastAPI's spans of operations find it."""
        return otel_context.set_value(_key, telemetry, context)

    @_or_give_up(None)
    def meter(self, scope: Scope, request: Request) -> Meter | None:
        """FastAPI's own instruments for this request, if the host has a provider for them."""
        if self._provider("metrics", "meter_provider", metrics.get_meter_provider) is None:
            return None
        return Meter(self._telemetry._instruments(), scope, request)


class Meter:
    """FastAPI's `http.server.request.duration` and `http.server.active_requests` of one request."""

    __slots__ = ("_active", "_attributes", "_duration")

    def __init__(self, instruments: Any, scope: Scope, request: Request) -> None:
        self._duration, self._active = instruments
        values = (scope.get("scheme", "http"), request.method, scope.get("http_version"))
        self._attributes = {name: value for name, value in zip(_ON_METRICS, values, strict=True) if value}
        self._active.add(1, self._base)

    @property
    def _base(self) -> dict[str, Any]:
        return {name: value for name, value in self._attributes.items() if name != "network.protocol.version"}

    def record(self, seconds: float, outcome: dict[str, Any]) -> None:
        """Record the request's end, with what is known of it then."""
        self._active.add(-1, self._base)
        self._duration.record(seconds, {**self._attributes, **outcome})


def _bare() -> Any:
    """FastAPI's request object as cheaply as it can be made: the class has the defaults of what is not set."""
    telemetry = _telemetry.__new__(_telemetry)
    telemetry.span = telemetry.data = None
    telemetry._exceptions = []
    return telemetry


def _version() -> str:
    import fastapi

    return fastapi.__version__
