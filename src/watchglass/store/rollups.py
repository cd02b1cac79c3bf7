"""Rolling up: each tier is made from the finer one, a whole chunk in one transaction, so that doing it again is safe.

A tier belongs to whoever has locked its row, for one transaction: two processes never roll up the same chunk, also when
one of them was frozen, and behind pgbouncer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from watchglass import sql
from watchglass.analysis.tiers import CHUNKS, DAY, HOUR, MINUTE, TEN_SECONDS
from watchglass.store.connection import transaction

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

GRACE_SECONDS = 60.0
"""After the end of a half hour, until all processes have written what belongs to it; what is later has it redone."""

_FINER = {MINUTE: TEN_SECONDS, HOUR: MINUTE, DAY: HOUR}
_COARSER = {MINUTE: HOUR, HOUR: DAY}
_SECONDS = 30.0


async def roll_up(connection: Connection, width: int) -> bool:
    """Roll up the next chunk of a tier, or one that something came late for; False when there is nothing to do now."""
    async with transaction(connection, seconds=_SECONDS):
        tier = await connection.fetchrow(sql.load("rollups")["take_tier"], width)
        if tier is None:
            return False
        chunk = await _next(connection, width, tier["until"], tier["now"])
        if chunk is None:
            return False
        await connection.execute(sql.load("rollups")["forget_late"], width, chunk)
        if chunk >= await _since(connection, _FINER[width]):
            await _make(connection, width, chunk)
            if chunk < tier["until"]:
                await _spread(connection, width, chunk)
        await connection.execute(sql.load("rollups")["rolled_up"], width, chunk, chunk + CHUNKS[width])
    return True


async def _next(connection: Connection, width: int, until: int, now: float) -> int | None:
    """The chunk to do: what is late first, then what is due."""
    late: int | None = await connection.fetchval(sql.load("rollups")["late_chunk"], width, until)
    if late is not None:
        return late
    if width == MINUTE:
        ready = now - GRACE_SECONDS
    else:
        finer = await connection.fetchrow(sql.load("rollups")["reach_of"], _FINER[width])
        assert finer is not None
        ready = finer["until"]
    return until if until + CHUNKS[width] <= ready else None


async def _since(connection: Connection, width: int) -> float:
    reach = await connection.fetchrow(sql.load("rollups")["reach_of"], width)
    return reach["since"] if reach else 0.0


async def _make(connection: Connection, width: int, chunk: int) -> None:
    from watchglass.store import chunks

    await chunks.make(connection, width, chunk)


async def _spread(connection: Connection, width: int, chunk: int) -> None:
    """What was rolled up of the coarser tier has to be so again."""
    coarser = _COARSER.get(width)
    if coarser is not None:
        whole = chunk // CHUNKS[coarser] * CHUNKS[coarser]
        await connection.execute(sql.load("rollups")["mark_late"], coarser, [whole], 0)
