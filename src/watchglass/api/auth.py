"""Closed by default: the gate in front of every route of ours. What is not declared public needs someone let in."""

from __future__ import annotations

import asyncio
import hmac
import inspect
import secrets
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlencode

from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from watchglass import guard
from watchglass.api import origin, paths
from watchglass.api.context import Authorize, Context
from watchglass.api.crossing import HOST, Crossing
from watchglass.api.notices import NEW_LINK, Notice, Show
from watchglass.api.sessions import Sessions
from watchglass.api.visitors import STATE, Role, Visitor, visitor_of

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
GUARD_HEADER, GUARD_FIELD = "x-csrf-token", "csrf_token"

ANONYMOUS = "Log in first: open the login page with a link from `watchglass login`."
REFUSED = "The service decides who may see its monitoring, and it refused this request."
UNDECIDED = "The service did not decide in time who may see its monitoring."
CROSS_SITE = "This request comes from another site. Changes are taken from Watchglass's own pages only."
UNGUARDED = "The request lacks the token that guards changes (X-CSRF-Token), or has an old one. Reload the page."

MACHINE = Visitor("record token", "admin", "")
"""A program with the token of `record_token`: it may record metrics, and nothing else."""

AGAIN = "watchglass_again"
"""Where the scope has the question who asks, for what goes on for long."""

_FIELD = "watchglass_guard_field"
_DECIDE_SECONDS = 5.0
_LONGEST_FORM = 65_536


class Gate:
    """Finds out who asks, refuses who may not, and notes who may in the scope."""

    def __init__(self, app: ASGIApp, context: Context, sessions: Sessions, show: Show) -> None:
        self._app, self._context, self._sessions, self._show = app, context, sessions, show
        self._prefix = context.settings.path_prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = paths.route_path(scope)
        connection = HTTPConnection(scope)
        try:
            visitor = await self._visitor(connection)
        except HTTPException as error:
            await self._turn_away(connection, path, error)(scope, receive, send)
            return
        scope[STATE], scope[AGAIN] = visitor, partial(self._visitor, connection)
        if scope["type"] == "http" and scope["method"] not in SAFE:
            receive = await _replayable(connection, receive, scope)
        refusal = await self._refusal(connection, path, visitor, scope)
        if refusal is not None:
            await self._turn_away(connection, path, refusal)(scope, receive, send)
            return
        await self._app(scope, receive, self._planting(connection, visitor, send))

    async def _refusal(
        self, connection: HTTPConnection, path: str, visitor: Visitor | None, scope: Scope
    ) -> HTTPException | None:
        """Why this request may not pass; None if it may."""
        changes = scope["type"] == "websocket" or scope["method"] not in SAFE
        if changes and not origin.is_same(connection.headers, self._context.settings.public_url):
            return HTTPException(403, CROSS_SITE)
        if paths.is_public(path):
            return None
        if visitor is None:
            return HTTPException(403, REFUSED) if self._context.authorize else HTTPException(401, ANONYMOUS)
        if changes and scope["type"] == "http" and visitor is not MACHINE:
            token = connection.headers.get(GUARD_HEADER) or scope.get(_FIELD, "")
            if not await self._sessions.guards(visitor, token):
                return HTTPException(403, UNGUARDED)
        return None

    async def _visitor(self, connection: HTTPConnection) -> Visitor | None:
        """Who asks, by the host's own judgement where it has one, else by the session; nobody asks what is public."""
        path = paths.route_path(connection.scope)
        if paths.is_public(path):
            return None
        if path == paths.RECORD and bears(connection, self._context.settings.record_token):
            return MACHINE
        if self._context.authorize is None:
            return await self._sessions.visitor(connection)
        role = await self._judged(connection.scope)
        if role is None:
            return None
        seed = connection.cookies.get(self._sessions.seed_cookie) or secrets.token_urlsafe(16)
        return Visitor("service", role, seed)

    async def _judged(self, scope: Scope) -> Role | None:
        """What the host's `authorize` says; an error of its own is a no."""
        try:
            async with asyncio.timeout(_DECIDE_SECONDS):
                verdict = await judge(self._context.authorize, scope)
        except HTTPException:
            raise
        except TimeoutError:
            raise HTTPException(503, UNDECIDED) from None
        except Exception:
            guard.logger.exception("authorize of the service failed; its monitoring stays closed for this request")
            return None
        if verdict is True:
            return "viewer"
        return verdict if verdict in ("viewer", "admin") else None

    def _turn_away(self, connection: HTTPConnection, path: str, error: HTTPException) -> ASGIApp:
        """The refusal as a page, a redirect to the login, JSON, or the end of a WebSocket."""
        if connection.scope["type"] == "websocket":
            return WebSocketClose(1008, error.detail)
        if error.headers or error.status_code < 400:
            return Response(error.detail, error.status_code, headers=dict(error.headers or {}))
        request = Request(connection.scope)
        if not paths.is_page(path):
            return JSONResponse({"error": error.detail}, error.status_code)
        if error.status_code == 401:
            return self._to_login(request, path)
        return self._show(request, Notice(error.status_code, "Not allowed", error.detail))

    def _to_login(self, request: Request, path: str) -> Response:
        """A page leads to the login and back; a part of a page tells the page to go there."""
        base = paths.base(request.scope, self._prefix)
        if "hx-request" in request.headers:
            return Response(status_code=401, headers={"hx-redirect": base + paths.LOGIN})
        if request.method not in SAFE:
            return self._show(request, Notice(401, "Log in", ANONYMOUS, NEW_LINK))
        query = f"?{request.url.query}" if request.url.query else ""
        wanted = base + path + query
        return RedirectResponse(f"{base}{paths.LOGIN}?{urlencode({'next': wanted})}", 303)

    def _planting(self, connection: HTTPConnection, visitor: Visitor | None, send: Send) -> Send:
        """For a visitor whom the host let in: give the browser the seed of its guard token, if it has none."""
        if visitor is None or self._context.authorize is None or self._sessions.seed_cookie in connection.cookies:
            return send
        planted = Response()
        self._sessions.plant(connection, planted, visitor.seed)
        cookie = (b"set-cookie", planted.headers["set-cookie"].encode("latin-1"))

        async def planting(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), cookie]}
            await send(message)

        return planting


