"""Statements by impact: what PostgreSQL counted beside what the service's client measured, and who calls them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from watchglass.api import statement_sides, words
from watchglass.api.asking import Asked, Parameters, Reading, Spec, figure
from watchglass.api.components import COMPONENT, seconds_by
from watchglass.api.endpoint import METHOD, OVERFLOW, ROUTE, identify, key_of, label
from watchglass.api.models import Missing
from watchglass.api.series import total
from watchglass.api.slow_statements import NO_STATEMENTS, P95
from watchglass.api.statement_answers import Caller, ServerState, StatementRow, StatementsAnswer
from watchglass.api.statement_sides import TEXT, Sides, Statement
from watchglass.api.statement_trends import with_trends
from watchglass.instrumentation.budget import POSTGRESQL
from watchglass.store import statements as store

TIME = Spec("Time", "s", "sum", "up")
FACT = "statements"
UNREAD = "pg_stat_statements has not been read yet: that happens once a minute, by one process of the service."
STALE_SECONDS = 300.0
MOST_CALLERS = 5

Callers = Mapping[str, Sequence[Caller]]


class StatementsParameters(Parameters):
    """The order, and how many."""

    sort: Literal["impact", "trend", "p95", "calls", "errors"] = "impact"
    limit: int = Field(50, ge=1, le=500)


async def statements(asked: Asked, parameters: StatementsParameters) -> StatementsAnswer:
    """The statements that took time in the window; one that takes none any more is not among them."""
    now = await statement_sides.read(asked, asked.window)
    before = await statement_sides.read(asked, asked.earlier) if asked.earlier else None
    callers = await callers_of(asked)
    server = await state_of(asked)
    rows = [row_of(asked, one, now, before, callers) for one in now.statements.values()]
    rows.sort(key=_ORDER[parameters.sort], reverse=True)
    missing = None if rows else _nothing(server)
    return StatementsAnswer(
        **asked.head("statements", "Statements", _sentence(rows, now), missing),
        seconds=now.seconds,
        beyond_seconds=now.beyond_seconds,
        server=server,
        statements=await with_trends(asked, await _marked(asked, rows[: parameters.limit], now), now),
        more=max(0, len(rows) - parameters.limit),
    )


async def _marked(asked: Asked, rows: Sequence[StatementRow], now: Sides) -> list[StatementRow]:
    """The rows, with what became of their plans and what is advised; both are kept by any name of a statement."""
    names = {name: row for row in rows for name in (*now.statements[row.fingerprint].counted_as, row.fingerprint)}
    marks = await store.marks(asked.reader.database, asked.reader.service, list(names), asked.window)
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for one in sorted(marks, key=lambda mark: mark.plan_changed_at or 0.0):
        mark = found[names[one.fingerprint].fingerprint]
        mark["open_advice"] = mark.get("open_advice", 0) + one.open_advice
        if one.plan_changed_at is not None:
            mark["plan_changed_at"] = datetime.fromtimestamp(one.plan_changed_at, UTC)
            mark["plan_change"] = one.plan_change
    return [row.model_copy(update=found.get(row.fingerprint, {})) for row in rows]


async def callers_of(asked: Asked) -> Callers:
    """The endpoints that waited for each text, those that waited longest first."""
    where = {COMPONENT: POSTGRESQL}
    waited: dict[str, list[tuple[str, str, float]]] = defaultdict(list)
    for key, seconds in (await seconds_by(asked, asked.window, (METHOD, ROUTE, OVERFLOW, TEXT), where)).items():
        if key[3] and seconds > 0:
            endpoint = key_of(key)
            waited[key[3]].append((identify(endpoint), label(endpoint), seconds))
    return {text: _callers(found) for text, found in waited.items()}


async def state_of(asked: Asked) -> ServerState:
    """Whether PostgreSQL's side is read now, and if not, what changes that."""
    fact = (await asked.reader.facts()).get(FACT)
    if fact is None:
        return ServerState(available=False, reason=UNREAD, remedy="See what is detected.", command="watchglass doctor")
    value, read_at = fact.value, datetime.fromtimestamp(fact.updated_at, UTC)
    stale = asked.now - fact.updated_at > STALE_SECONDS
    reason = value.get("problem") or (f"Last read at {read_at:%Y-%m-%d %H:%M} UTC." if stale else None)
    return ServerState(
        available=reason is None,
        reason=reason,
        remedy=value.get("remedy"),
        command=value.get("command"),
        note=value.get("note"),
        read_at=read_at,
    )


def row_of(asked: Asked, one: Statement, now: Sides, before: Sides | None, callers: Callers) -> StatementRow:
    """One statement of the window, beside itself in the earlier one."""
    threshold = asked.context.settings.slow_statement_seconds
    client, server, side = one.client(threshold), one.server(), one.side
    earlier = before.find(one.fingerprint, *one.counted_as) if before else None
    calls = (server.calls if server else 0) if side == "server" else (client.calls if client else 0)
    called_by = callers.get(one.text or "", ())
    return StatementRow(
        fingerprint=one.fingerprint,
        summary=one.summary,
        operation=one.operation,
        text=one.text,
        side=side,
        seconds=one.seconds_of(side),
        impact=one.seconds_of(side) / now.seconds if now.seconds else 0.0,
        calls=calls,
        time=figure(TIME, Reading(one.seconds_of(side), calls), _time_before(earlier, one)),
        p95=figure(P95, _p95(one), _p95(earlier) if earlier else None),
        is_new=bool(before and before.statements and earlier is None),
        client=client,
        server=server,
        callers=tuple(called_by[:MOST_CALLERS]),
        more_callers=max(0, len(called_by) - MOST_CALLERS),
    )


def _time_before(earlier: Statement | None, one: Statement) -> Reading | None:
    """From the same side; None where that did not see it then."""
    seconds = earlier.seconds_of(one.side) if earlier else 0.0
    return Reading(seconds) if seconds else None


def _p95(one: Statement) -> Reading:
    if not one.groups:
        return Reading(None, 0, "The service's own client did not send it in this window.")
    whole = total(one.groups)
    return Reading(whole.percentile(0.95), whole.count)


def _callers(found: list[tuple[str, str, float]]) -> list[Caller]:
    whole = sum(seconds for _, _, seconds in found)
    return [
        Caller(endpoint_id=identity, label=name, seconds=seconds, share=seconds / whole)
        for identity, name, seconds in sorted(found, key=lambda one: -one[2])
    ]


def _sentence(rows: Sequence[StatementRow], now: Sides) -> str:
    if not rows:
        return NO_STATEMENTS
    most = max(rows, key=lambda row: row.seconds)
    whole = f"{words.plural(len(rows), 'statement')} took {words.duration(now.seconds)}"
    return f"{whole}; {words.percent(most.impact)} of it is {most.summary}."


def _nothing(server: ServerState) -> Missing:
    if server.available or not server.command:
        return Missing(reason=NO_STATEMENTS, remedy="See what is detected.", command="watchglass doctor")
    return Missing(reason=f"{NO_STATEMENTS} {server.reason}", remedy=server.remedy, command=server.command)


def _growth(row: StatementRow) -> float:
    return row.seconds - (row.time.previous or 0.0)


_ORDER: Mapping[str, Callable[[StatementRow], tuple[float, ...]]] = {
    "impact": lambda row: (row.seconds,),
    "trend": lambda row: (_growth(row),),
    "p95": lambda row: (row.p95.value or 0.0, row.seconds),
    "calls": lambda row: (row.calls, row.seconds),
    "errors": lambda row: (row.client.errors if row.client else 0, row.seconds),
}
