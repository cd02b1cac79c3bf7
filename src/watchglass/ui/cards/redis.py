"""Hits and misses of each cache type."""

from __future__ import annotations

from dataclasses import dataclass

from watchglass.api.answers import CacheType, RedisAnswer
from watchglass.api.models import Missing
from watchglass.ui import drawing, format
from watchglass.ui.levels import RULES, Level


@dataclass(frozen=True, slots=True)
class Row:
    """One cache type."""

    name: str
    hit_rate: format.Quantity
    change: str
    gauge: drawing.Gauge | None
    level: Level | None
    hits: str
    misses: str


@dataclass(frozen=True, slots=True)
class RedisView:
    """The cache types, the most used first."""

    sentence: str
    rows: list[Row]
    missing: Missing | None


def view(answer: RedisAnswer) -> RedisView:
    """One row per cache type."""
    return RedisView(answer.sentence, [_row(one) for one in answer.cache_types], answer.missing)


def _row(one: CacheType) -> Row:
    rate, limit = one.hit_rate.value, RULES["tile_redis.hit_rate"].warning or 0.0
    quantity = format.of(one.hit_rate)
    label = f"Hit rate {quantity}; limit below {format.quantity(limit, '1')}"
    return Row(
        name=one.cache_type,
        hit_rate=quantity,
        change=format.change(one.hit_rate.change, "1"),
        gauge=None if rate is None else drawing.gauge(rate, (limit,), True, 1.0, label),
        level="warning" if rate is not None and rate < limit else None,
        hits=f"{one.hits:,}",
        misses=f"{one.misses:,}",
    )
