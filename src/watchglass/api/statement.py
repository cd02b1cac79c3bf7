"""One statement: its figures over time, who calls it, its plans, and what was advised."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from watchglass.api import sqlstates, statement_sides, words
from watchglass.api.asking import Asked
from watchglass.api.models import Missing
from watchglass.api.postgresql import POSTGRESQL, SYSTEM
from watchglass.api.series import Line, line, percentile_lines
from watchglass.api.statement_answers import (
    AdvisedBefore,
    PlanChange,
    PlanSummary,
    StatementAnswer,
    StatementError,
    StatementLines,
    StatementRow,
)
from watchglass.api.statement_sides import TEXT, Statement
from watchglass.api.statements import callers_of, row_of, state_of
from watchglass.meters import (
    DB_CLIENT_OPERATION_DURATION,
    FINGERPRINT,
    STATEMENT_BLKS_HIT,
    STATEMENT_BLKS_READ,
    STATEMENT_CALLS,
    STATEMENT_EXEC_TIME,
    STATEMENT_ROWS,
    STATEMENT_TEMP_WRITTEN,
    Meter,
)
from watchglass.store import statements as store

if TYPE_CHECKING:
    import asyncpg

    from watchglass.store.reader import Group

LEAST_STEP = 120
"""Seconds of a slot: two readings of PostgreSQL's side."""

MOST_ERRORS = 20
NOT_EXECUTED = "This statement was not executed in this window."
_TIMES = ("time", "captured_at", "seen_at", "created_at", "built_at")


async def statement(asked: Asked, fingerprint: str) -> StatementAnswer:
    """The statement of that fingerprint, its own or one under which PostgreSQL's side is kept."""
    now = await statement_sides.read(asked, asked.window)
    before = await statement_sides.read(asked, asked.earlier) if asked.earlier else None
    one = now.find(fingerprint)
    names = sorted({fingerprint, *((one.fingerprint, *one.counted_as) if one else ())})
    database, service = asked.reader.database, asked.reader.service
    known = await store.known(database, service, names)
    row = row_of(asked, one, now, before, await callers_of(asked)) if one else None
    then = before.find(*names) if before else None
    step = asked.window.step(max(asked.step, LEAST_STEP))
    newest = max(known.values(), key=lambda seen: seen.last_seen, default=None)
    text = one.text if one else newest.text if newest else None
    missing = None if row else Missing(reason=NOT_EXECUTED)
    head = asked.head("statement", row.summary if row else "Statement", _sentence(row), missing)
    parameters, parameters_at = await _parameters(asked, names)
    return StatementAnswer(
        **head | {"resolution": step},
        fingerprint=one.fingerprint if one else fingerprint,
        text=text,
        queryid=str(newest.queryid) if newest and newest.queryid is not None else None,
        database=newest.database if newest else None,
        server=await state_of(asked),
        last_seen=datetime.fromtimestamp(newest.last_seen, UTC) if newest else None,
        row=row,
        before=row_of(asked, then, before, None, {}) if then and before else None,
        errors=_errors(one) if one else [],
        times=asked.window.slots(step) if one else [],
        lines=await _lines(asked, one, step) if one else None,
        plans=[PlanSummary(**_dated(plan)) for plan in await store.plans(database, service, names)],
        plan_changes=[PlanChange(**_dated(event)) for event in await store.plan_events(database, service, names)],
        parameters=parameters,
        parameters_at=parameters_at,
        advice=[AdvisedBefore(**_dated(advised)) for advised in await store.advice(database, service, names)],
    )


async def _parameters(asked: Asked, names: Sequence[str]) -> tuple[list[str], datetime | None]:
    """Of the latest slow execution: one that this process saw, or one whose plan is kept."""
    shapes, at = await store.parameters(asked.reader.database, asked.reader.service, names)
    captures = asked.context.plans.captures if asked.context.plans else None
    for held in [captures.latest(name) for name in names] if captures else []:
        if captures and held and held.shapes and asked.now - captures.age(held) > at:
            shapes, at = held.shapes, asked.now - captures.age(held)
    return shapes, datetime.fromtimestamp(at, UTC) if at else None


async def _lines(asked: Asked, one: Statement, step: int) -> StatementLines:
    slots = asked.window.slots(step)
    groups: Sequence[Group] = ()
    if one.groups and one.text:
        where = {SYSTEM: POSTGRESQL, TEXT: one.text}
        groups = await asked.reader.select(DB_CLIENT_OPERATION_DURATION.name, asked.window, where=where, step=step)
    percentiles, _ = percentile_lines(groups, slots)
    return StatementLines(
        calls=line(groups, slots, lambda group: float(group.count)),
        p50=percentiles[0],
        p95=percentiles[1],
        p99=percentiles[2],
        server_calls=await _counted(asked, one, STATEMENT_CALLS, step),
        server_seconds=await _counted(asked, one, STATEMENT_EXEC_TIME, step),
        rows=await _counted(asked, one, STATEMENT_ROWS, step),
        shared_blks_hit=await _counted(asked, one, STATEMENT_BLKS_HIT, step),
        shared_blks_read=await _counted(asked, one, STATEMENT_BLKS_READ, step),
        temp_blks_written=await _counted(asked, one, STATEMENT_TEMP_WRITTEN, step),
    )


async def _counted(asked: Asked, one: Statement, meter: Meter, step: int) -> Line:
    groups: list[Group] = []
    for fingerprint in one.counted_as:
        groups += await asked.reader.select(meter.name, asked.window, where={FINGERPRINT: fingerprint}, step=step)
    return line(groups, asked.window.slots(step), lambda group: group.sum)


def _errors(one: Statement) -> list[StatementError]:
    return [
        StatementError(error=error, meaning=sqlstates.meaning(error), calls=calls)
        for error, calls in one.errors.most_common(MOST_ERRORS)
    ]


def _sentence(row: StatementRow | None) -> str:
    if row is None:
        return NOT_EXECUTED
    calls = f"{words.plural(row.calls, 'call')} took {words.duration(row.seconds)}"
    return f"{calls}, {words.share(row.impact)} of the time of all statements."


def _dated(row: asyncpg.Record) -> dict[str, Any]:
    """A row of the store with its times as dates."""
    return {
        name: datetime.fromtimestamp(value, UTC) if name in _TIMES and value is not None else value
        for name, value in row.items()
    }
