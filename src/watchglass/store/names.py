"""Which metrics the store has ever had: their names, what they are, and their unit."""

from __future__ import annotations

from watchglass import sql
from watchglass.store.database import Database


async def names(database: Database) -> list[tuple[str, str, str]]:
    """Name, kind and unit of every metric that has a series, by name. Errors are those of `Database.fetch`."""
    return [tuple(row.values()) for row in await database.fetch(sql.load("store")["series_names"])]
