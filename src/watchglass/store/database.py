"""The store as those who ask see it: one connection, opened by the first question and closed when none comes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from watchglass import sql
from watchglass.errors import DatabaseUnavailable
from watchglass.guard import as_own_work
from watchglass.store.connection import close, connect, reported, transaction
from watchglass.store.forks import abandon

if TYPE_CHECKING:
    import asyncpg

    from watchglass.store.connection import Connection

QUESTION_SECONDS = 5.0

Timed = Callable[[str, float], None]
"""Told a statement's name and the seconds it took, whether it succeeded or not."""


class Database:
    """Questions wait for each other. All must come from one event loop; a forked child begins anew."""

    def __init__(
        self,
        dsn: str,
        *,
        application_name: str = "watchglass reader",
        idle_seconds: float = 60.0,
        timed: Timed | None = None,
    ) -> None:
        self.dsn = dsn
        self.application_name = application_name
        self.idle_seconds = idle_seconds
        self._timed = timed or (lambda name, seconds: None)
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None
        self._closing: asyncio.TimerHandle | None = None
        self._closed: set[asyncio.Task[None]] = set()

    async def fetch(
        self, query: str, *arguments: object, seconds: float = QUESTION_SECONDS, readonly: bool = True
    ) -> list[asyncpg.Record]:
        """The rows of one statement, in a transaction of its own.

        Raises `QueryTooSlow` after `seconds`, `DatabaseUnavailable`, or `SchemaMissing`. A connection that broke since
        the last question is replaced without a word.
        """
        if self._pid != os.getpid():
            abandon((self._connection, self._closing, self._lock))
            self._begin()
        with as_own_work():
            async with self._lock:
                used_before = self._is_open()
                try:
                    return await self._fetch(query, arguments, seconds, readonly)
                except DatabaseUnavailable:
                    await self._close()
                    if not used_before or not readonly:
                        raise
                    return await self._fetch(query, arguments, seconds, readonly)

    async def close(self) -> None:
        """Close the connection; the next question opens another."""
        async with self._lock:
            await self._close()

    def _is_open(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    async def _fetch(
        self, query: str, arguments: tuple[object, ...], seconds: float, readonly: bool
    ) -> list[asyncpg.Record]:
        if self._closing:
            self._closing.cancel()
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self.dsn, application_name=self.application_name)
        began = time.perf_counter()
        try:
            with reported(self.dsn, seconds=seconds):
                async with transaction(self._connection, seconds=seconds, readonly=readonly):
                    rows = await self._connection.fetch(query, *arguments)
        finally:
            self._timed(sql.name_of(query), time.perf_counter() - began)
        self._closing = asyncio.get_running_loop().call_later(self.idle_seconds, self._close_idle)
        return rows

    def _close_idle(self) -> None:
        if not self._lock.locked():
            task = asyncio.get_running_loop().create_task(self.close())
            self._closed.add(task)
            task.add_done_callback(self._closed.discard)

    async def _close(self) -> None:
        if self._closing:
            self._closing.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            await close(connection)
