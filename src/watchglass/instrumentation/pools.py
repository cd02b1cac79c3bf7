"""Connection pools of asyncpg: how long acquiring takes, how often in vain, and how full they are."""

from __future__ import annotations

import functools
import weakref
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

from watchglass.guard import caught, own_work
from watchglass.instrumentation.budget import POOL, note
from watchglass.instrumentation.providers import record_client_work
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import (
    DB_CLIENT_CONNECTION_COUNT,
    DB_CLIENT_CONNECTION_MAX,
    DB_CLIENT_CONNECTION_PENDING_REQUESTS,
    DB_CLIENT_CONNECTION_TIMEOUTS,
    DB_CLIENT_CONNECTION_WAIT_TIME,
)

SHOWN_WAIT: Final = 0.001
"""Seconds of waiting for a connection from which on a request's trace shows it."""

_PLACE = "instrumentation.pools"
_STATE = "_watchglass"
_MAX_NAMES = 100

Call = Callable[..., Awaitable[Any]]


class ObservedPool:
    """What is known of one pool. The pool's own queue holds it, so that it lives as long as the pool."""

    __slots__ = ("__weakref__", "name", "pending", "pool", "wait")

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.pending = 0
        self.name: str | None = None
        self.wait: Any = None


class Pools:
    """All pools that were used while observing."""

    def __init__(self, recorder: Recorder, acquired: Callable[[Any], None]) -> None:
        self._recorder = recorder
        self._acquired = acquired
        self._pools: weakref.WeakSet[ObservedPool] = weakref.WeakSet()
        self._names: set[str] = set()
        self.active = True
        recorder.before_collect(self._set_gauges)

    def close(self) -> None:
        """Forget the pools and leave them as they were."""
        self.active = False
        for observed in list(self._pools):
            vars(observed.pool._queue).pop(_STATE, None)
        self._pools.clear()
        self._set_absent(self._names)

    def watched(self, method: Call) -> Call:
        """`Pool._acquire`, measured."""

        @functools.wraps(method)
        async def _acquire(pool: Any, *args: Any, **kwargs: Any) -> Any:
            observed = self._observed(pool) if self.active and not own_work.get() else None
            if observed is None:
                return await method(pool, *args, **kwargs)
            start = self._recorder.clock()
            observed.pending += 1
            try:
                connection = await method(pool, *args, **kwargs)
            except BaseException as error:
                self._ended(observed, start, error, None)
                raise
            finally:
                observed.pending -= 1
            self._ended(observed, start, None, connection)
            return connection

        return _acquire

    def _observed(self, pool: Any) -> ObservedPool | None:
        try:
            queue = pool._queue
            if queue is None:  # not opened yet: asyncpg will say so
                return None
            observed: ObservedPool | None = getattr(queue, _STATE, None)
            if observed is None:
                observed = ObservedPool(pool)
                setattr(queue, _STATE, observed)
                self._pools.add(observed)
            return observed
        except Exception:
            caught(_PLACE)
            return None

    def _ended(self, observed: ObservedPool, start: float, error: BaseException | None, connection: Any) -> None:
        try:
            end = self._recorder.clock()
            note(POOL, start, end)
            if observed.name is None:
                observed.name = self._bounded(pool_name(observed.pool))
                observed.wait = self._recorder.histogram(DB_CLIENT_CONNECTION_WAIT_TIME, (observed.name,))
            if error is None:
                observed.wait.record(end - start)
                self._acquired(connection)
            elif isinstance(error, TimeoutError):
                self._recorder.counter(DB_CLIENT_CONNECTION_TIMEOUTS, (observed.name,)).add()
            if end - start >= SHOWN_WAIT or error is not None:
                attributes = {"db.client.connection.pool.name": observed.name}
                kind = type(error).__qualname__ if error is not None else None
                record_client_work("acquire connection", start, end, attributes, kind, self._recorder.clock)
        except Exception:
            caught(_PLACE)

    def _bounded(self, name: str) -> str:
        if name not in self._names and len(self._names) >= _MAX_NAMES:
            return "other"
        self._names.add(name)
        return name

    def _set_gauges(self) -> None:
        """Pools of one name are added up: it is one server's connections that they take."""
        if not self.active:
            return
        sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for observed in list(self._pools):
            if observed.name is not None and not observed.pool._closed:
                size, idle = observed.pool.get_size(), observed.pool.get_idle_size()
                for index, value in enumerate((idle, size - idle, observed.pool.get_max_size(), observed.pending)):
                    sums[observed.name][index] += value
        for name, (idle, used, most, pending) in sums.items():
            self._set(name, idle, used, most, pending)
        self._set_absent(self._names - set(sums))

    def _set_absent(self, names: set[str]) -> None:
        for name in names:
            self._set(name, None, None, None, None)

    def _set(self, name: str, idle: int | None, used: int | None, most: int | None, pending: int | None) -> None:
        gauge = self._recorder.gauge
        gauge(DB_CLIENT_CONNECTION_COUNT, (name, "idle")).set(idle)
        gauge(DB_CLIENT_CONNECTION_COUNT, (name, "used")).set(used)
        gauge(DB_CLIENT_CONNECTION_MAX, (name,)).set(most)
        gauge(DB_CLIENT_CONNECTION_PENDING_REQUESTS, (name,)).set(pending)


def address(host: Any, port: Any, database: Any) -> str:
    """`host:port/database`, the name that OpenTelemetry advises for a pool that has none."""
    place = f"[{host}]" if ":" in str(host) else str(host)
    return f"{place}:{port}/{database}" if port else f"{place}/{database}"


def pool_name(pool: Any) -> str:
    """The address of the pool's server and database: of one of its connections, else as far as it was told."""
    for holder in pool._holders:
        connection = holder._con
        if connection is not None:
            place = connection._addr
            host, port = (place, None) if isinstance(place, str) else place[:2]
            return address(host, port, connection._params.database)
    dsn = urlsplit(str(pool._connect_args[0] or "")) if pool._connect_args else urlsplit("")
    told = pool._connect_kwargs
    host = told.get("host") or dsn.hostname or "localhost"
    return address(host, told.get("port") or dsn.port, told.get("database") or dsn.path.lstrip("/") or "postgres")
