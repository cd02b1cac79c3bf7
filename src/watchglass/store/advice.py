"""Indexes that were advised: kept, and looked for, so that what they brought can be told once they are there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from watchglass import sql
from watchglass.analysis.existing import is_built
from watchglass.analysis.fingerprints import of_statement
from watchglass.analysis.index_advice import Advice
from watchglass.analysis.relations import Relation
from watchglass.store import relations
from watchglass.store.database import Database
from watchglass.store.text import storable, storable_json

if TYPE_CHECKING:
    from watchglass.store.database import Fetch


@dataclass(frozen=True, slots=True)
class Built:
    """An advised index that is there, found at `built_at` (unix seconds), and what was measured of its statement."""

    id: str
    fingerprint: str
    statement: str
    built_at: float
    before: Mapping[str, Any]
    detail: Mapping[str, Any]


async def keep(
    database: Database, service: str, text: str, advice: Sequence[Advice], before: Mapping[str, Any]
) -> None:
    """Keep what was advised for the statement of this shape, with what was measured of it (JSON)."""
    fingerprint = of_statement(text)
    for one in advice:
        named = one.definition if one.of_partitions else one.statement  # partitions come and go
        detail = {"table": one.table, "method": one.method, "shapes": one.shapes, "text": text, "reason": one.reason}
        await database.fetch(
            sql.load("advice")["keep_advice"],
            *(service, of_statement(f"{fingerprint} {named}"), fingerprint, storable(one.statement)),
            *(one.basis == "verified", one.cost_before, one.cost_after, one.size.most),
            *(storable_json(dict(before)), storable_json(detail)),
            readonly=False,
        )


async def watch(fetch: Fetch, application: Database, service: str) -> None:
    """Find out which advised indexes are there now, in the service's own database; `fetch` is the store's."""
    queries = sql.load("advice")
    standing = [
        (row["id"], row["state"], json.loads(row["detail"])) for row in await fetch(queries["advice_standing"], service)
    ]
    if not standing:
        return
    found = await _relations(application, sorted({detail["table"] for *_, detail in standing}))
    became: dict[str, list[str]] = {"built": [], "gone": []}
    for id, state, detail in standing:
        relation = found.get(detail["table"])
        if relation is None:
            continue
        there = is_built(detail["method"], detail["shapes"], relation.indexes)
        if there != (state == "built"):
            became["built" if there else "gone"].append(id)
    for state, ids in became.items():
        if ids:
            await fetch(queries["advice_became"], service, ids, state)


async def _relations(application: Database, tables: Sequence[str]) -> dict[str, Relation]:
    """The tables of all statements: there may be more than one statement has."""
    found: dict[str, Relation] = {}
    for first in range(0, len(tables), relations.MOST_TABLES):
        some = tables[first : first + relations.MOST_TABLES]
        facts, _ = await application.ask(partial(relations.facts, names=some), seconds=relations.SECONDS)
        found |= facts.relations
    return found


async def built(database: Database, service: str | None, fingerprint: str | None = None) -> list[Built]:
    """Advised indexes that are there, of one statement or of all. Errors are those of `Database.fetch`."""
    rows = await database.fetch(sql.load("advice")["advice_built"], service, fingerprint)
    return [
        Built(**{**row, "before": json.loads(row["before"] or "{}"), "detail": json.loads(row["detail"])})
        for row in rows
    ]


async def captured_plan(database: Database, service: str | None, fingerprint: str) -> dict[str, Any] | None:
    """The plan that a slow execution of the statement was given, as it is kept; None where none was captured."""
    rows = await database.fetch(sql.load("advice")["advice_plan"], service, fingerprint)
    found: dict[str, Any] | None = json.loads(rows[0]["plan"]) if rows else None
    return found
