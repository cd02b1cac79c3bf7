"""The one tail of a process: it reads the store while anyone watches, and hands each viewer what it asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.exceptions import HTTPException

from watchglass import guard, termination
from watchglass.api.context import Context
from watchglass.api.live import events, reading
from watchglass.api.live.events import Event, Heartbeat
from watchglass.api.live.filters import matches
from watchglass.api.live.position import text_of
from watchglass.api.live.reading import Part, Reading
from watchglass.api.live.viewer import Joined, Viewer
from watchglass.errors import DatabaseNotConfigured, WatchglassError
from watchglass.store.database import Database
from watchglass.store.log_tail import Cursor, LogTail, News
from watchglass.store.logs import LogFilter

MOST_STREAMS = 500
"""Viewers that one process serves."""

MOST_BEHIND = 20_000
"""Lines that the tail of a process may be behind; of more it passes the oldest over."""

MOST_AGAIN = 5_000
"""Lines that a viewer who comes back is sent of what it missed."""

_BUSY, _QUIET = 0.25, 0.5
"""Seconds between two looks at the store while lines come; while none do, or many watch."""

_MANY = 20
_AWAY = (0.5, 1.0, 2.0)
"""Seconds after which a store that failed is asked again."""

_ROOM, _LEAST, _MOST = 32_000_000, 256_000, 4_000_000
"""Characters that may wait for all viewers, and at least and at most for one."""

A_SECOND = 40_000_000
"""Characters that all viewers together are sent a second: they pass through the event loop of the service."""

ENDING = "The service is stopping."
FAILED = "Watchglass failed to read the log lines. The service is not affected."


def full() -> str:
    """Why nobody more may watch."""
    return f"This process streams to {MOST_STREAMS} viewers already. Close one of them, or try again later."


class Hub:
    """Made with the API, on whose loop it is used. While anyone watches it has a connection to the store of its own."""

    def __init__(self, context: Context) -> None:
        self._reader = context.reader
        self.service = context.reader.service if context.reader else None
        """Whose lines are shown where no service is asked for; None: those of all."""
        self._viewers: set[Viewer] = set()
        self._joining: set[Viewer] = set()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._cursor: Cursor | None = None
        self._failures = 0
        self._away = ""
        self._ending = False

    def __len__(self) -> int:
        return len(self._viewers)

    @property
    def position(self) -> str | None:
        """Where those are who follow and for whom nothing waits."""
        return text_of(self._cursor) if self._cursor else None

    def join(self, wanted: LogFilter, position: Cursor | None = None) -> Viewer:
        """Begin to watch, after a position or from now on. Raises HTTPException 503, or `DatabaseNotConfigured`."""
        if self._reader is None:
            raise DatabaseNotConfigured
        if self._ending or len(self._viewers) >= MOST_STREAMS:
            raise HTTPException(503, ENDING if self._ending else full(), {"retry-after": "5"})
        viewer = Viewer(wanted, position)
        self._viewers.add(viewer)
        self._joining.add(viewer)
        if self._away:
            self._offer(viewer, events.of("unavailable", reason=self._away))
        if self._task is None:
            database = self._reader.database.beside("watchglass live tail")
            self._tail = LogTail(database)
            self._reading = Reading(self._tail)
            self._loop = asyncio.get_running_loop()
            termination.tell(self.end)
            self._task = self._loop.create_task(self._run(database))
        self._woken.set()
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Watch no longer."""
        self._viewers.discard(viewer)
        self._joining.discard(viewer)
        self._woken.set()

    def share(self, event: Event) -> float:
        """Seconds that this event takes of a viewer's time, so that all of them leave the service its own."""
        return event.size * len(self._viewers) / A_SECOND

    def end(self) -> None:
        """Have every stream end, and none begin. From any thread, a signal's handler included."""
        self._ending = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end_all, ENDING)

    async def missed(self, viewer: Viewer, until: Cursor) -> AsyncIterator[Event]:
        """What came after the viewer's position, up to where it follows the common tail; however the store fails."""
        cursor, told = viewer.position or until, False
        while cursor is not until:
            try:
                news = await self._tail.news(cursor, most=MOST_AGAIN, services=self._services, until=until)
                if news.skipped or not news.exact:
                    yield _skipped(news)
                cursor = news.start
                for batches in reading.reads(news.batches):
                    for part in reading.parts(await self._reading.lines(batches), cursor, batches):
                        if event := _selected(part, viewer.wanted):
                            yield event
                    cursor = reading.after(cursor, batches)
                cursor = until
            except WatchglassError as error:
                if not told:
                    yield events.of("unavailable", text_of(cursor), reason=str(error))
                told = True
                await asyncio.sleep(_AWAY[-1])
                yield Heartbeat()

    @property
    def _services(self) -> frozenset[str] | None:
        """Whose lines have to be read."""
        asked = {viewer.wanted.service for viewer in self._viewers}
        return None if None in asked else frozenset(filter(None, asked))

    async def _run(self, database: Database) -> None:
        try:
            while self._viewers:
                self._woken.clear()
                await self._pause(found=await self._look())
        finally:
            self._task = self._cursor = None
            self._away, self._failures = "", 0
            self._end_all(FAILED)
            await database.close()

    async def _pause(self, *, found: bool) -> None:
        """Until the store is to be asked again. Who joins or leaves ends it, unless the store is away."""
        if self._away:
            await asyncio.sleep(_AWAY[min(self._failures, len(_AWAY)) - 1])
            return
        try:
            async with asyncio.timeout(_BUSY if found and len(self._viewers) < _MANY else _QUIET):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _look(self) -> bool:
        """Hand out what is new, and take in who came before the look began; whether there were lines."""
        joining = list(self._joining)
        try:
            found = await self._read()
        except WatchglassError as error:
            self._fail(str(error))
            return False
        except Exception:
            self._fail(FAILED)
            guard.caught("live")
            return False
        assert self._cursor is not None
        if self._away:
            self._away, self._failures = "", 0
            back = events.of("available", text_of(self._cursor))
            self._broadcast({viewer.wanted: back for viewer in self._viewers if viewer.following})
        for viewer in joining:
            if viewer in self._joining:
                self._joining.discard(viewer)
                viewer.following = True
                self._offer(viewer, Joined(self._cursor))
        return found

    async def _read(self) -> bool:
        if self._cursor is None:
            self._cursor = await self._tail.now()
            return False
        news = await self._tail.news(self._cursor, most=MOST_BEHIND, services=self._services)
        if news.skipped or not news.exact:
            event = _skipped(news)
            self._broadcast({viewer.wanted: event for viewer in self._viewers})
        self._cursor = news.start
        for batches in reading.reads(news.batches):
            lines = await self._reading.lines(batches)
            for part in reading.parts(lines, self._cursor, batches):
                self._broadcast(
                    {wanted: _selected(part, wanted) for wanted in {viewer.wanted for viewer in self._viewers}}
                )
            self._cursor = reading.after(self._cursor, batches)
        self._cursor = news.end
        return bool(news.batches)

    def _broadcast(self, chosen: dict[LogFilter, Event | None]) -> None:
        """To all who follow, the event made for their filters."""
        for viewer in self._viewers:
            event = chosen.get(viewer.wanted)
            if event is not None and viewer.following:
                self._offer(viewer, event)

    def _offer(self, viewer: Viewer, event: Event) -> None:
        room = _ROOM // max(len(self._viewers), 1)
        viewer.offer(event, min(max(room, _LEAST), _MOST))

    def _fail(self, reason: str) -> None:
        """Tell everyone once that there is nothing to be seen for now."""
        self._failures += 1
        if not self._away:
            event = events.of("unavailable", reason=reason)
            for viewer in self._viewers:
                self._offer(viewer, event)
        self._away = reason

    def _end_all(self, reason: str) -> None:
        for viewer in self._viewers:
            viewer.end(reason)


def _selected(part: Part, wanted: LogFilter) -> Event | None:
    """The lines of a part that are wanted; None without any."""
    lines = [line.json for line in part.lines if matches(wanted, line.row)]
    return events.of_lines(lines, part.position) if lines else None


def _skipped(news: News) -> Event:
    """Says that lines were passed over, at least so many, whichever they were."""
    more = {} if news.exact else {"at_least": True}
    return events.of("skipped", text_of(news.start), lines=news.skipped, count=news.skipped, **more)
