"""Slow statements, as the service's own client saw them: every call, its time and its errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from watchglass.analysis.fingerprints import of_statement
from watchglass.analysis.windows import Window
from watchglass.api import words
from watchglass.api.answers import SlowStatementsAnswer, Statement
from watchglass.api.asking import Asked, Parameters, Reading, Spec, figure
from watchglass.api.models import Missing
from watchglass.api.postgresql import POSTGRESQL, SYSTEM
from watchglass.api.requests import ERROR
from watchglass.api.series import Total, total
from watchglass.meters import DB_CLIENT_OPERATION_DURATION

if TYPE_CHECKING:
    from watchglass.store.reader import Group

BY = ("db.query.text", "db.query.summary", "db.operation.name", ERROR)
P95 = Spec("P95", "s", "p95", "up")
UNKNOWN = "(unknown)"
NO_STATEMENTS = "No statements were recorded in this window."


class SlowStatementsParameters(Parameters):
    """Of the card slow_statements: the order, and how many."""

    sort: Literal["impact", "p95", "slow"] = "impact"
    limit: int = Field(5, ge=1, le=200)


@dataclass(slots=True)
class _Calls:
    text: str | None
    summary: str
    operation: str | None
    errors: int = 0
    groups: list[Group] = field(default_factory=list)


async def slow_statements(asked: Asked, parameters: SlowStatementsParameters) -> SlowStatementsAnswer:
    """The statements that took the most time, with their calls over the threshold."""
    now = await _statements(asked, asked.window)
    before = await _statements(asked, asked.earlier) if asked.earlier else {}
    threshold = asked.context.settings.slow_statement_seconds
    seconds = sum(group.sum for calls in now.values() for group in calls.groups)
    rows = [_row(name, calls, before.get(name), threshold, seconds) for name, calls in now.items()]
    rows.sort(key=_ORDER[parameters.sort], reverse=True)
    calls, slow = sum(row.calls for row in rows), sum(row.over_threshold for row in rows)
    sentence = f"{words.plural(slow, 'call')} of {calls:,} took longer than {words.duration(threshold)}."
    missing = (
        None if rows else Missing(reason=NO_STATEMENTS, remedy="See what is detected.", command="watchglass doctor")
    )
    return SlowStatementsAnswer(
        **asked.head("slow_statements", "Slow statements", sentence, missing),
        threshold=threshold,
        calls=calls,
        slow_calls=slow,
        statements=rows[: parameters.limit],
        more=max(0, len(rows) - parameters.limit),
    )


async def _statements(asked: Asked, window: Window) -> dict[str, _Calls]:
    """By fingerprint; a statement of which no text is known is told apart by its summary."""
    found: dict[str, _Calls] = {}
    for group in await asked.reader.select(
        DB_CLIENT_OPERATION_DURATION.name, window, by=BY, where={SYSTEM: POSTGRESQL}
    ):
        text, summary, operation, error = group.key
        known_as = summary or operation or UNKNOWN
        calls = found.setdefault(of_statement(text or known_as), _Calls(text, known_as, operation))
        calls.errors += group.count if error else 0
        calls.groups.append(group)
    return found


def _row(fingerprint: str, calls: _Calls, before: _Calls | None, threshold: float, seconds: float) -> Statement:
    whole = total(calls.groups)
    return Statement(
        fingerprint=fingerprint,
        summary=calls.summary,
        operation=calls.operation,
        text=calls.text,
        calls=whole.count,
        p95=figure(P95, _p95(whole), _p95(total(before.groups)) if before else None),
        max=whole.high,
        total_seconds=whole.sum,
        impact=whole.sum / seconds if seconds else 0.0,
        errors=calls.errors,
        over_threshold=whole.over(threshold),
    )


def _p95(whole: Total) -> Reading:
    return Reading(whole.percentile(0.95), whole.count)


_ORDER: Mapping[str, Callable[[Statement], tuple[float, ...]]] = {
    "impact": lambda row: (row.total_seconds,),
    "p95": lambda row: (row.p95.value or 0.0,),
    "slow": lambda row: (row.over_threshold, row.total_seconds),
}
