"""Connection pools of any library: how long acquiring takes, how often in vain, and how full they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

from watchglass.guard import caught
from watchglass.instrumentation.budget import POOL, note
from watchglass.instrumentation.providers import record_client_work
from watchglass.instrumentation.recorder import Histogram, Recorder
from watchglass.meters import (
    DB_CLIENT_CONNECTION_COUNT,
    DB_CLIENT_CONNECTION_MAX,
    DB_CLIENT_CONNECTION_PENDING_REQUESTS,
    DB_CLIENT_CONNECTION_TIMEOUTS,
    DB_CLIENT_CONNECTION_WAIT_TIME,
)

SHOWN_WAIT: Final = 0.001
"""Seconds of waiting for a connection from which on a request's trace shows it."""

MAX_NAMES: Final = 100
"""Names of pools that are told apart; more are "other"."""

_PLACE = "instrumentation.pools"


class Numbers(NamedTuple):
    """How full a pool is: connections idle and used, how many there may be, and who waits for one.

    `most` is None where there is no limit.
    """

    idle: int
    used: int
    most: int | None
    pending: int


class ObservedPool:
    """What is known of one pool. The pool itself holds it, so that it lives as long as the pool."""

    __slots__ = ("__weakref__", "name", "pending", "wait")

    def __init__(self) -> None:
        self.pending = 0
        self.name: str | None = None
        self.wait: Histogram | None = None

    def address(self) -> str:
        """What the pool is called, or where its connections lead; never a password."""
        raise NotImplementedError

    def numbers(self) -> Numbers | None:
        """How full it is, or None once it is closed. Any thread."""
        raise NotImplementedError

    def timed_out(self, error: BaseException) -> bool:
        """Whether the error says that no connection came in time."""
        return isinstance(error, TimeoutError)


class Pools:
    """All pools that were used while observing. Those of one name are added up: it is one server's connections."""

    def __init__(self, recorder: Recorder) -> None:
        self.clock = recorder.clock
        self._recorder = recorder
        self._pools: WeakValueDictionary[int, ObservedPool] = WeakValueDictionary()
        self._names: set[str] = set()
        self._shown: set[str] = set()
        recorder.before_collect(self._set_gauges)

    def add(self, pool: ObservedPool) -> None:
        """Know a pool from now on, for as long as it lives."""
        self._pools[id(pool)] = pool

    def forget(self, pool: ObservedPool) -> None:
        """Know it no longer."""
        self._pools.pop(id(pool), None)

    def ended(self, pool: ObservedPool, start: float, error: BaseException | None) -> None:
        """Somebody got a connection, or an error in its place, and waited since `start`, a reading of the clock."""
        end = self.clock()
        note(POOL, start, end)
        if pool.name is None or pool.wait is None:
            pool.name = self._bounded(pool.address())
            pool.wait = self._recorder.histogram(DB_CLIENT_CONNECTION_WAIT_TIME, (pool.name,))
        if error is None:
            pool.wait.record(end - start)
        elif pool.timed_out(error):
            self._recorder.counter(DB_CLIENT_CONNECTION_TIMEOUTS, (pool.name,)).add()
        if end - start >= SHOWN_WAIT or error is not None:
            attributes = {"db.client.connection.pool.name": pool.name}
            kind = type(error).__qualname__ if error is not None else None
            record_client_work("acquire connection", start, end, attributes, kind, self.clock)

    def _bounded(self, name: str) -> str:
        if name not in self._names and len(self._names) >= MAX_NAMES:
            self._names = {pool.name for pool in self._alive() if pool.name is not None}
            if len(self._names) >= MAX_NAMES:
                return "other"
        self._names.add(name)
        return name

    def _alive(self) -> list[ObservedPool]:
        return [pool for reference in self._pools.valuerefs() if (pool := reference()) is not None]

    def _set_gauges(self) -> None:
        found: defaultdict[str, list[Numbers]] = defaultdict(list)
        for pool in self._alive():
            if pool.name is not None and (numbers := _numbers(pool)) is not None:
                found[pool.name].append(numbers)
        for name, of_name in found.items():
            self._set(name, *(_added(column) for column in zip(*of_name, strict=True)))
            self._shown.add(name)  # after it was set: another thread may be at this, too
        for name in self._shown - set(found):
            self._set(name, None, None, None, None)
            self._shown.discard(name)

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


def _numbers(pool: ObservedPool) -> Numbers | None:
    try:
        return pool.numbers()
    except Exception:
        caught(_PLACE)
        return None


def _added(values: Sequence[int | None]) -> int | None:
    """The sum; None where one of them has no limit."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
