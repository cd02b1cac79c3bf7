"""What is known of statements beside their figures: texts, plans, since when a plan is another one, advised indexes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from watchglass import sql
from watchglass.analysis.windows import Window
from watchglass.store.database import Database

if TYPE_CHECKING:
    import asyncpg

    Rows = list[asyncpg.Record]

MOST = 50
"""Plans, changes of plans and advised indexes of one statement."""


class Known(NamedTuple):
    """One as pg_stat_statements has it; times in unix seconds. `queryid` is that of the one last seen of its shape."""

    fingerprint: str
    queryid: int | None
    database: str
    text: str
    first_seen: float
    last_seen: float


class Marks(NamedTuple):
    """What is worth a mark on a statement: since when it has another plan (unix seconds), and indexes not built yet."""

    fingerprint: str
    plan_changed_at: float | None
    plan_change: str | None
    open_advice: int


async def known(database: Database, service: str | None, fingerprints: Sequence[str]) -> dict[str, Known]:
    """Those of a service (None: of any) by their fingerprint."""
    if not fingerprints:
        return {}
    rows = await database.fetch(sql.load("statements")["server_statements"], service, fingerprints)
    return {row["fingerprint"]: Known(*row.values()) for row in rows}


async def plans(database: Database, service: str | None, fingerprints: Sequence[str]) -> Rows:
    """The plans of a statement by any of its fingerprints, the newest first, without the plans themselves."""
    return await database.fetch(sql.load("statements")["plans_of"], service, fingerprints, MOST)


async def parameters(database: Database, service: str | None, fingerprints: Sequence[str]) -> tuple[list[str], float]:
    """The shapes of the parameters of its latest slow execution, and when that was (unix seconds; 0: not known)."""
    rows = await database.fetch(sql.load("statements")["parameters_of"], service, fingerprints)
    return (json.loads(rows[0]["shapes"]), rows[0]["seen_at"]) if rows else ([], 0.0)


async def plan_events(database: Database, service: str | None, fingerprints: Sequence[str]) -> Rows:
    """Since when it has another plan, the newest first."""
    return await database.fetch(sql.load("statements")["plan_events_of"], service, fingerprints, MOST)


async def advice(database: Database, service: str | None, fingerprints: Sequence[str]) -> Rows:
    """The indexes that were advised for it, the newest first."""
    return await database.fetch(sql.load("statements")["advice_of"], service, fingerprints, MOST)


async def marks(database: Database, service: str | None, fingerprints: Sequence[str], window: Window) -> list[Marks]:
    """Of those that have any: a plan that changed in the window, advice that is open."""
    query = sql.load("statements")["statement_marks"]
    rows = await database.fetch(query, service, fingerprints, window.start, window.end) if fingerprints else []
    return [Marks(*row.values()) for row in rows]
