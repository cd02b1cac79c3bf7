"""Watchglass's own thread and event loop, where the API and the page run, so that a slow read never delays the host.

The host's loop only passes messages across. Whatever happens here, the host sees an ordinary response.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context
from typing import Any, TypeVar

from watchglass import guard
from watchglass.api.crossing import Crossing, plain
from watchglass.store.forks import abandon

T = TypeVar("T")
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PATIENCE = 10.0
"""Seconds until a request that this loop has not taken up is answered with 503."""

_GRACE = 0.8
"""Seconds that open streams and closers are given when stopping."""


class OwnLoop:
    """A thread with its own event loop, started on first use, anew in each process that forks off."""

    def __init__(self) -> None:
        self._closers: list[Callable[[], Awaitable[None]]] = []
        self._lock = threading.Lock()
        self._thread: _Thread | None = None
        _loops.add(self)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Have the own loop run a coroutine, as Watchglass's own work and in a context of its own. From any thread."""
        try:
            with self._lock:
                return Context().run(_as_own_work, coroutine, self._started().loop)
        except BaseException:
            coroutine.close()
            raise

    def bridge(self, app: Application) -> Application:
        """An ASGI application for the host's loop that has `app` answer on the own loop."""

        async def bridged(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] in ("http", "websocket"):
                await self._carry(app, Crossing(scope, receive, send))

        return bridged

    def at_stop(self, closer: Callable[[], Awaitable[None]]) -> None:
        """Have `closer` run on the own loop when it stops."""
        self._closers.append(closer)

    def stop(self, timeout: float = 0.0) -> None:
        """End every stream and stop, within a second. Returns at once, or waits up to `timeout` seconds for the end.

        Wait only where no event loop runs: a stream's end passes through the host's. A later use starts it again.
        """
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            with suppress(RuntimeError):  # it has stopped already
                thread.loop.call_soon_threadsafe(thread.begin_stop, list(self._closers))
            if timeout:
                thread.join(timeout)

    async def _carry(self, app: Application, crossing: Crossing) -> None:
        try:
            work = asyncio.wrap_future(self.run(self._serve(app, crossing)))
            try:
                await asyncio.wait({work, crossing.taken_up}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
                if work.done() or crossing.taken_up.done():
                    await work
                    return
            finally:
                crossing.closed = True
                work.cancel()
        except Exception:
            await plain(crossing.scope, crossing.host_send, 500)
            guard.caught("serving")
        else:
            await plain(crossing.scope, crossing.host_send, 503)

    async def _serve(self, app: Application, crossing: Crossing) -> None:
        """On the own loop: answer, and turn what goes wrong into an answer as well."""
        crossing.take_up()
        try:
            await app(crossing.inner_scope, crossing.receive, crossing.send)
        except asyncio.CancelledError:
            if not crossing.closed:
                await crossing.finish(503)
        except Exception:
            if not crossing.lost:
                await crossing.finish(500)
                guard.caught("serving")

    def _started(self) -> _Thread:
        if self._thread is None:
            self._thread = _Thread()
            self._thread.start()
        return self._thread

    def _forget(self) -> None:
        """Begin afresh: a fork has neither the thread nor a usable lock, and shares the parent's selector."""
        abandon(self._thread)
        self._lock = threading.Lock()
        self._thread = None


def _as_own_work(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> Future[T]:
    """A task has the context in which it is handed over for good."""
    with guard.as_own_work():
        return asyncio.run_coroutine_threadsafe(coroutine, loop)


class _Thread(threading.Thread):
    """Runs one event loop until it is told to stop."""

    def __init__(self) -> None:
        super().__init__(name="watchglass-serve", daemon=True)
        self.loop = asyncio.new_event_loop()
        self._stopping: asyncio.Task[None] | None = None

    def run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            with guard.as_own_work():
                self.loop.run_forever()
        finally:
            self.loop.close()

    def begin_stop(self, closers: list[Callable[[], Awaitable[None]]]) -> None:
        """On the loop itself: cancel all tasks, then run the closers, then stop the loop."""
        if self._stopping is None:
            self._stopping = self.loop.create_task(self._wind_down(closers))

    async def _wind_down(self, closers: list[Callable[[], Awaitable[None]]]) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_GRACE)
        for closer in closers:
            try:
                async with asyncio.timeout(_GRACE):
                    await closer()
            except Exception:
                guard.caught("stopping")
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await self.loop.shutdown_asyncgens()
        self.loop.stop()


_loops: weakref.WeakSet[OwnLoop] = weakref.WeakSet()


def _after_fork() -> None:
    for own in list(_loops):
        own._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
