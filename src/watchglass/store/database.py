"""The store as those who ask see it: one connection, opened by the first question and closed when none comes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from watchglass import sql
from watchglass.errors import DatabaseUnavailable
from watchglass.guard import as_own_work
from watchglass.store.connection import close, connect, reported, transaction
from watchglass.store.forks import abandon

if TYPE_CHECKING:
    import asyncpg

    from watchglass.store.connection import Connection

QUESTION_SECONDS = 5.0

T = TypeVar("T")

Timed = Callable[[str, float], None]
"""Told a statement's name and the seconds it took, whether it succeeded or not."""


class Fetch(Protocol):
    """Sends one statement with its arguments and answers its rows."""

    def __call__(self, query: str, *arguments: object) -> Awaitable[list[asyncpg.Record]]: ...


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
        self._beside: dict[tuple[str, str], Database] = {}
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None
        self._closing: asyncio.TimerHandle | None = None
        self._closed: set[asyncio.Task[None]] = set()

    def beside(self, application_name: str, dsn: str | None = None) -> Database:
        """Another connection, to the same database or to another, for what takes long: questions do not wait for it.

        It is the same one for the same name and database, and is closed with this one.
        """
        dsn = dsn or self.dsn
        if (application_name, dsn) not in self._beside:
            self._beside[application_name, dsn] = Database(
                dsn, application_name=application_name, idle_seconds=self.idle_seconds, timed=self._timed
            )
        return self._beside[application_name, dsn]

    async def fetch(
        self, query: str, *arguments: object, seconds: float = QUESTION_SECONDS, readonly: bool = True
    ) -> list[asyncpg.Record]:
        """The rows of one statement, in a transaction of its own. Errors are those of `ask`."""
        return await self.ask(lambda fetch: fetch(query, *arguments), seconds=seconds, readonly=readonly)

    async def ask(
        self, work: Callable[[Fetch], Awaitable[T]], *, seconds: float = QUESTION_SECONDS, readonly: bool = True
    ) -> T:
        """What `work` makes of the statements it fetches, all in one transaction.

        Raises `QueryTooSlow` after `seconds`, `DatabaseUnavailable`, or `SchemaMissing`. A connection that broke since
        the last question is replaced without a word, and `work` begins anew.
        """
        if self._pid != os.getpid():
            abandon((self._connection, self._closing, self._lock))
            self._begin()
        with as_own_work():
            async with self._lock:
                used_before = self._is_open()
                try:
                    return await self._ask(work, seconds, readonly)
                except DatabaseUnavailable:
                    await self._close()
                    if not used_before or not readonly:
                        raise
                    return await self._ask(work, seconds, readonly)

    async def close(self) -> None:
        """Close the connection; the next question opens another."""
        for other in self._beside.values():
            await other.close()
        await self._close_unused()

    async def _close_unused(self) -> None:
        async with self._lock:
            await self._close()

    def _is_open(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    async def _ask(self, work: Callable[[Fetch], Awaitable[T]], seconds: float, readonly: bool) -> T:
        if self._closing:
            self._closing.cancel()
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self.dsn, application_name=self.application_name)
        with reported(self.dsn, seconds=seconds):
            async with transaction(self._connection, seconds=seconds, readonly=readonly):
                answer = await work(partial(self._fetch, self._connection))
        self._closing = asyncio.get_running_loop().call_later(self.idle_seconds, self._close_idle)
        return answer

    async def _fetch(self, connection: Connection, query: str, *arguments: object) -> list[asyncpg.Record]:
        began = time.perf_counter()
        try:
            return await connection.fetch(query, *arguments)
        finally:
            self._timed(sql.name_of(query), time.perf_counter() - began)

    def _close_idle(self) -> None:
        if not self._lock.locked():
            task = asyncio.get_running_loop().create_task(self._close_unused())
            self._closed.add(task)
            task.add_done_callback(self._closed.discard)

    async def _close(self) -> None:
        if self._closing:
            self._closing.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            await close(connection)
