"""A window cut into spans that grow while their answers come quickly, from one end to the other."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from watchglass.errors import QueryTooSlow

if TYPE_CHECKING:
    import asyncpg

_WIDEST = timedelta(days=1)
_FIRST, _FIRST_OF_SCAN = timedelta(hours=1), timedelta(minutes=1)
_NARROWEST = timedelta(seconds=1)
_QUICK_SECONDS, _SLOW_SECONDS = 0.1, 0.5


class Spans:
    """Where a search is in its window, which is searched from its end where `back` is true."""

    def __init__(self, start: datetime, end: datetime, *, back: bool) -> None:
        self.start, self.end, self._back = start, max(start, end), back
        self.reached = self.end if back else self.start
        """Up to where it was searched."""
        self._width = _FIRST
        self._span: tuple[datetime, datetime] | None = None

    def begin_narrow(self) -> None:
        """No index serves the question: the first span is a minute."""
        self._width = _FIRST_OF_SCAN

    @property
    def last(self) -> datetime:
        """Where the search ends."""
        return self.start if self._back else self.end

    @property
    def moved(self) -> bool:
        """Whether anything was searched."""
        return self.reached != (self.end if self._back else self.start)

    @property
    def exhausted(self) -> bool:
        """Whether the whole window was searched."""
        return self.reached == self.last

    def next(self) -> tuple[datetime, datetime] | None:
        """The next span; None when there is none left."""
        if self.exhausted:
            return None
        if self._back:
            self._span = (max(self.start, self.reached - self._width), self.reached)
        else:
            self._span = (self.reached, min(self.end, self.reached + self._width))
        return self._span

    def done(self, seconds: float) -> None:
        """The span was searched, which took so long."""
        assert self._span is not None
        self.reached = self._span[0] if self._back else self._span[1]
        if seconds < _QUICK_SECONDS:
            self._width = min(self._width * 4, _WIDEST)
        elif seconds > _SLOW_SECONDS:
            self._width = max(self._width / 2, _NARROWEST)

    @property
    def narrowest(self) -> bool:
        """Whether a span cannot be made narrower."""
        return self._width <= _NARROWEST

    def narrow(self) -> None:
        """The span took too long: the next attempt is a narrower one."""
        self._width = max(self._width / 8, _NARROWEST)


class FetchSpan(Protocol):
    """Fetches at most `limit` rows of a span, within so many seconds."""

    async def __call__(self, span: tuple[datetime, datetime], limit: int, seconds: float) -> list[asyncpg.Record]: ...


async def walk(fetch: FetchSpan, spans: Spans, wanted: int, seconds: float) -> list[asyncpg.Record]:
    """Up to so many rows, from span after span, until the time is up. Raises `QueryTooSlow` if it got nowhere."""
    rows: list[asyncpg.Record] = []
    deadline = time.monotonic() + seconds
    while len(rows) < wanted and (span := spans.next()):
        began = time.monotonic()
        left = deadline - began
        if left <= 0:
            break
        try:
            rows += await fetch(span, wanted - len(rows), left if spans.narrowest else left / 2)
        except QueryTooSlow:
            if spans.narrowest and not spans.moved:
                raise
            spans.narrow()
        else:
            spans.done(time.monotonic() - began)
    return rows