def bears(connection: HTTPConnection, token: SecretStr | None) -> bool:
    """Whether the request carries this bearer token; no browser adds one by itself."""
    if token is None:
        return False
    scheme, _, given = connection.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.get_secret_value().encode())


async def judge(authorize: Authorize | None, scope: Scope) -> Any:
    """Ask the host's callable: a plain one in a thread, so that it may block; what it awaits on the host's loop.

    A WebSocket's handshake is a request as well: GET.
    """
    if authorize is None:
        return None
    crossing: Crossing | None = scope.get(HOST)
    asked = crossing.scope if crossing else scope
    request = Request(asked if asked["type"] == "http" else {**asked, "type": "http", "method": "GET"})
    if inspect.iscoroutinefunction(authorize):
        verdict = authorize(request)
    else:
        verdict = await asyncio.to_thread(authorize, request)
    if not inspect.isawaitable(verdict):
        return verdict
    return await (crossing.on_host(lambda: verdict) if crossing else verdict)


async def guard_token(request: HTTPConnection) -> str:
    """What a page puts into its forms (`csrf_token`) or its requests' header (`X-CSRF-Token`); "" for nobody."""
    visitor = visitor_of(request)
    return await request.app.state.sessions.guard_token(visitor) if visitor else ""


async def _replayable(connection: HTTPConnection, receive: Receive, scope: Scope) -> Receive:
    """Look for the guard token in a short URL-encoded form, and leave the form to be read again."""
    kind = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
    if GUARD_HEADER in connection.headers or kind != "application/x-www-form-urlencoded":
        return receive
    seen: list[Message] = []
    body = b""
    while len(body) <= _LONGEST_FORM:
        message = await receive()
        seen.append(message)
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    scope[_FIELD] = parse_qs(body.decode("utf-8", "replace")).get(GUARD_FIELD, [""])[0]

    async def again() -> Message:
        return seen.pop(0) if seen else await receive()

    return again
