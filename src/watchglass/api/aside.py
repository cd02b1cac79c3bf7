"""What `watchglass serve` knows of a service that it is no part of: what the store has, and since when nothing came."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from watchglass.api import words
from watchglass.api.context import Context
from watchglass.api.health import Condition, HealthAnswer
from watchglass.errors import DatabaseNotConfigured, WatchglassError
from watchglass.store.seen import newest

FRESH = 2.0
"""Seconds for which an answer is good."""

LONGEST = 300.0
"""Seconds that a service may have for its flush interval, at most."""

_GRID = 10.0


@dataclass(frozen=True, slots=True)
class LastSeen:
    """When the newest telemetry of a service is from (None: there is none), and whether that is too long ago."""

    time: float | None
    silent: bool


async def last_seen(context: Context) -> LastSeen:
    """When any process of the service reported last. Raises what the store does.

    A point begins on a grid of ten seconds, an interval before it is flushed; that flush may be late by another one.
    The interval is the service's own, which the store shows by how long after its beginning a point was written; of a
    process that has hardly begun it is taken for the longest there may be: such silence is noticed after ten minutes.
    """
    if context.reader is None:
        raise DatabaseNotConfigured
    found = await newest(context.reader.database, context.reader.service)
    if found is None:
        return LastSeen(None, silent=True)
    interval = LONGEST if found.lag is None else min(found.lag, LONGEST)
    return LastSeen(found.time, found.time < context.clock() - _GRID - 2 * interval)


def silence(service: str, seen: LastSeen, now: float) -> str | None:
    """The sentence that says since when nothing came; None while something does."""
    if seen.time is None:
        return f"The store has no telemetry of {service}. Check the name, and the database."
    if not seen.silent:
        return None
    when = datetime.fromtimestamp(seen.time, UTC)
    ago = words.duration(now - seen.time)
    why = "it has stopped, hangs, or cannot reach the store"
    return f"Nothing came from {service} since {when:%Y-%m-%d %H:%M:%S} UTC, {ago} ago: {why}."


class Aside:
    """The health of a service as the store tells it: `service` is critical once none of its processes reports.

    While the store does not answer nothing is known of the service, which is said as `telemetry`: degraded.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: HealthAnswer | None = None
        self._due = 0.0
        self._asking = asyncio.Lock()

    async def now(self) -> HealthAnswer:
        """From one question to the store at a time: its answer is for all who wait, and for two seconds after."""
        async with self._asking:
            if self._known is None or time.monotonic() >= self._due:
                self._known, self._due = await self._ask(), time.monotonic() + FRESH
            return self._known

    async def _ask(self) -> HealthAnswer:
        try:
            seen = await last_seen(self._context)
        except WatchglassError:
            return _answer(telemetry="degraded")
        if seen.time is None:
            return _answer(telemetry="degraded")
        return _answer(service="critical" if seen.silent else "operational")

    async def ready(self) -> bool:
        """Whether this process can show anything."""
        return "telemetry" not in (await self.now()).components


def _answer(**components: Condition) -> HealthAnswer:
    [status] = components.values()
    return HealthAnswer(status=status, components=components)
