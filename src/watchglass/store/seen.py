"""Which process of a service reported last."""

from __future__ import annotations

from dataclasses import dataclass

from watchglass import sql
from watchglass.store.database import Database


@dataclass(frozen=True, slots=True)
class Newest:
    """Its newest point begins at `time` (unix seconds), and was written `lag` seconds later.

    That is the flush interval of the process, and what the point began and was late. None before the second flush.
    """

    time: float
    lag: float | None


async def newest(database: Database, service: str | None) -> Newest | None:
    """Of a service, or of all; None where the store knows no process. Errors are those of `Database.fetch`."""
    rows = await database.fetch(sql.load("store")["last_seen"], service)
    return Newest(rows[0]["last_seen"], rows[0]["lag"]) if rows else None
