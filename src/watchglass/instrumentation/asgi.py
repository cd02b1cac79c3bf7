"""Entering an application: its class is replaced for this one instance, so that we stand outside everything it has.

Outside its middlewares, whenever they are added; outside FastAPI's own telemetry; and around the response to an
exception that nothing caught. `leave` undoes it.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from watchglass import guard
from watchglass.instrumentation.attributes import KNOWN_METHODS, OTHER_METHOD
from watchglass.instrumentation.budget import Budget
from watchglass.instrumentation.exchange import Exchange, Instruments, Message, Receive, Send
from watchglass.instrumentation.excluded import pattern_of, url_of
from watchglass.instrumentation.native import SCOPE_KEY
from watchglass.instrumentation.outbound import Outbound
from watchglass.instrumentation.own import OwnPaths
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.roots import MARK, Roots
from watchglass.instrumentation.sampling import sampler_of
from watchglass.instrumentation.server_timing import ServerTiming
from watchglass.instrumentation.tail import Tail
from watchglass.instrumentation.websocket import Connection
from watchglass.records import Trace
from watchglass.settings import Settings

Scope = MutableMapping[str, Any]
Application = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Observer:
    """What the layer around an application reports to, and what it answers itself.

    `on_serving` is called once the process serves, in its event loop: after a complete start-up, or with the first
    request. `on_shutdown` is awaited after the application shut down and before the server hears of it. `own_app`
    answers `own_exact` paths and what begins with `own_prefixes`, except where the host has that very path itself.
    `budget` and `tail` are shared by the applications of a process; `timing` says who is told of it in a response;
    `failed` is told what exception a request ended with.
    """

    recorder: Recorder
    settings: Settings
    offer_trace: Callable[[Trace], None]
    on_serving: Callable[[], None]
    on_shutdown: Callable[[], Awaitable[None]]
    own_app: Application | None = None
    own_exact: frozenset[str] = frozenset()
    own_prefixes: tuple[str, ...] = ()
    budget: Budget | None = None
    tail: Tail | None = None
    timing: ServerTiming | None = None
    failed: Callable[[BaseException], None] | None = None


def enter(app: Any, observer: Observer, *, inside: bool = False) -> Any:
    """Observe `app`, an ASGI application, and return what is to be served: `app` itself wherever possible.

    Entering twice is entering once. `inside` mounts our paths as ordinary routes of the application, behind its own
    middlewares.
    """
    if layer_of(app) is not None:
        return app
    layer = Layer(app, observer, inside)
    try:
        app.__class__ = _entered_class(type(app), layer)
    except Exception:  # a function, a class written in C or with slots, or one that allows no subclass
        return Entered(app, layer)
    return app


def leave(app: Any) -> Any:
    """Undo `enter`; returns the application as it was."""
    layer = layer_of(app)
    if layer is None:
        return app
    layer.stop()
    if isinstance(app, Entered):
        return app.app
    if "_watchglass_layer" in vars(type(app)):
        app.__class__ = type(app).__bases__[0]
    return app


def layer_of(app: Any) -> Layer | None:
    """The layer around an application that was entered."""
    layer = getattr(app, "_watchglass_layer", None)
    return layer if isinstance(layer, Layer) and not layer.stopped else None


def _entered_class(base: type, layer: Layer) -> type:
    async def __call__(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
        await layer(partial(base.__call__, self), scope, receive, send)

    body = {"__call__": __call__, "_watchglass_layer": layer, "__module__": base.__module__, "__doc__": base.__doc__}
    return type(base)(base.__name__, (base,), {**body, "__qualname__": base.__qualname__})


class Entered:
    """An application whose class cannot be replaced, with the layer around it."""

    def __init__(self, app: Application, layer: Layer) -> None:
        self.app = app
        self._watchglass_layer = layer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.app, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._watchglass_layer(self.app, scope, receive, send)


class Layer:
    """What stands around one application."""

    def __init__(self, app: Any, observer: Observer, inside: bool = False) -> None:
        recorder, settings = observer.recorder, observer.settings
        tail = observer.tail or Tail(settings, recorder, observer.offer_trace)
        budget, outbound = observer.budget or Budget(recorder), Outbound(recorder.clock)
        roots = Roots(app, recorder.clock, sampler_of(settings.opentelemetry))
        self._instruments = Instruments(roots, recorder, tail, budget, outbound, observer.timing)
        self._observer = observer
        self._own = OwnPaths(app, observer.own_app, observer.own_exact, observer.own_prefixes)
        self._inside = inside and self._own.move_inside()
        self._excluded = pattern_of(settings.excluded_urls)
        self._failed = observer.failed
        self._serving: int | None = None
        self.stopped = False

    def __call__(self, call: Application, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        kind = scope["type"]
        if self.stopped or MARK in scope:
            return call(scope, receive, send)
        if kind in ("http", "websocket"):
            return self._serve(call, scope, receive, send)
        if kind == "lifespan":
            return self._lifespan(call, scope, receive, send)
        return call(scope, receive, send)

    async def _serve(self, call: Application, scope: Scope, receive: Receive, send: Send) -> None:
        if _pid != self._serving:
            self._serves()
        if self._is_own(scope):
            await self._pass_own(call, scope, receive, send)
            return
        exchange = self._exchange(scope, receive, send)
        if exchange is None:
            await call(scope, receive, send)
            return
        try:
            await call(scope, exchange.receive, exchange.send)
        except BaseException as error:
            with guard.protected("request failure"):
                exchange.fail(error)
                if self._failed is not None:
                    self._failed(error)
            raise
        finally:
            try:
                exchange.close()
            except Exception:
                guard.caught("request end")

    def _is_own(self, scope: Scope) -> bool:
        try:
            return self._own.takes(scope)
        except Exception:
            guard.caught("own paths")
            return False

    def _exchange(self, scope: Scope, receive: Receive, send: Send) -> Exchange | Connection | None:
        try:
            if type(scope["headers"]) is not list:  # any iterable will do, also one that is read only once
                scope["headers"] = list(scope["headers"])
            if self._excluded is not None and self._excluded.search(url_of(scope)):
                return None
            method = scope.get("method", "GET")
            root = self._instruments.roots.open(scope, method if method in KNOWN_METHODS else OTHER_METHOD)
            kind = Exchange if scope["type"] == "http" else Connection
            return kind(root, self._instruments, receive, send)
        except Exception:
            guard.caught("request")
            return None

    async def _pass_own(self, call: Application, scope: Scope, receive: Receive, send: Send) -> None:
        if self._inside:
            scope[SCOPE_KEY] = None  # FastAPI's own telemetry leaves such a request alone
            await call(scope, receive, send)
        else:
            await self._own.answer(scope, receive, send)

    async def _lifespan(self, call: Application, scope: Scope, receive: Receive, send: Send) -> None:
        async def watched(message: Message) -> None:
            kind = message["type"]
            if kind in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await self._shuts_down()
            await send(message)
            if kind == "lifespan.startup.complete" and _pid != self._serving:
                self._serves()

        await call(scope, receive, watched)

    def _serves(self) -> None:
        self._serving = _pid
        with guard.protected("start"):
            self._observer.on_serving()

    async def _shuts_down(self) -> None:
        if self._serving != _pid:
            return
        self._serving = None
        with guard.protected("shutdown"):
            await self._observer.on_shutdown()

    def stop(self) -> None:
        """Step out of the way of the application for good."""
        self.stopped = True
        self._own.move_outside()
        self._instruments.roots.step_aside()
        self._instruments.outbound.stop()


def _after_fork_in_child() -> None:
    global _pid
    _pid = os.getpid()


_pid = os.getpid()  # to ask the kernel in each request takes a fifth of a microsecond

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
