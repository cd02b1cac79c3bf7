"""Connection pools of asyncpg."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

from watchglass.guard import caught, own_work
from watchglass.instrumentation.pools import Numbers, ObservedPool, Pools, address

_PLACE = "instrumentation.pools"
_STATE = "_watchglass"

Call = Callable[..., Awaitable[Any]]


class AsyncPGPool(ObservedPool):
    """A pool of asyncpg, whose queue holds this."""

    __slots__ = ("pool",)

    def __init__(self, pool: Any) -> None:
        super().__init__()
        self.pool = pool

    def address(self) -> str:
        """The address of the pool's server and database: of one of its connections, else as far as it was told."""
        for holder in self.pool._holders:
            connection = holder._con
            if connection is not None:
                place = connection._addr
                host, port = (place, None) if isinstance(place, str) else place[:2]
                return address(host, port, connection._params.database)
        return _told(self.pool)

    def numbers(self) -> Numbers | None:
        if self.pool._closed:
            return None
        size, idle = self.pool.get_size(), self.pool.get_idle_size()
        return Numbers(idle, size - idle, self.pool.get_max_size(), self.pending)


class AsyncPGPools:
    """Measures `Pool._acquire`; `acquired` is given each connection that came of it."""

    def __init__(self, pools: Pools, acquired: Callable[[Any], None]) -> None:
        self._all = pools
        self._acquired = acquired
        self._known: WeakSet[AsyncPGPool] = WeakSet()
        self.active = True

    def close(self) -> None:
        """Forget the pools and leave them as they were."""
        self.active = False
        for observed in list(self._known):
            vars(observed.pool._queue).pop(_STATE, None)
            self._all.forget(observed)
        self._known.clear()

    def watched(self, method: Call) -> Call:
        """`Pool._acquire`, measured."""

        @functools.wraps(method)
        async def _acquire(pool: Any, *args: Any, **kwargs: Any) -> Any:
            observed = self._observed(pool) if self.active and not own_work.get() else None
            if observed is None:
                return await method(pool, *args, **kwargs)
            start = self._all.clock()
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

    def _observed(self, pool: Any) -> AsyncPGPool | None:
        try:
            queue = pool._queue
            if queue is None:  # not opened yet: asyncpg will say so
                return None
            observed: AsyncPGPool | None = getattr(queue, _STATE, None)
            if observed is None:
                observed = AsyncPGPool(pool)
                setattr(queue, _STATE, observed)
                self._known.add(observed)
                self._all.add(observed)
            return observed
        except Exception:
            caught(_PLACE)
            return None

    def _ended(self, observed: AsyncPGPool, start: float, error: BaseException | None, connection: Any) -> None:
        try:
            self._all.ended(observed, start, error)
            if error is None:
                self._acquired(connection)
        except Exception:
            caught(_PLACE)


def _told(pool: Any) -> str:
    """Where a pool that has no connection was told to connect to."""
    dsn = urlsplit(str(pool._connect_args[0] or "")) if pool._connect_args else urlsplit("")
    told = pool._connect_kwargs
    host = told.get("host") or dsn.hostname or "localhost"
    return address(host, told.get("port") or dsn.port, told.get("database") or dsn.path.lstrip("/") or "postgres")
