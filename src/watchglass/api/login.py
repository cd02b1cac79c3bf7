"""Logging in with a one-time token, and out again."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from watchglass.api import paths
from watchglass.api.context import Context
from watchglass.api.notices import NEW_LINK, Notice, Show
from watchglass.api.sessions import Sessions
from watchglass.api.visitors import visitor_of

WRONG = "This login link is wrong, has expired or was used before. Make a new one where the service runs:"
TOO_MANY = "Too many attempts with wrong login links. Wait a minute, then make a new one where the service runs:"
AWAY = "The store, which keeps the links, does not answer: only a link printed by this very process would do."
LOG_IN = "Logging in uses up the link. Without one, make one where the service runs:"
ELSEWHERE = "The service decides itself who may see its monitoring; there is no login of Watchglass's own."

_LONGEST_FORM = 8192


class Attempts:
    """At most `most` failures a minute and client; the clients remembered are bounded, oldest forgotten first."""

    def __init__(self, most: int = 10, seconds: float = 60.0, clients: int = 4096) -> None:
        self._most, self._seconds, self._clients = most, seconds, clients
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def exhausted(self, client: str) -> bool:
        failures = self._failures.get(client, deque())
        while failures and failures[0] <= time.monotonic() - self._seconds:
            failures.popleft()
        return len(failures) >= self._most

    def failed(self, client: str) -> None:
        self._failures.setdefault(client, deque(maxlen=self._most)).append(time.monotonic())
        self._failures.move_to_end(client)
        while len(self._failures) > self._clients:
            self._failures.popitem(last=False)


class Login:
    """The form, and what it leads to. Only the form's POST uses a token up: a link's preview does not burn it."""

    def __init__(self, context: Context, sessions: Sessions, show: Show) -> None:
        self._context, self._sessions, self._show = context, sessions, show
        self._attempts = Attempts()

    async def form(self, request: Request) -> Response:
        """The login form, filled with the link's token."""
        if self._context.authorize:
            return self._show(request, Notice(403, "Not allowed", ELSEWHERE))
        query = request.query_params
        return self._notice(request, 200, LOG_IN, query.get("token", ""), query.get("next", ""))

    async def log_in(self, request: Request) -> Response:
        """Use a token up and begin a session."""
        if self._context.authorize:
            return self._show(request, Notice(403, "Not allowed", ELSEWHERE))
        client = request.client.host if request.client else ""
        form = await _fields(request)
        token, wanted = form.get("token", "").strip(), form.get("next", "")
        if self._attempts.exhausted(client):
            return self._notice(request, 429, TOO_MANY, "", wanted)
        visitor = await self._context.tokens.redeem(token) if token else None
        if visitor is None:
            self._attempts.failed(client)
            return self._notice(request, 401, self._why(), "", wanted)
        response = RedirectResponse(self._safe(request, wanted), 303)
        await self._sessions.begin(request, response, visitor)
        await self._context.tokens.audit(visitor.name, "login", visitor.role)
        return response

    async def log_out(self, request: Request) -> Response:
        """End the session, in every process, and take its cookie back."""
        response = RedirectResponse(self._base(request) + paths.LOGIN, 303)
        visitor = visitor_of(request)
        ended = self._sessions.end(request, response, visitor)
        if visitor is not None:
            await self._context.tokens.audit(visitor.name, "logout", visitor.role, {"session": ended})
        return response

    def _why(self) -> str:
        """Without the details of the store's trouble: anyone may read this."""
        return f"{AWAY} {WRONG}" if self._context.tokens.trouble else WRONG

    def _notice(self, request: Request, status: int, sentence: str, token: str, wanted: str) -> Response:
        notice = Notice(
            status,
            "Log in",
            sentence,
            NEW_LINK,
            form=True,
            action=self._base(request) + paths.LOGIN,
            token=token,
            next=wanted if self._is_safe(request, wanted) else "",
        )
        return self._show(request, notice)

    def _base(self, request: Request) -> str:
        return paths.base(request.scope, self._context.settings.path_prefix)

    def _safe(self, request: Request, wanted: str) -> str:
        return wanted if self._is_safe(request, wanted) else self._base(request) + paths.PAGE

    def _is_safe(self, request: Request, wanted: str) -> bool:
        """Whether it leads to a page of ours on this very site, and nowhere else."""
        base = self._base(request)
        if not wanted.startswith(base + "/ui/") or "\\" in wanted or any(ord(sign) < 33 for sign in wanted):
            return False
        parts = urlsplit(wanted)
        return not parts.scheme and not parts.netloc and ".." not in parts.path


async def _fields(request: Request) -> dict[str, str]:
    """The first value of each field of a URL-encoded form; nothing of one that is too long."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_FORM:
            return {}
    return {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
