"""Sessions that were ended by logging out: a copy of their cookie lets nobody in any more, in no process.

The log-outs of the audit say it, so that there is no list to be kept beside it. A process asks the store for them at
most every few seconds, while someone looks.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from watchglass import guard
from watchglass.api.visitors import Visitor
from watchglass.errors import WatchglassError

if TYPE_CHECKING:
    from watchglass.store.access import Access

FRESH, AGAIN = 5.0, 10.0
"""Seconds after which a log-out in one process is known in all; after which a store that failed is asked again."""

PATIENCE = 1.0
"""Seconds for which a page waits for the store to say it anew; it goes by what it said last then."""

LATELY = 60.0
"""Seconds for which who cannot wait for the store goes by what it last said."""


class EndedSessions:
    """What is known of them in one process; while the store does not answer, what was known last."""

    def __init__(self, access: Access | None, lifetime: float) -> None:
        self._access, self._lifetime = access, lifetime
        self._here: dict[str, float] = {}
        self._stored: frozenset[str] | None = None
        self._due = 0.0
        self._asked = -LATELY

    async def has(self, visitor: Visitor) -> bool:
        """Whether the visitor's session was ended."""
        await self.refresh()
        return self.knows(visitor)

    def knows(self, visitor: Visitor) -> bool:
        """The same by what is known already; from any thread."""
        mark = mark_of(visitor)
        return mark in self._here or mark in (self._stored or ())

    @property
    def is_due(self) -> bool:
        """Whether it is time to ask the store."""
        return self._access is not None and time.monotonic() >= self._due

    @property
    def is_known(self) -> bool:
        """Whether the store was asked lately."""
        return self._access is None or time.monotonic() - self._asked < LATELY

    def end(self, visitor: Visitor) -> str:
        """End it in this process at once; returns the mark under which an audited log-out ends it in all others."""
        now = time.monotonic()
        self._here = {mark: at for mark, at in self._here.items() if at > now - self._lifetime}
        self._here[mark_of(visitor)] = now
        return mark_of(visitor)

    async def refresh(self) -> None:
        """Ask the store, if it is time.

        While one asks anew, others go by what was known; before anything is known each asks for itself.
        """
        if self._access is None or not self.is_due:
            return
        if self._stored is None:
            await self._ask()
            return
        self._due = time.monotonic() + FRESH
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._ask()), PATIENCE)

    async def _ask(self) -> None:
        assert self._access is not None
        wait = AGAIN
        try:
            self._stored = frozenset(await self._access.ended_sessions(self._lifetime))
            wait = FRESH
        except WatchglassError:
            pass  # the page says that the store does not answer
        except Exception:
            guard.caught("sessions")
        finally:
            self._asked = time.monotonic()
            self._due = self._asked + wait


def mark_of(visitor: Visitor) -> str:
    """Tells sessions apart, and leads back to none."""
    return hashlib.sha256(b"session:" + visitor.seed.encode("utf-8", "surrogatepass")).hexdigest()[:32]
