"""PostgreSQL: the tile."""

from __future__ import annotations

from watchglass.analysis.windows import Window
from watchglass.api import words
from watchglass.api.asking import Asked, Parameters, Reading, Readings, Spec, figures
from watchglass.api.coverage import coverage
from watchglass.api.models import Figure, Missing, Tile
from watchglass.api.series import line, newest, ratio, ratio_line, total
from watchglass.meters import (
    DB_CLIENT_OPERATION_DURATION,
    POSTGRESQL_BACKENDS,
    POSTGRESQL_BLKS_HIT,
    POSTGRESQL_BLKS_READ,
    POSTGRESQL_CONNECTION_MAX,
    POSTGRESQL_DB_SIZE,
    Meter,
)

SYSTEM = "db.system.name"
POSTGRESQL = "postgresql"
UNREAD = "PostgreSQL was not read in this window."
NO_BLOCKS = "No blocks were asked for in this window."

SPECS = {
    "connections": Spec("Connections", "{connection}", "last", "up"),
    "connections_max": Spec("Connection limit", "{connection}", "last"),
    "cache_hit_ratio": Spec("Cache hits", "1", "ratio", "down"),
    "slow_statements": Spec("Slow statements", "{statement}/h", "rate", "up"),
    "size": Spec("Size", "By", "last"),
}


async def read(asked: Asked, window: Window) -> Readings:
    """Connections, cache hits, slow statements per hour and size, of one window."""
    return {
        "connections": await _gauge(asked, window, POSTGRESQL_BACKENDS, by=("state",)),
        "connections_max": await _gauge(asked, window, POSTGRESQL_CONNECTION_MAX),
        "cache_hit_ratio": await _cache_hits(asked, window),
        "slow_statements": await _slow(asked, window),
        "size": await _gauge(asked, window, POSTGRESQL_DB_SIZE),
    }


async def tile(asked: Asked, _parameters: Parameters) -> Tile:
    """Connections, cache hit ratio, slow statements and size."""
    found = await figures(asked, SPECS, read)
    most = found["connections_max"]
    sentence = words.sentence(
        found,
        ("connections", lambda now: f"{words.figure(now)} of {words.figure(most)} connections"),
        ("cache_hit_ratio", lambda hits: f"{words.figure(hits)} cache hits"),
        ("slow_statements", lambda slow: words.rate(slow, "slow statement")),
    )
    return Tile(**asked.head("tile_postgresql", "PostgreSQL", sentence, _missing(found)), figures=found)


async def _gauge(asked: Asked, window: Window, meter: Meter, by: tuple[str, ...] = ()) -> Reading:
    groups = await asked.reader.select(meter.name, window, by=by, step=asked.step)
    return newest(groups, window.slots(asked.step), UNREAD)


async def _cache_hits(asked: Asked, window: Window) -> Reading:
    slots = window.slots(asked.step)
    hit = await asked.reader.select(POSTGRESQL_BLKS_HIT.name, window, step=asked.step)
    missed = await asked.reader.select(POSTGRESQL_BLKS_READ.name, window, step=asked.step)
    if not hit and not missed:
        return Reading(None, reason=UNREAD)
    part, whole = (line(groups, slots, lambda group: group.sum) for groups in (hit, [*hit, *missed]))
    found = sum(group.sum for group in hit)
    return ratio(found, found + sum(group.sum for group in missed), NO_BLOCKS, ratio_line(part, whole))


async def _slow(asked: Asked, window: Window) -> Reading:
    """Calls over the threshold, per hour of the time the service was reporting."""
    threshold = asked.context.settings.slow_statement_seconds
    slots = window.slots(asked.step)
    groups = await asked.reader.select(
        DB_CLIENT_OPERATION_DURATION.name, window, where={SYSTEM: POSTGRESQL}, step=asked.step
    )
    slow = line(groups, slots, lambda group: float(total([group]).over(threshold)))
    return (await coverage(asked, window)).reading(slow, slots, asked.step, 3600, samples=total(groups).count)


def _missing(found: dict[str, Figure]) -> Missing | None:
    if any(one.value is not None for one in found.values()):
        return None
    return Missing(reason=UNREAD, remedy="See what is wrong.", command="watchglass doctor")
