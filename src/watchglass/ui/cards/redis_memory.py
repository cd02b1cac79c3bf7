"""Redis' memory as a level in its tank, with the limits marked, and its course over the window."""

from __future__ import annotations

from dataclasses import dataclass

from watchglass.api.answers import RedisMemoryAnswer
from watchglass.api.models import Missing
from watchglass.ui import drawing, format
from watchglass.ui.levels import RULES, Level

SCALE = (25, 50, 75)


@dataclass(frozen=True, slots=True)
class RedisMemoryView:
    """`level` in percent of the limit is None where Redis has none; `mark` is the share that is critical."""

    sentence: str
    used: format.Quantity
    limit: format.Quantity | None
    level: float | None
    mark: float
    beyond: float
    scale: tuple[int, ...]
    judged: Level | None
    change: str
    no_limit: str
    spark: drawing.Spark | None
    missing: Missing | None


def view(answer: RedisMemoryAnswer) -> RedisMemoryView:
    """The gauge of memory used."""
    critical = RULES["tile_redis.memory_used"].critical or 1.0
    share = answer.used_share
    return RedisMemoryView(
        sentence=answer.sentence,
        used=format.of(answer.used),
        limit=format.of(answer.limit) if answer.limit.value is not None else None,
        level=None if share is None else round(min(share, 1.0) * 100, 1),
        mark=critical * 100,
        beyond=round(max(0.0, min(share or 0.0, 1.0) - critical) * 100, 1),
        scale=SCALE,
        judged="critical" if share is not None and share > critical else None,
        change=format.change(answer.used.change, "By"),
        no_limit=answer.limit.reason or "",
        spark=drawing.spark(answer.line),
        missing=answer.missing,
    )
