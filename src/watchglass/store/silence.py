"""What a server that does not answer costs: one question waits in vain, and for a few seconds no other does.

Refusals need none of this, they are answers: only who was silent is remembered.
"""

from __future__ import annotations

import time
from typing import Final

from watchglass.errors import DatabaseUnavailable

SECONDS: Final = 3.0
"""For how long nobody asks a server that was silent."""


class Silence:
    """Of one server, shared by all who ask it, on one event loop."""

    def __init__(self) -> None:
        self._error: DatabaseUnavailable | None = None
        self._fell_at = self._until = 0.0

    def check(self) -> None:
        """Raise what the last question met, if that was lately. Later one goes ahead alone, for as long again."""
        now = time.monotonic()
        if self._error is None:
            return
        if now < self._until:
            raise DatabaseUnavailable(**self._error.fields) from self._error
        self._until = now + SECONDS

    def check_since(self, began: float) -> None:
        """Raise it if another question met it since then (on the monotonic clock)."""
        if self._error is not None and self._fell_at >= began:
            raise DatabaseUnavailable(**self._error.fields) from self._error

    def met(self, error: DatabaseUnavailable) -> None:
        """A question failed on a new connection: was it for want of an answer?"""
        if isinstance(error.__cause__, TimeoutError):
            self._error, self._fell_at = error, time.monotonic()
            self._until = self._fell_at + SECONDS

    def broken(self) -> None:
        """The server has answered."""
        self._error = None
