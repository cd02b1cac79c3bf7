"""Redis or Valkey: the tile, the memory gauge, and the details by cache type."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from watchglass.analysis.windows import Window
from watchglass.api import words
from watchglass.api.answers import CacheType, RedisAnswer, RedisMemoryAnswer
from watchglass.api.asking import Asked, Parameters, Reading, Readings, Spec, figure, figures
from watchglass.api.coverage import coverage
from watchglass.api.models import Figure, Missing, Tile
from watchglass.api.series import line, newest, ratio, ratio_line
from watchglass.meters import (
    CACHE_LOOKUPS,
    REDIS_CLIENTS_CONNECTED,
    REDIS_KEYS,
    REDIS_KEYS_EVICTED,
    REDIS_KEYS_EXPIRED,
    REDIS_KEYSPACE_HITS,
    REDIS_KEYSPACE_MISSES,
    REDIS_MEMORY_MAX,
    REDIS_MEMORY_USED,
    REDIS_UPTIME,
    Meter,
)

if TYPE_CHECKING:
    from watchglass.store.reader import Group

TYPE, RESULT = "watchglass.cache.type", "watchglass.cache.result"
UNREAD = "Redis was not read in this window."
NO_LOOKUPS = "No cache lookups in this window."
NO_LIMIT = "Redis has no maxmemory: it grows until the machine has none left."
FROM_SERVER = "Counted by the server: the commands of every client, not of this service alone."

HIT_RATE = Spec("Hit rate", "1", "ratio", "down")
USED = Spec("Memory", "By", "last", "up")
LIMIT = Spec("Memory limit", "By", "last")
EVICTIONS = Spec("Evictions", "{key}/h", "rate", "up")
SPECS = {"hit_rate": HIT_RATE, "memory_used": USED, "memory_max": LIMIT, "evictions": EVICTIONS}
DETAILS = {
    **SPECS,
    "expirations": Spec("Expirations", "{key}/h", "rate"),
    "keys": Spec("Keys", "{key}", "last"),
    "clients": Spec("Clients", "{client}", "last"),
    "uptime": Spec("Uptime", "s", "last"),
}


async def read(asked: Asked, window: Window) -> Readings:
    """Hit rate, memory and evictions per hour, of one window."""
    return {
        "hit_rate": await _hit_rate(asked, window),
        **await _read_memory(asked, window),
        "evictions": await _per_hour(asked, window, REDIS_KEYS_EVICTED),
    }


async def read_details(asked: Asked, window: Window) -> Readings:
    """What the tile shows, and the server's other figures."""
    return {
        **await read(asked, window),
        "expirations": await _per_hour(asked, window, REDIS_KEYS_EXPIRED),
        "keys": await _gauge(asked, window, REDIS_KEYS),
        "clients": await _gauge(asked, window, REDIS_CLIENTS_CONNECTED),
        "uptime": await _gauge(asked, window, REDIS_UPTIME),
    }


async def tile(asked: Asked, _parameters: Parameters) -> Tile:
    """Hit rate, memory and evictions."""
    found = await figures(asked, SPECS, read)
    sentence = words.sentence(
        found,
        ("hit_rate", lambda hits: f"{words.figure(hits)} of look-ups hit{words.change(hits, asked.than)}"),
        ("memory_used", lambda used: f"{words.figure(used)} used"),
        ("evictions", lambda evictions: words.rate(evictions, "eviction")),
    )
    return Tile(**asked.head("tile_redis", "Redis", sentence, _missing(asked, found.values())), figures=found)


async def memory(asked: Asked, _parameters: Parameters) -> RedisMemoryAnswer:
    """Memory used beside the limit, now and over time."""
    found = await figures(asked, {"memory_used": USED, "memory_max": LIMIT}, _read_memory)
    used, limit = found["memory_used"], found["memory_max"]
    share = used.value / limit.value if used.value is not None and limit.value else None
    of = f", {words.percent(share)} of {words.figure(limit)}" if share is not None else "; no limit is known"
    sentence = words.sentence(found, ("memory_used", lambda used: f"{words.figure(used)} used{of}"))
    head = asked.head("redis_memory", "Redis memory", sentence, _missing(asked, [used]))
    times = asked.window.slots(asked.step)
    return RedisMemoryAnswer(
        **head, used=used, limit=limit, used_share=share, times=times, line=used.spark or [None] * len(times)
    )


