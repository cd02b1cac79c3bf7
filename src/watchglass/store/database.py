"""The store as those who ask see it: one connection, opened by the first question and closed when none comes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from watchglass import sql
from watchglass.errors import DatabaseUnavailable
from watchglass.guard import as_own_work
from watchglass.store.connection import close, connect, reported, transaction
from watchglass.store.forks import abandon
from watchglass.store.silence import Silence

if TYPE_CHECKING:
    import asyncpg

    from watchglass.store.connection import Connection

QUESTION_SECONDS = 5.0

CONNECT_SECONDS, BEGIN_SECONDS = 3.0, 1.0
"""For how long a connection is waited for, and for the first word on one that was open before another is opened."""

T = TypeVar("T")

Timed = Callable[[str, float], None]
"""Told a statement's name and the seconds it took, whether it succeeded or not."""


class Fetch(Protocol):
    """Sends one statement with its arguments and answers its rows."""

    def __call__(self, query: str, *arguments: object) -> Awaitable[list[asyncpg.Record]]: ...


class Database:
    """Questions wait for each other. All must come from one event loop; a forked child begins anew.

    While the server is silent one question at a time waits for it, and the others fail at once.
    """

    def __init__(
        self,
        dsn: str,
        *,
        application_name: str = "watchglass reader",
        idle_seconds: float = 60.0,
        timed: Timed | None = None,
        silence: Silence | None = None,
    ) -> None:
        self.dsn = dsn
        self.application_name = application_name
        self.idle_seconds = idle_seconds
        self._timed = timed or (lambda name, seconds: None)
        self._silence = silence or Silence()
        self._beside: dict[tuple[str, str], Database] = {}
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None
        self._closing: asyncio.TimerHandle | None = None
        self._closed: set[asyncio.Task[None]] = set()
        self._at_work = False

    def beside(self, application_name: str, dsn: str | None = None) -> Database:
        """Another connection, to the same database or to another, for what takes long: questions do not wait for it.

        It is the same one for the same name and database, and is closed with this one.
        """
        dsn = dsn or self.dsn
        if (application_name, dsn) not in self._beside:
            self._beside[application_name, dsn] = Database(
                dsn,
                application_name=application_name,
                idle_seconds=self.idle_seconds,
                timed=self._timed,
                silence=self._silence if dsn == self.dsn else None,
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
        began = time.monotonic()
        self._silence.check()
        with as_own_work():
            async with self._lock:
                while True:
                    self._silence.check_since(began)
                    was_open = self._is_open()
                    try:
                        return await self._ask(work, seconds, readonly)
                    except DatabaseUnavailable as error:
                        await self._close()
                        if was_open and (readonly or not self._at_work):
                            continue  # on a new connection
                        self._silence.met(error)
                        raise

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
        self._at_work = False
        connection, patience = self._connection, BEGIN_SECONDS
        if connection is None or connection.is_closed():
            connection = await connect(self.dsn, application_name=self.application_name, seconds=CONNECT_SECONDS)
            self._connection, patience = connection, CONNECT_SECONDS
        with reported(self.dsn, seconds=seconds), first_word(connection, patience) as came:
            async with transaction(connection, seconds=seconds, readonly=readonly):
                came()
                self._silence.broken()
                self._at_work = True
                answer = await work(partial(self._fetch, connection))
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


@contextmanager
def first_word(connection: Connection, seconds: float) -> Iterator[Callable[[], None]]:
    """Raise `TimeoutError` where nothing comes within that time; what is yielded is called when something has."""
    silent = False

    def give_up() -> None:
        nonlocal silent
        silent = True
        connection.terminate()

    timer = asyncio.get_running_loop().call_later(seconds, give_up)
    try:
        yield timer.cancel
    except Exception as error:
        if silent:
            raise TimeoutError from error
        raise
    finally:
        timer.cancel()
