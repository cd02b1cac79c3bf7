"""The plans of statements: each different one once, and what changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from watchglass import sql
from watchglass.analysis.plan_changes import difference, shape
from watchglass.analysis.plans import redacted, steps
from watchglass.store.connection import transaction
from watchglass.store.explain import How
from watchglass.store.text import storable

if TYPE_CHECKING:
    import asyncpg

    from watchglass.store.connection import Connection
    from watchglass.store.database import Database

MOST_BYTES = 2_000_000
"""Of a plan's JSON; of a larger one only its first step is kept."""


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """A plan as it is kept: without values. `seconds` is how long the statement took that it was captured for.

    `text` is the statement's shape; `queryid` is PostgreSQL's identifier of it, None where it tells none.
    """

    service_name: str
    fingerprint: str
    shape: str
    plan: dict[str, Any]
    how: How
    cost: float
    seconds: float | None
    trace_id: bytes | None
    server_version: str
    text: str = ""
    database: str = ""
    queryid: int | None = None

    @classmethod
    def of(
        cls,
        service_name: str,
        fingerprint: str,
        plan: dict[str, Any],
        how: How,
        server_version: str,
        *,
        seconds: float | None = None,
        trace_id: bytes | None = None,
        text: str = "",
        database: str = "",
        parameters: Sequence[str] = (),
        planned: str | None = None,
        patterns: Sequence[str] = (),
        keys: Sequence[str] = (),
    ) -> KeptPlan:
        """From PostgreSQL's JSON, values and all; `planned` is the shape that was planned in place of the statement's.

        `parameters` and `patterns` are shapes, too (`analysis.parameter_shapes`, `analysis.patterns`), `keys` names
        that documents have (`analysis.documents`).
        """
        known = {"Parameters": parameters, "Patterns": patterns, "Keys": keys}
        lists: dict[str, Any] = {name: list(value) for name, value in known.items() if value}
        kept = redacted(plan) | lists | ({"Planned": planned} if planned else {})
        queryid = None if planned else plan.get("Query Identifier")
        cost = float(plan["Plan"].get("Total Cost", 0.0))
        figures = (shape(plan), kept, how, cost, seconds, trace_id, server_version)
        return cls(service_name, fingerprint, *figures, text, database, queryid)


async def keep(connection: Connection, kept: KeptPlan, now: datetime) -> int:
    """Keep the plan, by its id, and the event where the statement is planned anew; `now` is what the event says.

    A plan that was seen within a day comes and goes with the parameters: that is no event.
    """
    queries = sql.load("plans")
    async with transaction(connection, seconds=5.0):
        if kept.queryid is not None and kept.text:
            described = storable(kept.database), storable(kept.text)
            await connection.execute(
                queries["note_identifier"], kept.service_name, kept.fingerprint, kept.queryid, *described
            )
        standing = await connection.fetch(
            queries["plans_standing"], kept.service_name, kept.fingerprint, kept.how, kept.shape
        )
        same = next((row for row in standing if row["is_same"]), None)
        other = next((row for row in standing if not row["is_same"]), None)
        if other is not None and not (same and same["is_recent"]) and kept.how != "analyze":
            await connection.execute(
                queries["add_plan_event"],
                *(kept.service_name, kept.fingerprint, other["shape"], kept.shape),
                storable(difference(steps(json.loads(other["plan"])), steps(kept.plan), f"{now:%H:%M} UTC")),
            )
        figures = (kept.cost, kept.seconds, kept.trace_id, kept.server_version)
        text, settings = _json(kept.plan), json.dumps(kept.plan.get("Settings", {}))
        if same is not None:
            return int(await connection.fetchval(queries["plan_seen_again"], same["id"], text, *figures, settings))
        names = (kept.service_name, kept.fingerprint, kept.shape)
        return int(await connection.fetchval(queries["add_plan"], *names, text, kept.how, *figures, settings))


async def plan(database: Database, service: str | None, id: int) -> asyncpg.Record | None:
    """One plan of a service (None: of any), or None. Errors are those of `Database.fetch`."""
    rows = await database.fetch(sql.load("plans")["plan"], service, id)
    return rows[0] if rows else None


def _json(plan: dict[str, Any]) -> str:
    text = json.dumps(plan).replace("\\u0000", "")
    if len(text) <= MOST_BYTES:
        return text
    root = {key: value for key, value in plan["Plan"].items() if key != "Plans"}
    return json.dumps({**plan, "Plan": root}).replace("\\u0000", "")
