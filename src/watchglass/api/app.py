"""The application that answers every path of ours: JSON here, pages where they are added."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watchglass import __version__
from watchglass.api import paths, routes
from watchglass.api.aside import Aside
from watchglass.api.auth import Gate
from watchglass.api.context import Context
from watchglass.api.health import Health
from watchglass.api.live.hub import Hub
from watchglass.api.login import Login
from watchglass.api.notices import Notice, Show, show_plainly
from watchglass.api.recorded import recorded_meters
from watchglass.api.recording import Recording
from watchglass.api.sessions import Sessions
from watchglass.errors import InvalidRange, WatchglassError

AddPages = Callable[[FastAPI, Context], Show | None]
"""Adds the pages' routes, and returns how to show a notice (the login form, a refusal), or None for a plain one."""

REMEDY = "Run `watchglass doctor` where the service runs; it says what is wrong and what to do."

_QUIET = {"tracing": False, "metrics": False, "logs": False, "operation_spans": False, "auto_configure": False}


def create_app(context: Context, pages: AddPages | None = None, sessions: Sessions | None = None) -> ASGIApp:
    """The gate with everything behind it. `app.state` of the requests has `context`, `sessions` and `health`.

    `sessions` are handed in by who looks at them too.
    """
    app = FastAPI(
        title="Watchglass",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=paths.OPENAPI,
        **_without_telemetry(),
    )
    app.state.context, app.state.sessions = context, sessions or Sessions(context)
    app.state.health = Aside(context) if context.aside else Health(context)
    app.state.live = Hub(context)
    app.state.recording = Recording(recorded_meters(context))
    show = _add_pages(app, context, pages)
    app.include_router(routes.router())
    login = Login(context, app.state.sessions, show)
    app.add_route(paths.LOGIN, login.form, methods=["GET"], include_in_schema=False)
    app.add_route(paths.LOGIN, login.log_in, methods=["POST"], include_in_schema=False)
    app.add_route(paths.LOGOUT, login.log_out, methods=["POST"], include_in_schema=False)
    _explain_errors(app, show)
    return _Edge(Gate(app, context, app.state.sessions, show), context.settings.path_prefix)


def _without_telemetry() -> dict[str, Any]:
    """FastAPI observes itself since 0.142; Watchglass does not observe itself."""
    known = "telemetry" in inspect.signature(FastAPI.__init__).parameters
    return {"telemetry": _QUIET} if known else {}


def _add_pages(app: FastAPI, context: Context, pages: AddPages | None) -> Show:
    return (pages(app, context) if pages else None) or show_plainly


def _explain_errors(app: FastAPI, show: Show) -> None:
    async def failed(request: Request, error: Exception) -> Response:
        status, content = explained(error)
        if status == 404 and paths.is_page(paths.route_path(request.scope)):
            return show(request, Notice(status, "Not found", str(content["error"])))
        headers = error.headers if isinstance(error, HTTPException) else None
        return JSONResponse(content, status, headers=headers)

    for kind in (WatchglassError, ValidationError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, failed)


def explained(error: Exception) -> tuple[int, dict[str, Any]]:
    """The status and the sentence of an error; what was not expected tells nothing."""
    match error:
        case InvalidRange():
            return 422, {"error": str(error)}
        case WatchglassError():
            return 503, {"error": str(error), "remedy": REMEDY}
        case RequestValidationError() | ValidationError():
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"] if part not in ("query", "body", "path"))
            said = first["msg"].removeprefix("Value error, ").removesuffix(".")
            return 422, {"error": f"{name}: {said}." if name else f"{said}."}
        case HTTPException(status_code=404, detail="Not Found"):
            return 404, {"error": "There is nothing at this path."}
        case HTTPException():
            return error.status_code, {"error": str(error.detail)}
    return 500, {"error": "Watchglass failed to answer. The service is not affected."}


class _Edge:
    """What every answer has: no copy kept, no type guessed, and HEAD answered like GET, without the body.

    Inside it no path has the prefix of the settings. Assets say themselves how long they last.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return
        scope = {**scope, "path": paths.inner_path(scope, self._prefix)}
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        asset = paths.route_path(scope).startswith(paths.STATIC + "/")
        head = scope["method"] == "HEAD"

        async def at_edge(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("x-content-type-options", "nosniff")
                if not asset:
                    headers["cache-control"] = "no-store"
            elif head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"} if head else scope, receive, at_edge)
