"""The plans of a statement: what they are, how they changed, and running the statement for one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from watchglass.analysis.explainable import reads_only
from watchglass.analysis.plan_words import as_text, sentence, worst
from watchglass.analysis.plans import Step, steps
from watchglass.api.context import Context
from watchglass.api.plan_answers import PlanAnswer, PlansAnswer, PlanStep
from watchglass.api.statement_answers import PlanChange, PlanSummary
from watchglass.errors import DatabaseNotConfigured, ExtraMissing
from watchglass.store import plans as store
from watchglass.store import statements
from watchglass.store.explain import NEEDS_ROLE

if TYPE_CHECKING:
    from watchglass.store.reader import Reader

NO_PARAMETERS = (
    "EXPLAIN ANALYZE runs the statement, so that it needs its parameters: they are held in memory alone, for an hour, "
    "by the process that saw it take long. This process holds none."
)
ONLY_QUERIES = "EXPLAIN ANALYZE runs the statement, so that it is only done with a SELECT: this one changes rows."
ASIDE = "EXPLAIN ANALYZE is asked of a process of the service, which holds the parameters; this one is beside it."
_TIMES = ("time", "captured_at", "seen_at")


async def plans(context: Context, fingerprint: str) -> PlansAnswer:
    """The plans of the statement, those seen last first."""
    reader = _reader(context)
    rows = await statements.plans(reader.database, reader.service, [fingerprint])
    events = await statements.plan_events(reader.database, reader.service, [fingerprint])
    found = await store.plan(reader.database, reader.service, rows[0]["id"]) if rows else None
    why_not = _why_not(context, fingerprint)
    return PlansAnswer(
        fingerprint=fingerprint,
        plans=[PlanSummary(**_dated(dict(row))) for row in rows],
        changes=[PlanChange(**_dated(dict(event))) for event in events],
        latest=_stored(dict(found)) if found else None,
        problem=_problem(context, fingerprint),
        may_analyze=why_not is None,
        why_not=why_not,
        index_built_at=await _index_built_at(reader, fingerprint),
    )


async def plan(context: Context, id: int) -> PlanAnswer:
    """One plan. 404 where there is none."""
    reader = _reader(context)
    row = await store.plan(reader.database, reader.service, id)
    if row is None:
        raise HTTPException(404, "There is no such plan: it may have been forgotten.")
    return _stored(dict(row))


async def analyze(context: Context, fingerprint: str) -> PlanAnswer:
    """Run the statement as the role that may only read, with its latest slow parameters; 409 where that cannot be."""
    why = _why_not(context, fingerprint)
    if why is not None or context.plans is None:
        raise HTTPException(409, why or ASIDE)
    kept, why = await context.plans.analyze(fingerprint)
    if kept is None:
        raise HTTPException(409, why or NO_PARAMETERS)
    now = datetime.now(UTC)
    return _answer(
        {
            **{name: getattr(kept, name) for name in ("fingerprint", "shape", "how", "cost", "seconds")},
            **{"id": None, "server_version": kept.server_version, "trace_id": None},
            **{"captured_at": now, "seen_at": now, "plan": kept.plan},
        }
    )


async def _index_built_at(reader: Reader, fingerprint: str) -> datetime | None:
    rows = await statements.advice(reader.database, reader.service, [fingerprint])
    times = [row["built_at"] for row in rows if row["state"] == "built" and row["built_at"] is not None]
    return datetime.fromtimestamp(max(times), UTC) if times else None


def _why_not(context: Context, fingerprint: str) -> str | None:
    if context.plans is None:
        return ASIDE
    if not context.settings.explain_dsn:
        return NEEDS_ROLE
    held = context.plans.captures.latest(fingerprint)
    if held is not None and not reads_only(held.text):
        return ONLY_QUERIES
    return None if held else NO_PARAMETERS


def _problem(context: Context, fingerprint: str) -> str | None:
    if find_spec("sqlglot") is None:
        return str(ExtraMissing(feature="Plans of statements", package="sqlglot", extra="plans"))
    return context.plans.problem_of(fingerprint) if context.plans else None


def _reader(context: Context) -> Reader:
    if context.reader is None:
        raise DatabaseNotConfigured
    return context.reader


def _stored(row: Mapping[str, Any]) -> PlanAnswer:
    return _answer({**row, "plan": json.loads(row["plan"])})


def _answer(row: Mapping[str, Any]) -> PlanAnswer:
    read = steps(row["plan"])
    names = ("id", "fingerprint", "shape", "how", "cost", "seconds", "server_version", "trace_id")
    return PlanAnswer(
        **{name: row[name] for name in (*names, "captured_at", "seen_at", "plan")},
        sentence=sentence(read),
        worst=worst(read).place,
        steps=[_step(step) for step in read],
        text=as_text(read),
        planned=row["plan"].get("Planned"),
    )


def _step(step: Step) -> PlanStep:
    names = [name for name in PlanStep.model_fields if name != "conditions"]
    return PlanStep(**{name: getattr(step, name) for name in names}, conditions=dict(step.conditions))


def _dated(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: datetime.fromtimestamp(value, UTC) if name in _TIMES else value for name, value in row.items()}
