"""Whether the service's database is in somebody's way now: one statement, cheap enough to be asked all the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from watchglass import sql

if TYPE_CHECKING:
    from watchglass.store.database import Database

SECONDS: Final = 1.0


class Pressure(NamedTuple):
    """Sessions that wait for a lock for long, and connections of clients beside those that applications may open."""

    waiting: int
    used: int
    usable: int


async def pressure(database: Database, waited: float) -> Pressure:
    """Of this moment; who waits for less than `waited` seconds is not counted. Errors are those of `Database.ask`."""
    [row] = await database.fetch(sql.load("pressing")["pressing"], waited, seconds=SECONDS)
    return Pressure(*row.values())