async def detailed(asked: Asked, _parameters: Parameters) -> RedisAnswer:
    """Every figure of the server, and the hit rate of each cache type."""
    found = await figures(asked, DETAILS, read_details)
    now = await _types(asked, asked.window)
    before = await _types(asked, asked.earlier) if asked.earlier else {}
    types = [
        CacheType(
            cache_type=name or "(none)",
            hits=hits,
            misses=misses,
            hit_rate=figure(HIT_RATE, ratio(hits, hits + misses, NO_LOOKUPS), _of_type(before.get(name))),
        )
        for name, (hits, misses) in sorted(now.items(), key=lambda item: -sum(item[1]))
    ]
    over = words.plural(len(types), "cache type")
    sentence = words.sentence(found, ("hit_rate", lambda hits: f"{words.figure(hits)} of look-ups hit, over {over}"))
    return RedisAnswer(
        **asked.head("redis", "Redis by cache type", sentence, _missing(asked, found.values())),
        figures=found,
        cache_types=types,
    )


async def _hit_rate(asked: Asked, window: Window) -> Reading:
    """By the client's own count, else by the server's."""
    slots = window.slots(asked.step)
    lookups = await asked.reader.select(CACHE_LOOKUPS.name, window, by=(RESULT,), step=asked.step)
    if lookups:
        return _share([group for group in lookups if group.key == ("hit",)], lookups, slots)
    hits = await asked.reader.select(REDIS_KEYSPACE_HITS.name, window, step=asked.step)
    misses = await asked.reader.select(REDIS_KEYSPACE_MISSES.name, window, step=asked.step)
    found = _share(hits, [*hits, *misses], slots)
    return Reading(found.value, found.samples, found.reason or FROM_SERVER, found.spark, "estimated")


def _share(hits: Sequence[Group], all_: Sequence[Group], slots: Sequence[int]) -> Reading:
    part, whole = (line(groups, slots, lambda group: group.sum) for groups in (hits, all_))
    return ratio(
        sum(group.sum for group in hits), sum(group.sum for group in all_), NO_LOOKUPS, ratio_line(part, whole)
    )


async def _read_memory(asked: Asked, window: Window) -> dict[str, Reading]:
    return {
        "memory_used": await _gauge(asked, window, REDIS_MEMORY_USED),
        "memory_max": _limit(await _gauge(asked, window, REDIS_MEMORY_MAX)),
    }


async def _types(asked: Asked, window: Window) -> dict[str | None, tuple[int, int]]:
    """Hits and misses of each cache type."""
    found: dict[str | None, dict[str | None, int]] = defaultdict(dict)
    for group in await asked.reader.select(CACHE_LOOKUPS.name, window, by=(TYPE, RESULT)):
        found[group.key[0]][group.key[1]] = round(group.sum)
    return {name: (results.get("hit", 0), results.get("miss", 0)) for name, results in found.items()}


def _of_type(counts: tuple[int, int] | None) -> Reading:
    return ratio(counts[0], sum(counts), NO_LOOKUPS) if counts else Reading(None)


async def _gauge(asked: Asked, window: Window, meter: Meter) -> Reading:
    groups = await asked.reader.select(meter.name, window, step=asked.step)
    return newest(groups, window.slots(asked.step), UNREAD)


async def _per_hour(asked: Asked, window: Window, meter: Meter) -> Reading:
    """A counter of the server, per hour of the time the service was reporting; one that was read and stood is zero."""
    groups = await asked.reader.select(meter.name, window, step=asked.step)
    if not groups and not await asked.reader.select(REDIS_MEMORY_USED.name, window):
        return Reading(None, reason=UNREAD)
    slots = window.slots(asked.step)
    amounts = line(groups, slots, lambda group: group.sum)
    covered = await coverage(asked, window)
    return covered.reading(amounts, slots, asked.step, 3600, samples=round(sum(group.sum for group in groups)))


def _limit(reading: Reading) -> Reading:
    """A maxmemory of zero is no limit."""
    return reading if reading.value != 0 else Reading(None, reading.samples, NO_LIMIT)


def _missing(asked: Asked, found: Iterable[Figure]) -> Missing | None:
    if any(one.value is not None for one in found):
        return None
    if asked.context.settings.redis_dsn is None:
        return Missing(
            reason="No Redis is known to Watchglass.",
            remedy="Set the address of the service's Redis.",
            command="export REDIS_URL=redis://localhost:6379/0",
        )
    return Missing(reason=UNREAD, remedy="See what is wrong.", command="watchglass doctor")
