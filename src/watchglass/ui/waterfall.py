"""One trace: what there is to say about it, and as many of its rows as a page holds.

The address says what the reader opened (`open`) and folded (`fold`), and how many rows there may be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from watchglass.api import words
from watchglass.api.trace_answers import SimilarSpans, TraceAnswer, TraceLine, TraceNotKept
from watchglass.ui import format, log_rows, spans
from watchglass.ui.log_rows import LogRow
from watchglass.ui.pages import WINDOW
from watchglass.ui.waterfall_rows import Plan, Row

NAMES = (*WINDOW, "open", "fold", "rows")
"""Parameters of the page's address."""

ROWS, MOST_ROWS = 300, 3_000
"""Rows that are shown at first, and at most."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence on what was done over and over; `key` is that of its row."""

    sentence: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class TraceView:
    """`ticks` are the axis; `notes` say what is not here; `more` is how many rows are left out."""

    answer: TraceAnswer
    roots: list[TraceLine]
    level: str
    findings: list[Finding]
    notes: list[str]
    ticks: list[tuple[float, str]]
    rows: list[Row]
    more: int
    next_rows: int
    around: Mapping[str, str]
    logs: Mapping[str, str]
    services: list[str]


@dataclass(frozen=True, slots=True)
class NotKeptView:
    """A trace that is not here, with its log lines."""

    trace_id: str
    sentence: str
    rows: list[LogRow]
    more: bool
    logs: Mapping[str, str]


def view(answer: TraceAnswer, query: Mapping[str, str]) -> TraceView:
    """The rows as the address wants them."""
    most = _most(query)
    rows = list(Plan(answer, query).rows())
    return TraceView(
        answer=answer,
        roots=answer.roots,
        level=_level(answer),
        findings=[_finding(number, group, answer) for number, group in enumerate(answer.similar)],
        notes=_notes(answer),
        ticks=spans.ticks(answer.duration),
        rows=rows[:most],
        more=max(0, len(rows) - most),
        next_rows=min(most + ROWS, MOST_ROWS),
        around=_around(answer.window.start, answer.window.end, 900),
        logs=_around(answer.window.start, answer.window.end, 60),
        services=sorted({root.service for root in answer.roots}),
    )


def not_kept(answer: TraceNotKept) -> NotKeptView:
    """Its log lines, the oldest first."""
    times = [datetime.fromisoformat(line.time) for line in answer.logs]
    window = _around(min(times), max(times), 60) if times else {}
    rows = [log_rows.row(line, None, 0, None) for line in answer.logs]
    return NotKeptView(answer.trace_id, answer.error, rows, answer.more_logs, window)


def _most(query: Mapping[str, str]) -> int:
    given = query.get("rows", "")
    return min(max(int(given), ROWS), MOST_ROWS) if given.isascii() and given.isdigit() and len(given) < 6 else ROWS


def _around(start: datetime, end: datetime, margin: float) -> Mapping[str, str]:
    """A window around a trace, as an address has it."""
    apart = timedelta(seconds=margin)
    return {"start": format.moment(start - apart), "end": format.moment(end + apart)}


def _level(answer: TraceAnswer) -> str:
    failed = any((root.status or 0) >= 500 for root in answer.roots) or any(line.error for line in answer.spans[:1])
    return "critical" if failed else "warning" if answer.similar else ""


def _finding(number: int, group: SimilarSpans, answer: TraceAnswer) -> Finding:
    """26 similar statements (SELECT books) take 61 % of this request, one after another."""
    share = group.total / answer.duration if answer.duration else 0.0
    took = (
        f"take {words.percent(share)} of this request" if share <= 1 else f"take {words.duration(group.total)} in all"
    )
    how = ", each after the one before: one that asks for all would wait once" if group.sequential else ""
    return Finding(f"{group.note} ({format.visible(group.name)}) {took}{how}.", f"g{number}", group.fingerprint or "")


def _notes(answer: TraceAnswer) -> list[str]:
    dropped = sum(root.dropped_spans for root in answer.roots)
    found = []
    if answer.pending:
        found.append("It has not ended: what is here was seen while it ran.")
    if dropped:
        found.append(f"{words.plural(dropped, 'span')} more found no room in the request's record and were dropped.")
    if answer.more_spans - dropped > 0:
        found.append(f"{words.plural(answer.more_spans - dropped, 'span')} beyond the limit of a page are not shown.")
    if answer.missing_parents:
        parents = words.plural(len(answer.missing_parents), "parent span")
        found.append(f"{parents} not here: whoever made this call is not observed, or kept nothing of the trace.")
    if answer.more_roots:
        found.append(f"{words.plural(answer.more_roots, 'part')} more of this trace are not shown.")
    if answer.more_logs:
        found.append("There are more log lines than are shown here.")
    return found
