"""The connection pools of all processes together, and each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from watchglass.api import words
from watchglass.api.activity_answers import Pool
from watchglass.api.asking import Asked, Reading, Spec, figure
from watchglass.api.models import Figure, Missing
from watchglass.api.pool_answers import PoolsAnswer
from watchglass.api.pools import added, pools
from watchglass.api.series import total
from watchglass.meters import DB_CLIENT_CONNECTION_WAIT_TIME

MOST: Final = 100
"""Pools that are told apart."""

NO_POOL: Final = "No connection pool was used in this window."
REMEDY: Final = (
    "Pools are seen from their first use on: those of asyncpg, made by asyncpg.create_pool(), and those of "
    "SQLAlchemy's engines, made by create_async_engine() or create_engine()."
)
NO_LIMIT: Final = "A pool has no limit."
NO_WAIT: Final = "No connection was acquired in this window."

SPECS: Final[Mapping[str, Spec]] = {
    "used": Spec("Connections in use", "{connection}", "last", "up"),
    "idle": Spec("Idle connections", "{connection}", "last"),
    "size": Spec("Open connections", "{connection}", "last"),
    "max": Spec("Connections allowed", "{connection}", "last"),
    "waiting": Spec("Requests that wait for one", "{request}", "last", "up"),
    "wait": Spec("Waiting for one, P95", "s", "p95", "up"),
    "timeouts": Spec("Waited in vain", "{timeout}", "sum", "up"),
}

_OF_ALL: Final[Mapping[str, Callable[[Pool], int | None]]] = {
    "used": lambda one: one.used,
    "idle": lambda one: one.idle,
    "size": lambda one: one.size,
    "max": lambda one: one.max,
    "waiting": lambda one: one.waiting,
}


async def pool(asked: Asked) -> PoolsAnswer:
    """How full the pools are at the end of the window, and how long acquiring took in it."""
    found = await pools(asked)
    now = await _readings(asked, found)
    before: Mapping[str, Reading] = {}
    if asked.earlier:
        earlier = replace(asked, window=asked.earlier)
        before = await _readings(earlier, await pools(earlier))
    figures = {name: figure(spec, now[name], before.get(name)) for name, spec in SPECS.items()}
    missing = None if found else Missing(reason=NO_POOL, remedy=REMEDY)
    return PoolsAnswer(
        **asked.head("pool", "Connection pools", _sentence(found, figures), missing),
        figures=figures,
        pools=found[:MOST],
        more=max(0, len(found) - MOST),
    )


async def _readings(asked: Asked, found: Sequence[Pool]) -> Mapping[str, Reading]:
    whole = total(await asked.reader.select(DB_CLIENT_CONNECTION_WAIT_TIME.name, asked.window))
    readings = {name: _sum([value(one) for one in found]) for name, value in _OF_ALL.items()}
    if any(one.max is None for one in found):
        readings["max"] = Reading(None, reason=NO_LIMIT)
    readings["wait"] = Reading(whole.percentile(0.95), whole.count, None if whole.count else NO_WAIT)
    timeouts = sum(one.timeouts for one in found)
    readings["timeouts"] = Reading(timeouts, samples=whole.count) if found else Reading(None, reason=NO_POOL)
    return readings


def _sum(values: Sequence[int | None]) -> Reading:
    return Reading(added(values), samples=len(values)) if added(values) is not None else Reading(None, reason=NO_POOL)


def _sentence(found: Sequence[Pool], figures: Mapping[str, Figure]) -> str:
    most, waiting, wait, used = (figures[name] for name in ("max", "waiting", "wait", "used"))
    number = len({one.instance for one in found})
    processes = "1 process" if number == 1 else f"{number} processes"
    verb = "is" if used.value == 1 else "are"
    taken = words.plural(used.value or 0.0, "connection")
    if most.value is not None:
        taken = f"{words.figure(used)} of {words.plural(most.value, 'connection')}"
    text = f"{taken} of {processes} {verb} in use"
    if waiting.value:
        text += f"; {words.plural(waiting.value, 'request')} {'waits' if waiting.value == 1 else 'wait'} for one"
    return f"{text}; P95 of waiting is {words.figure(wait)}." if wait.value is not None else f"{text}."
