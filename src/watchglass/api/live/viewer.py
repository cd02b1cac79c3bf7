"""One who watches the live tail: what waits to be sent, within bounds; a slow one is told how much was skipped."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress

from watchglass.api.live import events
from watchglass.api.live.events import Event
from watchglass.store.log_tail import Cursor
from watchglass.store.logs import LogFilter

_MAY_GO = frozenset(("lines", "skipped"))
_MOST_ANSWERS = 50
_ANY = 2**62
_BURST = 0.5
"""Seconds for which a viewer may be sent as much as there is."""


class Joined(Event):
    """Never sent: where in the queue, and at which cursor, the viewer begins to follow the common tail."""

    def __init__(self, cursor: Cursor) -> None:
        super().__init__("joined")
        self.cursor = cursor


class Viewer:
    """Used on one loop. `wanted` may be changed at any time, for lines that come later."""

    def __init__(self, wanted: LogFilter, position: Cursor | None = None) -> None:
        self.wanted = wanted
        self.position = position
        """What it has read before, if it comes back."""
        self.following = False
        self.ended = ""
        """Why the stream is over, in a sentence."""
        self._waiting: deque[Event] = deque()
        self._size = 0
        self._turn = 0.0
        self._skipped = 0
        self._skipped_to: str | None = None
        self._news, self._over = asyncio.Event(), asyncio.Event()

    @property
    def size(self) -> int:
        """Characters of what waits."""
        return self._size

    def offer(self, event: Event, most: int) -> None:
        """Put an event at the end; beyond `most` characters the oldest lines go, and are counted."""
        self._waiting.append(event)
        self._size += event.size
        while self._size > most and self._drop_oldest():
            pass
        self._news.set()

    def answer(self, event: Event) -> None:
        """Put the answer to a command at the end; of those that nobody reads only a few are kept."""
        if sum(one.name not in _MAY_GO for one in self._waiting) < _MOST_ANSWERS:
            self.offer(event, _ANY)

    def end(self, reason: str) -> None:
        """Have the stream end now, whatever waits."""
        self.ended = self.ended or reason
        self._news.set()
        self._over.set()

    async def next(self, seconds: float) -> Event | None:
        """The next event; None when none came in time, or the stream is over."""
        if not self._waiting and not self._skipped and not self.ended:
            self._news.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                return None
        if self.ended:
            return None
        if self._skipped:
            count, self._skipped = self._skipped, 0
            return events.of("skipped", self._skipped_to, count=count)
        event = self._waiting.popleft()
        self._size -= event.size
        return event

    async def rest(self, seconds: float) -> None:
        """Be sent nothing until so much time has passed for each event since its turn, unless the stream is over."""
        now = time.monotonic()
        self._turn = max(self._turn, now - _BURST) + seconds
        if self._turn > now:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), self._turn - now)

    def _drop_oldest(self) -> bool:
        """Let go of the oldest event that may be missed; False if only the last one is left."""
        for index, event in enumerate(self._waiting):
            if event.name in _MAY_GO and index < len(self._waiting) - 1:
                del self._waiting[index]
                self._size -= event.size
                self._skipped += event.lines
                self._skipped_to = event.position
                return True
        return False
