"""Signed session cookies, and the tokens that guard changes."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import HTTPConnection
from starlette.responses import Response

from watchglass import guard
from watchglass.api import paths
from watchglass.api.context import Context
from watchglass.api.ended import EndedSessions
from watchglass.api.visitors import Visitor
from watchglass.errors import WatchglassError

_AGAIN = 10.0
"""Seconds until the store, once it failed, is asked for its key again."""


class Sessions:
    """Signs with the key of the settings, else with the store's; with one of this process while there is none.

    What was signed with the process's own key stays valid in this process only.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._own = secrets.token_urlsafe(32)
        self._stored: str | None = None
        self._asked = -_AGAIN
        settings = context.settings
        self._given = settings.secret_key.get_secret_value() if settings.secret_key else ""
        self.lifetime = settings.session_hours * 3600
        self.ended = EndedSessions(context.access, self.lifetime)
        # Cookies ignore ports: two services on one host must not log each other's visitors out.
        mark = hashlib.blake2b(f"{settings.service}{settings.path_prefix}".encode(), digest_size=4).hexdigest()
        self.cookie = f"watchglass_session_{mark}"
        self.seed_cookie = f"watchglass_seed_{mark}"

    async def visitor(self, request: HTTPConnection) -> Visitor | None:
        """Who the session cookie says it is; None without one, or when it is forged, expired or was ended."""
        cookie = request.cookies.get(self.cookie)
        if not cookie:
            return None
        visitor = _visitor(await self._loads("session", cookie, self.lifetime))
        return None if visitor is None or await self.ended.has(visitor) else visitor

    def signed(self, cookie: str) -> Visitor | None:
        """Whom a session cookie names, if it was signed with a key that this process knows by now and has not expired.

        Waits for nothing, from any thread. Whether the session was ended is `ended`'s to say.
        """
        keys = [self._own, self._given or self._stored or self._own]
        return _visitor(_loads(keys, "session", cookie, self.lifetime))

    @property
    def has_key(self) -> bool:
        """Whether this process knows the key of the service, and not just its own."""
        return bool(self._given or self._stored or self._context.access is None)

    async def refresh(self) -> None:
        """Ask the store, where it is time, for what `signed` and `ended` go by."""
        await self._key()
        await self.ended.refresh()

    async def begin(self, request: HTTPConnection, response: Response, visitor: Visitor) -> None:
        """Give the visitor's browser its cookie; to the whole service, whose own answers tell an admin their timing."""
        value = await self._dumps("session", {"name": visitor.name, "role": visitor.role, "seed": visitor.seed})
        self._set(request, response, self.cookie, value, paths.base(request.scope, "") or "/")

    def end(self, request: HTTPConnection, response: Response, visitor: Visitor | None) -> str:
        """Take the cookie back, and let in no copy of it; returns what the log-out is to be noted with."""
        response.delete_cookie(self.cookie, path=paths.base(request.scope, "") or "/", httponly=True, samesite="lax")
        return self.ended.end(visitor) if visitor else ""

    def plant(self, request: HTTPConnection, response: Response, seed: str) -> None:
        """Give a browser that the host has authorized something to bind its guard token to."""
        path = paths.base(request.scope, self._context.settings.path_prefix) or "/"
        self._set(request, response, self.seed_cookie, seed, path)

    async def guard_token(self, visitor: Visitor) -> str:
        """What a request of this visitor's that changes something has to carry."""
        return await self._dumps("guard", visitor.seed)

    async def guards(self, visitor: Visitor, token: str) -> bool:
        """Whether the token was given to this visitor."""
        found = await self._loads("guard", token, self.lifetime)
        return isinstance(found, str) and hmac.compare_digest(found.encode(), visitor.seed.encode())

    def _set(self, request: HTTPConnection, response: Response, name: str, value: str, path: str) -> None:
        response.set_cookie(
            name,
            value,
            max_age=int(self.lifetime),
            path=path,
            secure=is_secure(request, self._context),
            httponly=True,
            samesite="lax",
        )

    async def _dumps(self, purpose: str, value: Any) -> str:
        return str(_serializer([await self._key()], purpose).dumps(value))

    async def _loads(self, purpose: str, text: str, lifetime: float) -> Any:
        """What was signed for this purpose, with whichever key; None if it is forged or too old."""
        return _loads([self._own, await self._key()], purpose, text, lifetime)

    async def _key(self) -> str:
        """The key to sign with now."""
        if self._given:
            return self._given
        access = self._context.access
        if self._stored is None and access is not None and time.monotonic() - self._asked >= _AGAIN:
            try:
                self._stored = await access.secret("session")
            except WatchglassError:
                self._asked = time.monotonic()
            except Exception:
                self._asked = time.monotonic()
                guard.caught("sessions")
        return self._stored or self._own


def is_secure(request: HTTPConnection, context: Context) -> bool:
    """Whether the browser came by https, through a proxy as well."""
    forwarded = request.headers.get("x-forwarded-proto", "").split(",")[0].strip().lower()
    return "https" in (request.url.scheme, forwarded) or context.settings.public_url.startswith("https:")


def _visitor(found: Any) -> Visitor | None:
    match found:
        case {"name": str(name), "role": ("viewer" | "admin") as role, "seed": str(seed)}:
            return Visitor(name, role, seed)
    return None


def _loads(keys: list[str], purpose: str, text: str, lifetime: float) -> Any:
    try:
        return _serializer(keys, purpose).loads(text, max_age=int(lifetime))
    except BadData:
        return None


def _serializer(keys: list[str], purpose: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(
        keys,
        salt=f"watchglass.{purpose}",
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )
