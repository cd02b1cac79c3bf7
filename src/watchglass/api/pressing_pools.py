"""Requests that wait for a connection of the service's own pools: PostgreSQL is idle then, and has nothing to show."""

from __future__ import annotations

import asyncio
from itertools import groupby
from typing import Final

from watchglass.analysis.windows import Window
from watchglass.api import words
from watchglass.api.activity_answers import Pool
from watchglass.api.answers import Pressing
from watchglass.api.asking import Asked
from watchglass.api.context import Context
from watchglass.api.pools import RECENT, pools
from watchglass.errors import WatchglassError

PATIENCE: Final = 1.0
"""Seconds that the store is waited for: what PostgreSQL itself has said is not to be held up."""


async def of_pools(context: Context) -> list[Pressing]:
    """One for each pool that is used up, those first at which the most wait; nothing where the store does not say."""
    now = context.clock()
    try:
        async with asyncio.timeout(PATIENCE):
            found = await pools(Asked(context, Window(now - RECENT, now), None, now))
    except (WatchglassError, TimeoutError):
        return []
    full = sorted((one for one in found if _is_used_up(one)), key=lambda one: one.name)
    told = [_told(name, list(same)) for name, same in groupby(full, key=lambda one: one.name)]
    return sorted(told, key=lambda one: -(one.waiting or 0))


def _is_used_up(one: Pool) -> bool:
    return bool(one.waiting) and one.max is not None and one.used is not None and one.used >= one.max


def _told(name: str, processes: list[Pool]) -> Pressing:
    """A pool of that name in each process that has used it up."""
    waiting, limit = sum(one.waiting or 0 for one in processes), sum(one.max or 0 for one in processes)
    gave_up = round(sum(one.timeouts for one in processes))
    who = f"{words.plural(waiting, 'request')} {'waits' if waiting == 1 else 'wait'}"
    used = "its only one is used" if limit == 1 else f"all {limit:,} are used"
    ended = f"; {gave_up:,} gave up within a minute" if gave_up else ""
    sentence = f"{who} for a connection of the service's pool {name}, and {used}{ended}"
    return Pressing(what="pool", sentence=sentence, waiting=waiting)
