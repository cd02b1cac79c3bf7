"""Whether the service is well, for anyone to read: a word, no figures, no versions.

Known from this process's memory, and from a cheap check of PostgreSQL and Redis that is made at most every fifteen
seconds while someone asks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from math import inf
from typing import Literal, NamedTuple

from watchglass import guard
from watchglass.api.context import Context
from watchglass.api.models import Model
from watchglass.api.requests import is_error
from watchglass.errors import WatchglassError
from watchglass.meters import (
    HTTP_SERVER_REQUEST_DURATION,
    SYSTEM_FILESYSTEM_UTILIZATION,
    SYSTEM_MEMORY_UTILIZATION,
    Meter,
)
from watchglass.records import State
from watchglass.store.connection import close, connect, reported, transaction

Condition = Literal["operational", "degraded", "critical"]

RANK: dict[Condition, int] = {"operational": 0, "degraded": 1, "critical": 2}

FULL = 0.9
"""Of memory or disk in use: degraded."""
FAILING, MOSTLY_FAILING = 0.05, 0.5
"""Share of requests that fail: degraded, critical."""
FEWEST = 20
"""Requests below which a share says nothing."""

_CHECK_EVERY, _CHECK_SECONDS, _LOOK_EVERY, _MINUTE = 15.0, 2.0, 5.0, 60.0

Check = Callable[[], Awaitable[None]]


class HealthAnswer(Model):
    """`components` are those that are known; the worst of them is the status."""

    status: Condition
    components: dict[str, Condition]


class Lately(NamedTuple):
    """Requests of about the last minute, as far back as somebody has looked."""

    requests: int
    failed: int
    seconds: float


class Health:
    """The health of one process's service. Asking is cheap and never waits for a check longer than two seconds."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._checked: dict[str, Condition] = {}
        self._checked_at = -inf
        self._checking: asyncio.Task[None] | None = None
        self._seen: deque[tuple[float, int, int]] = deque()
        self._looked: dict[str, Condition] = {}

    async def now(self) -> HealthAnswer:
        """What is known now. The first to ask waits for the check; later ones get the last one's outcome."""
        await self._check()
        self._look()
        components = {**self._looked, **self._checked, **self._telemetry()}
        worst: Condition = max(components.values(), key=RANK.__getitem__, default="operational")
        return HealthAnswer(status=worst, components=components)

    async def ready(self) -> bool:
        """Whether requests should be sent here: what the service cannot do without answers."""
        await self._check()
        return "critical" not in self._checked.values()

    def lately(self) -> Lately:
        """How many requests of this process ended, and failed, since it was first looked at, or in the last minute."""
        self._look()
        return self._passed() if self._seen else Lately(0, 0, 0.0)

    def _passed(self) -> Lately:
        since, requests, failed = self._seen[0]
        now, all_requests, all_failed = self._seen[-1]
        return Lately(all_requests - requests, all_failed - failed, now - since)

    async def _check(self) -> None:
        """Have the outcome of a check that is not old; one that is a little old is good while the next is made."""
        age = asyncio.get_running_loop().time() - self._checked_at
        if age >= _CHECK_EVERY and (self._checking is None or self._checking.done()):
            self._checking = asyncio.create_task(self._run_checks())
        if age >= 2 * _CHECK_EVERY and self._checking is not None:
            await asyncio.shield(self._checking)

    async def _run_checks(self) -> None:
        settings, found = self._context.settings, dict[str, Condition]()
        if settings.app_database_url and settings.application_dsn:
            found["postgresql"] = await _outcome(_ask_postgresql, settings.application_dsn, "critical")
        if settings.redis_dsn:
            found["redis"] = await _outcome(_ask_redis, settings.redis_dsn, "degraded")
        self._checked, self._checked_at = found, asyncio.get_running_loop().time()

    def _telemetry(self) -> dict[str, Condition]:
        status = self._context.status() if self._context.status else None
        if status is None or status.state == "off":
            return {}
        return {"telemetry": "operational" if status.state in ("ok", "starting") else "degraded"}

    def _look(self) -> None:
        """Read this process's meters, at most every five seconds."""
        now = self._context.clock()
        if self._context.collect is None or (self._seen and now - self._seen[-1][0] < _LOOK_EVERY):
            return
        states = list(self._context.collect())
        self._looked = {"api": self._requests(now, states)}
        for name, meter in (("memory", SYSTEM_MEMORY_UTILIZATION), ("disk", SYSTEM_FILESYSTEM_UTILIZATION)):
            values = [state.sum for state in _of(states, meter)]
            if values:
                self._looked[name] = "degraded" if max(values) >= FULL else "operational"

    def _requests(self, now: float, states: list[State]) -> Condition:
        """The share of requests that failed in about the last minute."""
        counted = [(state.count, is_error(*state.values[2:4])) for state in _of(states, HTTP_SERVER_REQUEST_DURATION)]
        self._seen.append((now, sum(count for count, _ in counted), sum(count for count, bad in counted if bad)))
        while len(self._seen) > 2 and self._seen[1][0] <= now - _MINUTE:
            self._seen.popleft()
        requests, failed, _ = self._passed()
        if requests < FEWEST or failed < FAILING * requests:
            return "operational"
        return "critical" if failed >= MOSTLY_FAILING * requests else "degraded"


def _of(states: list[State], meter: Meter) -> Iterator[State]:
    return (state for state in states if state.meter is meter)


async def _outcome(ask: Callable[[str], Awaitable[None]], dsn: str, otherwise: Condition) -> Condition:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await ask(dsn)
    except (WatchglassError, OSError, TimeoutError):
        return otherwise
    except Exception:
        guard.caught("health")
        return otherwise
    return "operational"


async def _ask_postgresql(dsn: str) -> None:
    """Open a transaction: a pooler in between may answer while the server does not."""
    connection = await connect(dsn, application_name="watchglass health", seconds=_CHECK_SECONDS)
    try:
        with reported(dsn):
            async with transaction(connection, seconds=_CHECK_SECONDS, readonly=True):
                pass
    finally:
        await close(connection)


async def _ask_redis(url: str) -> None:
    """Say PING. Without the client's package nothing is known, which is no failure."""
    try:
        from redis.asyncio import Redis
        from redis.exceptions import RedisError
    except ImportError:
        return
    spelled = url.replace("valkey", "redis", 1) if url.startswith("valkey") else url
    try:
        async with Redis.from_url(
            spelled, socket_timeout=_CHECK_SECONDS, socket_connect_timeout=_CHECK_SECONDS
        ) as client:
            await client.ping()
    except RedisError as error:
        raise OSError(str(error)) from error
