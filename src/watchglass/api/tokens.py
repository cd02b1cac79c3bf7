"""One-time login tokens: in the store, by their hash; in this process while the store does not answer."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watchglass import guard
from watchglass.api.visitors import Role, Visitor
from watchglass.errors import DatabaseNotConfigured, WatchglassError

if TYPE_CHECKING:
    from watchglass.store.access import Access

LIFETIME = 900.0
"""Seconds in which a login link has to be used."""

_MOST_OWN = 100


@dataclass(frozen=True, slots=True)
class Token:
    """A fresh token. `trouble` says why it is good in this process only; None when the store has it."""

    text: str
    trouble: str | None


class Tokens:
    """Makes and redeems tokens. Each lets in once, however many ask at a time and whichever process is asked."""

    def __init__(self, access: Access | None) -> None:
        self._access = access
        self._own: dict[bytes, tuple[str, Role, float]] = {}
        self.trouble: str | None = None
        """Why the store could not be asked the last time; None when it could."""

    async def new(self, username: str = "admin", role: Role = "admin", seconds: float = LIFETIME) -> Token:
        """A token that lets one browser in, once, within that time."""
        try:
            text = await self._store().new_login_token(username=username, role=role, seconds=seconds)
            self.trouble = None
        except WatchglassError as error:
            text = self._keep(username, role, seconds)
            self.trouble = f"{error} Until then a login link is good in the process that printed it only."
        return Token(text, self.trouble)

    async def redeem(self, text: str) -> Visitor | None:
        """Whom the token lets in; None when it is unknown, expired or was used before, or the store cannot tell."""
        own = self._own.pop(_hash(text), None)
        if own is not None:
            return _visitor(own[0], own[1]) if own[2] > time.monotonic() else None
        try:
            login = await self._store().use_login_token(text)
            self.trouble = None
        except WatchglassError as error:
            self.trouble = str(error)
            return None
        return _visitor(login.username, login.role) if login else None

    async def audit(self, actor: str, action: str, target: str = "", detail: Mapping[str, Any] | None = None) -> None:
        """Note who did what, as far as the store answers."""
        try:
            await self._store().audit(actor, action, target, detail)
        except WatchglassError as error:
            self.trouble = str(error)
        except Exception:
            guard.caught("audit")

    def _store(self) -> Access:
        if self._access is None:
            raise DatabaseNotConfigured
        return self._access

    def _keep(self, username: str, role: Role, seconds: float) -> str:
        text = secrets.token_urlsafe(24)
        while len(self._own) >= _MOST_OWN:
            self._own.pop(next(iter(self._own)))
        self._own[_hash(text)] = (username, role, time.monotonic() + seconds)
        return text


def _visitor(name: str, role: Role) -> Visitor:
    return Visitor(name, role, secrets.token_urlsafe(16))


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
