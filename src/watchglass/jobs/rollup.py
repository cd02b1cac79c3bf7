"""Every tier up to date, a chunk at a time, between the flushes of the elected process."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from watchglass.analysis.tiers import DAY, HOUR, MINUTE
from watchglass.store.rollups import roll_up

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

SECONDS = 3.0
"""What one turn may take; after a long time away the rest is done in the next ones."""

Borrow = Callable[[], AbstractAsyncContextManager["Connection"]]


async def roll_up_all(borrow: Borrow, seconds: float = SECONDS) -> int:
    """Roll up what is due and what came late, finest first; returns the number of chunks.

    Each has the connection for itself and gives it back, so that a flush never waits for more than one.
    """
    deadline, done = time.monotonic() + seconds, 0
    for width in (MINUTE, HOUR, DAY):
        while time.monotonic() < deadline:
            async with borrow() as connection:
                if not await roll_up(connection, width):
                    break
            done += 1
    return done
