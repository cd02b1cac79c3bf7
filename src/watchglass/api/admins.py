"""Whose requests to the service are a logged-in admin's: told on the service's own path, so without asking the store.

What the answer goes by, the key of the service and the sessions that were ended, is fetched on Watchglass's own loop.
Until it is there, and where it is older than `ended.LATELY`, the answer is no: that of the first request after a while.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.requests import cookie_parser

from watchglass.api.sessions import Sessions

_AGAIN = 1.0
"""Seconds in which the store is asked for once at most, whatever comes."""


class Admins:
    """Reads Cookie headers. `run` has the own loop run a coroutine, and returns at once."""

    def __init__(self, sessions: Sessions, run: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        self._sessions, self._run = sessions, run
        self._asked = -_AGAIN
        self.mark = sessions.cookie.encode()

    def has(self, cookies: bytes) -> bool:
        """Whether a Cookie header is that of an admin whose session is signed, has not expired and was not ended."""
        cookie = cookie_parser(cookies.decode("latin-1")).get(self._sessions.cookie)
        if not cookie:
            return False
        visitor = self._sessions.signed(cookie)
        if visitor is None and not self._sessions.has_key:
            self._ask()
        if visitor is None or visitor.role != "admin":
            return False
        ended = self._sessions.ended
        if ended.is_due:
            self._ask()
        return ended.is_known and not ended.knows(visitor)

    def _ask(self) -> None:
        now = time.monotonic()
        if now - self._asked >= _AGAIN:
            self._asked = now
            self._run(self._sessions.refresh())
