"""Indexes by which text in log lines is found, made for hours that are over, where PostgreSQL's pg_trgm is there."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from watchglass import guard, sql
from watchglass.errors import WatchglassError
from watchglass.settings import Settings
from watchglass.store.connection import close, connect, reported, transaction

SMALLEST, LARGEST = 8 * 1024**2, 1024**3
"""Bytes of an hour's lines that are worth an index, and of those for which one is made within the time there is."""

_SECONDS = 300.0
_LOCK_SECONDS = 0.2


class TextIndex:
    """Made on a connection of its own: it takes half a minute for a million lines, and nobody else is to wait."""

    def __init__(self, settings: Settings) -> None:
        self._dsn = settings.store_dsn
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """See to the hours that have no index yet, unless that is being done."""
        if self._dsn and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._run(self._dsn))

    async def stop(self) -> None:
        """Leave off; an index that is being made is not there."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self, dsn: str) -> None:
        with guard.protected("text index"), suppress(WatchglassError):  # the next time tries again
            await index_text(dsn)


async def index_text(dsn: str, smallest: int = SMALLEST, largest: int = LARGEST) -> list[str]:
    """Make what is missing, the newest hour first; returns the partitions. Errors are those of `reported`."""
    connection = await connect(dsn, application_name="watchglass text index")
    made: list[str] = []
    try:
        with reported(dsn):
            while True:
                async with transaction(connection, seconds=_SECONDS, lock_seconds=_LOCK_SECONDS):
                    name = await connection.fetchval(sql.load("retention")["index_text"], smallest, largest)
                if name is None:
                    return made
                made.append(name)
    except asyncio.CancelledError:
        connection.terminate()
        raise
    finally:
        await close(connection)
