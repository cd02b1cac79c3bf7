"""Connection pools of the service: how full each is in every process, and how long acquiring takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from watchglass.analysis.tiers import resolution
from watchglass.analysis.windows import Window
from watchglass.api.activity_answers import Pool
from watchglass.api.asking import Asked
from watchglass.api.series import Total, total
from watchglass.meters import (
    DB_CLIENT_CONNECTION_COUNT,
    DB_CLIENT_CONNECTION_MAX,
    DB_CLIENT_CONNECTION_PENDING_REQUESTS,
    DB_CLIENT_CONNECTION_TIMEOUTS,
    DB_CLIENT_CONNECTION_WAIT_TIME,
    Meter,
)

NAME, STATE, INSTANCE = "db.client.connection.pool.name", "db.client.connection.state", "service.instance.id"

RECENT = 60.0
"""Seconds before the end of a window that are recent."""

Key = tuple[str, str]
"""The pool's name and the process."""


async def pools(asked: Asked) -> list[Pool]:
    """Every pool of every process at the end of the asked window, those first that make requests wait.

    Waits and timeouts are of the whole window, sizes of the last flush in it.
    """
    recent = _recent(asked)
    gauges = {
        "idle": await _newest(asked, recent, DB_CLIENT_CONNECTION_COUNT, "idle"),
        "used": await _newest(asked, recent, DB_CLIENT_CONNECTION_COUNT, "used"),
        "max": await _newest(asked, recent, DB_CLIENT_CONNECTION_MAX),
        "waiting": await _newest(asked, recent, DB_CLIENT_CONNECTION_PENDING_REQUESTS),
    }
    waits, timeouts = await _waits(asked), await _timeouts(asked)
    keys = sorted(set().union(*gauges.values()))
    found = [_pool(key, gauges, waits.get(key), timeouts.get(key, 0.0)) for key in keys]
    return sorted(found, key=_urgency)


def added(values: Iterable[int | None]) -> int | None:
    """The sum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _pool(key: Key, gauges: Mapping[str, Mapping[Key, int]], waits: Total | None, timeouts: float) -> Pool:
    known = {name: values.get(key) for name, values in gauges.items()}
    return Pool(
        name=key[0],
        instance=key[1],
        size=added((known["idle"], known["used"])),
        max=known["max"],
        idle=known["idle"],
        used=known["used"],
        waiting=known["waiting"],
        wait_p95_seconds=waits.percentile(0.95) if waits else None,
        timeouts=timeouts,
    )


def _urgency(pool: Pool) -> tuple[float, ...]:
    share = (pool.used or 0) / pool.max if pool.max else 0.0
    return -(pool.waiting or 0), -pool.timeouts, -share


def _recent(asked: Asked) -> Window:
    """The end of the window, as short as the newest flush of each process allows: one that has ended has no pools."""
    end, settings = asked.window.end, asked.context.settings
    finest = resolution(end - RECENT, asked.now, settings.kept)
    return Window(end - max(3 * settings.flush_interval, 2 * finest), end)


async def _newest(asked: Asked, window: Window, meter: Meter, state: str | None = None) -> dict[Key, int]:
    where = {STATE: state} if state else None
    groups = await asked.reader.select(meter.name, window, by=(NAME, INSTANCE), where=where)
    return {_key(group.key): round(group.last) for group in groups if group.last is not None}


async def _waits(asked: Asked) -> dict[Key, Total]:
    groups = await asked.reader.select(DB_CLIENT_CONNECTION_WAIT_TIME.name, asked.window, by=(NAME, INSTANCE))
    return {_key(group.key): total([group]) for group in groups}


async def _timeouts(asked: Asked) -> dict[Key, float]:
    groups = await asked.reader.select(DB_CLIENT_CONNECTION_TIMEOUTS.name, asked.window, by=(NAME, INSTANCE))
    return {_key(group.key): group.sum for group in groups}


def _key(key: tuple[str | None, ...]) -> Key:
    name, instance = key
    return name or "", instance or ""
