"""Answering our own paths, outside the host's middlewares or as ordinary routes inside them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.routing import BaseRoute, Match

from watchglass import guard
from watchglass.instrumentation.native import SCOPE_KEY
from watchglass.instrumentation.routes import HostPaths, path_below, root_path_of

Scope = MutableMapping[str, Any]

_KINDS = frozenset(("http", "websocket"))
_FAILED = b"Watchglass failed to answer; the log says why."


class OwnPaths:
    """The paths that `own_app` answers for the host: `exact` ones and what begins with one of `prefixes`.

    Where the host has the very same path, a route without parameters or a mount, the host answers.
    """

    def __init__(
        self, app: Any, own_app: Callable[..., Awaitable[None]] | None, exact: frozenset[str], prefixes: tuple[str, ...]
    ) -> None:
        self._app = app
        self._own_app = own_app
        self._exact = exact if own_app is not None else frozenset()
        self._prefixes = prefixes if own_app is not None else ()
        self._host = HostPaths(app)
        self._route: OwnRoute | None = None

    def takes(self, scope: Scope) -> bool:
        """Whether a request is for a path of ours."""
        path = scope["path"]
        if root_path := root_path_of(self._app, scope):
            path = path_below(path, root_path)
        if path not in self._exact and not path.startswith(self._prefixes):
            return False
        return scope["type"] in _KINDS and path not in self._host

    async def answer(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer it; what goes wrong is an error of ours, and the client is told so."""
        started = False

        async def watched(message: Any) -> None:
            nonlocal started
            started = True
            await send(message)

        scope = {**scope, "root_path": root_path_of(self._app, scope), SCOPE_KEY: None}
        assert self._own_app is not None
        with guard.as_own_work():
            try:
                await self._own_app(scope, receive, watched)
            except Exception:
                if not started:
                    await _fail(scope, send)
                guard.caught("own routes")

    def move_inside(self) -> bool:
        """Have the application's router answer, ahead of its other routes; False if it has no router of its own."""
        routes = getattr(getattr(self._app, "router", None), "routes", None)
        if not isinstance(routes, list):
            return False
        self._route = OwnRoute(self)
        routes.insert(0, self._route)
        return True

    def move_outside(self) -> None:
        """Undo `move_inside`."""
        if self._route is not None:
            self._app.router.routes.remove(self._route)
            self._route = None


class OwnRoute(BaseRoute):
    """Our paths as a route of the host's router; it is in no documentation."""

    include_in_schema = False

    def __init__(self, own: OwnPaths) -> None:
        self._own = own

    def matches(self, scope: Any) -> tuple[Match, Any]:
        return (Match.FULL, {}) if scope["type"] in _KINDS and self._own.takes(scope) else (Match.NONE, {})

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        await self._own.answer(scope, receive, send)


async def _fail(scope: Scope, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1011})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(_FAILED))]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": _FAILED})
