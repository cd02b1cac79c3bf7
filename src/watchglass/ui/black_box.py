"""What a black box holds: requests and log lines over its time, what ran, what threads and the database did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from watchglass.api import words
from watchglass.api.incident_answers import Held, IncidentAnswer
from watchglass.api.log_lines import instant
from watchglass.ui import format, incidents, log_rows, stacks
from watchglass.ui.drawing import Segment
from watchglass.ui.log_rows import LogRow
from watchglass.ui.pages import WINDOW
from watchglass.ui.stacks import StackRow, StatementRow

NAMES = (*WINDOW, "sort", "limit")
"""Parameters of the page's address."""

SORTS = {"newest": "Newest", "slowest": "Slowest", "failed": "Failed"}
SHOWN = 150
LEAST = 0.15
NAMED = frozenset(("pid", "host"))
"""What is said of the process anyway."""


@dataclass(frozen=True, slots=True)
class Event:
    """A request that had ended, or a log line."""

    request: RequestRow | None = None
    log: LogRow | None = None


@dataclass(frozen=True, slots=True)
class RequestRow:
    """A request of the box, `bar` its place on the axis of the box."""

    id: str
    time: str
    trace_id: str
    name: str
    path: str
    status: str
    duration: format.Quantity
    error: str
    failed: bool
    bar: Segment
    spans: list[SpanOf]
    dropped: int


@dataclass(frozen=True, slots=True)
class SpanOf:
    """A span of such a request, without its root: what it did, when after the request's start, how long."""

    name: str
    says: str
    offset: str
    duration: str
    error: str


@dataclass(frozen=True, slots=True)
class IncidentView:
    """`axis` and `marks` are requests and log lines from `since` on; `events` are in the order asked for."""

    row: incidents.IncidentRow
    sentence: str
    sort: str
    process: list[tuple[str, str]]
    requests: Held
    logs: Held
    since: datetime
    axis: list[Segment]
    marks: list[tuple[float, str]]
    events: list[Event]
    more: str
    open: list[RequestRow]
    stacks: list[StackRow]
    statements: list[StatementRow]
    next_limit: int


def view(answer: IncidentAnswer, query: Mapping[str, str]) -> IncidentView:
    """What one holds; requests and log lines together, where the newest come first."""
    sort = query.get("sort", "")
    sort = sort if sort in SORTS else "newest"
    documents, logs = (answer.requests, []) if sort != "newest" else _together(answer)
    end = answer.window.end.timestamp()
    start = min(
        (format.number(one.get("time")) for one in (*documents, *logs)), default=answer.window.start.timestamp()
    )
    requests = [_request(one, at, start, end) for at, one in enumerate(documents)]
    return IncidentView(
        row=incidents.row(answer.incident),
        sentence=answer.sentence,
        sort=sort,
        process=[(name, value) for name, value in log_rows.fields(answer.process) if name not in NAMED],
        requests=answer.requests_held,
        logs=answer.logs_held,
        since=datetime.fromtimestamp(start, UTC),
        axis=[one.bar for one in requests],
        marks=_marks(logs, start, end),
        events=_events(requests, logs),
        more=_more(answer, sort),
        open=[_request(one, number, start, end, "open") for number, one in enumerate(answer.open)],
        stacks=stacks.rows(answer.stacks),
        statements=[stacks.statement(one) for one in answer.statements],
        next_limit=answer.requests_held.shown + SHOWN,
    )


def _together(answer: IncidentAnswer) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Requests and log lines, no further back than there are both: what is older of one kind would look alone."""
    since = 0.0
    for held, shown in ((answer.requests_held, answer.requests), (answer.logs_held, answer.logs)):
        if shown and held.held - held.left_out > held.shown:
            since = max(since, min(format.number(one.get("time")) for one in shown))
    requests = [one for one in answer.requests if format.number(one.get("time")) >= since]
    return requests, [one for one in answer.logs if format.number(one.get("time")) >= since]


def _more(answer: IncidentAnswer, sort: str) -> str:
    """That there are more than are shown; empty where there are none."""
    held, shown = answer.requests_held.held - answer.requests_held.left_out, answer.requests_held.shown
    logs = answer.logs_held.held - answer.logs_held.left_out - answer.logs_held.shown
    if sort == "failed" or (held <= shown and (sort == "slowest" or logs <= 0)):
        return ""
    return f"{words.plural(held, 'request')} are held; what is older or faster is not shown."


def _marks(logs: Sequence[Mapping[str, Any]], start: float, end: float) -> list[tuple[float, str]]:
    """Where log lines are on the axis, findings last, so that they are seen."""
    found = {
        (_place(format.number(one.get("time")), start, end), log_rows.finding(int(format.number(one.get("severity")))))
        for one in logs
    }
    return sorted(found, key=lambda one: (one[1] != "", one[1] == "critical", one[0]))


def _place(time: float, start: float, end: float) -> float:
    return round(min(max((time - start) / (end - start or 1.0), 0.0), 1.0) * 100, 1)


def _request(one: Mapping[str, Any], at: int, start: float, end: float, kind: str = "request") -> RequestRow:
    began, lasted = format.number(one.get("time")), _lasted(one)
    first, last = _place(began, start, end), _place(began + lasted, start, end)
    status, error = one.get("status"), str(one.get("error_type") or "")
    failed = bool(error) or (isinstance(status, int) and status >= 500)
    given = one.get("spans")
    spans = [span for span in given if isinstance(span, dict)] if isinstance(given, list) else []
    width = max(LEAST, round(last - first, 2))
    return RequestRow(
        id=f"{kind}-{at}",
        time=instant(datetime.fromtimestamp(began, UTC)),
        trace_id=str(one.get("trace_id") or ""),
        name=str(one.get("name") or ""),
        path=str(one.get("path") or ""),
        status=str(status) if status else "",
        duration=format.quantity(lasted, "s"),
        error=error,
        failed=failed,
        bar=Segment("critical" if failed else "bar", min(first, 100 - width), width),
        spans=[_span(span) for span in spans[1:]],
        dropped=int(format.number(one.get("dropped_spans"))),
    )


def _lasted(one: Mapping[str, Any]) -> float:
    """Seconds of a request; of one that still ran those of its root so far."""
    if "duration" in one:
        return format.number(one["duration"])
    spans = one.get("spans")
    root = spans[0] if isinstance(spans, list) and spans and isinstance(spans[0], dict) else {}
    return format.number(root.get("duration_ns")) / 1e9


def _span(span: Mapping[str, Any]) -> SpanOf:
    given = span.get("attributes")
    attributes = given if isinstance(given, dict) else {}
    text = attributes.get("db.query.text") or attributes.get("db.query.summary") or attributes.get("url.full") or ""
    return SpanOf(
        name=str(span.get("name") or ""),
        says=" ".join(str(text).split())[:1_000],
        offset=words.duration(format.number(span.get("start_ns")) / 1e9),
        duration=words.duration(format.number(span.get("duration_ns")) / 1e9),
        error=str(span.get("error") or ""),
    )


def _events(requests: Sequence[RequestRow], logs: Sequence[Mapping[str, Any]]) -> list[Event]:
    """Requests in their order; log lines among them where both are by time, newest first."""
    found = [Event(request=one) for one in requests]
    if not logs:
        return found
    lines = [Event(log=log_rows.of_black_box(one, at)) for at, one in enumerate(logs)]
    return sorted(found + lines, key=_time, reverse=True)


def _time(event: Event) -> str:
    return event.request.time if event.request else event.log.time if event.log else ""
