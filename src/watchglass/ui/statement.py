"""The figures of one statement: both sides beside the earlier window, its errors, its trend, and who calls it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from watchglass.api import words
from watchglass.api.models import Missing
from watchglass.api.statement_answers import Caller, ServerState, StatementAnswer, StatementError, StatementRow
from watchglass.ui import format, statement_chart, statement_figures
from watchglass.ui.levels import Level, latency_level
from watchglass.ui.statement_chart import Legend
from watchglass.ui.statement_figures import Line
from watchglass.ui.statement_text import Piece, laid_out

NAMED_ONLY = "Its text is not known: what sent it gave a name only."
NOTABLE = 0.05
"""The part of a statement's time from which on it is said that no endpoint has it."""

NEVER = (
    "Nothing is known of this statement: it was not executed while figures are kept, or it was sent by nobody who is "
    "observed."
)


@dataclass(frozen=True, slots=True)
class CallerRow:
    """An endpoint; `share` is that of the time all its callers waited, from 0 to 100."""

    id: str
    label: str
    share: float
    share_text: str
    seconds: format.Quantity


@dataclass(frozen=True, slots=True)
class StatementView:
    """Everything but plans, advice and traces. `of_none` says how much of its time no endpoint has, and why.

    `uncounted`: calls failed, which PostgreSQL does not count.
    """

    fingerprint: str
    summary: str
    sentence: str
    level: Level | None
    is_new: bool
    text: list[Piece]
    no_text: str
    facts: list[tuple[str, str]]
    parameters: str
    parameters_at: datetime | None
    last_seen: datetime | None
    than: str
    client: list[Line]
    server: list[Line]
    uncounted: bool
    no_client: str
    server_state: ServerState
    server_missing: Missing | None
    errors: list[StatementError]
    callers: list[CallerRow]
    more_callers: int
    of_none: str
    chart: str
    legend: list[Legend]


def view(answer: StatementAnswer, than: str, slow: float) -> StatementView:
    """The page's first cards; `than` names the earlier window, empty without one; slow is from so many seconds on."""
    row, state = answer.row, answer.server
    chart = statement_chart.chart(answer) if answer.lines else None
    return StatementView(
        fingerprint=answer.fingerprint,
        summary=row.summary if row else "Statement",
        sentence=_sentence(answer, than),
        level=_level(row, slow) if row else None,
        is_new=bool(row and row.is_new),
        text=laid_out(answer.text) if answer.text else [],
        no_text=NAMED_ONLY if row else NEVER,
        facts=_facts(answer),
        parameters=", ".join(answer.parameters),
        parameters_at=answer.parameters_at,
        last_seen=answer.last_seen,
        than=than,
        client=statement_figures.client(answer, slow),
        server=statement_figures.server(answer),
        uncounted=bool(row and row.client and row.client.errors),
        no_client="The service's own processes did not send it in this window." if row else "",
        server_state=state,
        server_missing=_missing(state),
        errors=answer.errors,
        callers=[_caller(one) for one in row.callers] if row else [],
        more_callers=row.more_callers if row else 0,
        of_none=_of_none(row) if row else "",
        chart=chart.data if chart else "",
        legend=chart.legend if chart else [],
    )


def _sentence(answer: StatementAnswer, than: str) -> str:
    """The answer's, how many calls failed, and how slow it is beside the earlier window."""
    if answer.row is None:
        return answer.sentence
    said, p95 = [answer.sentence], answer.row.p95
    if answer.errors and answer.row.client and answer.row.client.errors:
        first, many = answer.errors[0], "most" if len(answer.errors) > 1 else "all"
        meaning = f" ({first.meaning})" if first.meaning else ""
        said.append(f"{answer.row.client.errors:,} failed, {many} with {first.error}{meaning}.")
    if p95.value is not None:
        compared = format.compared(format.change(p95.change, p95.unit), than)
        said.append(f"P95 is {format.of(p95)}{f', {compared}' if compared else ''}.")
    return " ".join(said)


def _level(row: StatementRow, slow: float) -> Level | None:
    """The worse of its errors and its latency."""
    levels = statement_figures.level_of_errors(row), latency_level(row.p95, slow)
    return "critical" if "critical" in levels else levels[0] or levels[1]


def _facts(answer: StatementAnswer) -> list[tuple[str, str]]:
    named = (("database", answer.database), ("queryid", answer.queryid))
    return [(name, value) for name, value in named if value]


def _missing(state: ServerState) -> Missing | None:
    """Why PostgreSQL's side is not here, and what changes that."""
    if state.available:
        return None
    return Missing(reason=state.reason or "It is not read.", remedy=state.remedy, command=state.command)


def _caller(one: Caller) -> CallerRow:
    share, seconds = round(one.share * 100, 1), format.quantity(one.seconds, "s")
    return CallerRow(one.endpoint_id, one.label, share, words.share(one.share), seconds)


def _of_none(row: StatementRow) -> str:
    """A request's time is shared out so that its parts add up: what callers have is less than what calls took."""
    if not row.client or not row.callers or not row.callers[0].share:
        return ""
    rest = row.client.seconds - row.callers[0].seconds / row.callers[0].share
    if rest < NOTABLE * row.client.seconds:
        return ""
    of_all = f"{words.duration(rest)} of {words.duration(row.client.seconds)}"
    return (
        f"{of_all} in all is no endpoint's: the event loop's lag, what was waited for at the same time, and calls "
        "outside requests."
    )
