"""Advice on one statement: its plan and the facts of its tables are fetched, what follows from them is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import asyncpg

from watchglass.analysis import sql_reading
from watchglass.analysis.documents import with_keys
from watchglass.analysis.index_advice import Advice
from watchglass.analysis.index_advice import advise as advised
from watchglass.analysis.patterns import with_patterns
from watchglass.analysis.rewrites import Rewrite, rewrites
from watchglass.analysis.scans import cost_of
from watchglass.analysis.searches import Search, search_of
from watchglass.errors import DatabaseUnavailable
from watchglass.store import relations
from watchglass.store.database import Database
from watchglass.store.explain import Explained, Explainer, How
from watchglass.store.explain_settings import NOT_FOUND, NOT_FOUND_WHY
from watchglass.store.hypothetical import verify

NOT_READ = "No advice is given on it: it is not a statement that looks for rows, or the parser does not understand it."
LOCKED = "No advice is given on it now: a session holds a lock on a table of it. Ask again when the lock is let go."
NO_PLAN = "PostgreSQL does not plan it ({reason}): no index is advised."

CAPTURED = "The costs are estimates, from the plan that a slow execution had."


@dataclass(frozen=True, slots=True)
class Advised:
    """What would make a statement faster: indexes, or other ways to ask.

    `cost` is that of its plan now, None without one, and `how` it was planned. `note` says what is not known.
    """

    indexes: tuple[Advice, ...] = ()
    rewrites: tuple[Rewrite, ...] = ()
    cost: float | None = None
    how: How | None = None
    note: str | None = None


async def advise(
    database: Database,
    explainer: Explainer,
    text: str,
    arguments: Sequence[Any] | None = None,
    captured: dict[str, Any] | None = None,
) -> Advised:
    """Advice on a statement that is sent to the service's own `database`, with these arguments, or with any.

    What changes or locks rows is not planned: the SELECT that finds them is, behind the same fences. Where the plan for
    any arguments leaves nothing to advise, that of a slow execution may (`captured`, as it is kept).
    What is locked is said in the note.
    Raises `DatabaseUnavailable`, `QueryTooSlow`, and `ExtraMissing` without a parser.
    """
    try:
        return await _of_search(database, explainer, text, arguments, captured)
    except DatabaseUnavailable as error:
        if not isinstance(error.__cause__, asyncpg.LockNotAvailableError):
            raise
        return Advised(note=LOCKED)


async def _of_search(
    database: Database,
    explainer: Explainer,
    text: str,
    arguments: Sequence[Any] | None,
    captured: dict[str, Any] | None,
) -> Advised:
    """Of what changes or locks rows the search for them is looked at."""
    search = search_of(text)
    if search is None:
        return await _advise(database, explainer, text, arguments, captured)
    found = await _advise(database, explainer, search.text, search.arguments(arguments), captured)
    return replace(found, indexes=tuple(_written_too(one, search) for one in found.indexes))


async def _advise(
    database: Database,
    explainer: Explainer,
    text: str,
    arguments: Sequence[Any] | None,
    captured: dict[str, Any] | None,
) -> Advised:
    tree = sql_reading.read(text)
    if tree is None:
        return Advised(note=NOT_READ)
    names = [sql_reading.written(table) for table in sql_reading.tables(tree)]
    facts, server = await database.ask(lambda fetch: relations.facts(fetch, names), seconds=relations.SECONDS)
    seen = captured or {}
    known = with_keys(with_patterns(text, seen.get("Patterns", ())), seen.get("Keys", ()))
    found = Advised(rewrites=tuple(rewrites(known, facts)))
    explained = await explainer.explain(text, arguments)
    if explained.plan is None:
        return replace(found, note=NO_PLAN.format(reason=_why(explained)))
    plan = explained.plan["Plan"]
    indexes, note = await verify(explainer, text, arguments, advised(known, plan, facts), server)
    slow = tuple(advised(known, captured["Plan"], facts)) if captured and not indexes else ()
    if captured and slow:
        return replace(found, indexes=slow, cost=cost_of(captured["Plan"]), how="parameters", note=CAPTURED)
    return replace(found, indexes=tuple(indexes), cost=cost_of(plan), how=explained.how, note=note)


def _written_too(advice: Advice, search: Search) -> Advice:
    """Say it where the statement itself writes to the index."""
    written = sorted(search.written & set(advice.columns))
    if not written:
        return advice
    return replace(advice, writes=f"{advice.writes} The statement itself changes {', '.join(written)}.")


def _why(explained: Explained) -> str:
    if explained.refusal:
        return explained.refusal.rstrip(".")
    return f"SQLSTATE {explained.sqlstate}" + (f". {NOT_FOUND_WHY}" if explained.sqlstate in NOT_FOUND else "")
