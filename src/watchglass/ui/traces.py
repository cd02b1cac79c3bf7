"""The search for traces: what is asked for by the address, and the rows that were found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from watchglass.api import words
from watchglass.api.endpoint import identified, identify, label
from watchglass.api.models import Missing
from watchglass.api.trace_answers import TraceLine, TracesAnswer
from watchglass.ui import format
from watchglass.ui.levels import Level
from watchglass.ui.pages import WINDOW

FILTERS = (
    *("trace_id", "endpoint", "status", "error", "error_group", "statement", "reason"),
    *("min_duration", "max_duration", "service"),
)
NAMES = (*WINDOW, *FILTERS, "view", "before")
"""Parameters of the page's address."""

VIEWS = {"traces": "Traces", "errors": "Errors"}

REASONS = {
    "error": ("error", "It failed."),
    "slow": ("slow", "Slower than 99 % of its endpoint's requests, or than the setting."),
    "first": ("first", "The first of its endpoint and latency band in its minute."),
    "random": ("random", "One of a random share of all requests."),
}
"""Why a trace is kept: the word, and the sentence."""

NOBODYS_ERRORS = frozenset(("client_disconnect", "asyncio.exceptions.CancelledError"))
"""Ends that are no finding: the client did not wait."""

DAY = 43_200
"""Seconds of a window from which on a time needs its date."""

EXAMPLES = 4

_DURATION = re.compile(r"(?P<number>\d+(?:[.,]\d+)?)\s*(?P<unit>ms|s|min|µs|us)")
_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}


@dataclass(frozen=True, slots=True)
class Chosen:
    """The filters, as the form shows them. `endpoint` is its method and route."""

    trace_id: str
    endpoint: str
    status: str
    error: bool
    error_group: str
    statement: str
    reason: str
    min_duration: str
    max_duration: str
    service: str

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Chosen:
        texts = {name: query.get(name, "")[:2_000] for name in FILTERS if name != "error"}
        texts["endpoint"] = endpoint_text(texts["endpoint"])
        for name in ("min_duration", "max_duration"):
            texts[name] = spelled(texts[name])
        return cls(error=bool(query.get("error")), **texts)


def shown_of(query: Mapping[str, str]) -> str:
    """Which of the views the address names."""
    return query["view"] if query.get("view") in VIEWS else "traces"


def endpoint_text(given: str) -> str:
    """An endpoint as people read it, from its id or from what somebody typed."""
    key = identified(given) if given else None
    return label(key) if key else given


def spelled(given: str) -> str:
    """A duration as the form shows it: 0.25 is 250 ms; what is none stays."""
    try:
        return words.duration(float(given)) if given else ""
    except ValueError:
        return given


def seconds(given: str) -> str:
    """A duration in seconds, from 250 ms or 0.25; what is none stays, and is refused by who reads it."""
    found = _DURATION.fullmatch(given.strip())
    if found is None:
        return given
    return f"{float(found['number'].replace(',', '.')) * _SECONDS[found['unit']]:g}"


def endpoint_id(given: str) -> str:
    """The id of an endpoint: as it is, or of GET /books/{id} as somebody typed it."""
    if not given or (" " not in given.strip() and not given.startswith("/")):
        return given
    method, _, route = given.strip().partition(" ") if not given.startswith("/") else ("GET", "", given.strip())
    return identify((method.upper(), route.strip()))


def parameters(query: Mapping[str, str]) -> dict[str, str]:
    """What the question takes from the page's address."""
    wanted = {name: query[name] for name in (*FILTERS, "before") if query.get(name)}
    given = wanted.pop("endpoint", "")
    if given:
        wanted["endpoint_id"] = endpoint_id(given)
    for name in ("min_duration", "max_duration"):
        if name in wanted:
            wanted[name] = seconds(wanted[name])
    return wanted


@dataclass(frozen=True, slots=True)
class Row:
    """One local root. `part` is its duration beside the longest shown, from 0 to 100; `why` says why it was kept."""

    id: str
    trace_id: str
    time: str
    name: str
    method: str
    route: str
    service: str
    status: str
    status_level: Level | None
    duration: format.Quantity
    seconds: float
    part: float
    slow: bool
    spans: str
    also: str
    reason: str
    why: str
    error: str
    error_level: Level | None
    error_group: str


@dataclass(frozen=True, slots=True)
class TracesView:
    """`form` is how times are written; `notes` are what limits what is seen."""

    sentence: str
    form: str
    rows: list[Row]
    older: str
    paged: bool
    notes: list[tuple[str, datetime]]
    missing: Missing | None


def view(answer: TracesAnswer, query: Mapping[str, str], slow: float) -> TracesView:
    """The rows in the order of the answer; over `slow` seconds a duration is a finding."""
    longest = max((one.duration for one in answer.traces), default=0.0)
    notes = []
    if answer.reach:
        notes.append(("The limit in bytes has taken traces from before", answer.reach))
    if answer.searched_from:
        notes.append(
            ("Time was up before all of the window was searched; nothing is listed from before", answer.searched_from)
        )
    return TracesView(
        sentence=answer.sentence,
        form="day" if (answer.window.end - answer.window.start).total_seconds() >= DAY else "clock",
        rows=[row(one, longest, slow) for one in answer.traces],
        older=answer.older or "",
        paged=bool(query.get("before")),
        notes=notes,
        missing=answer.missing,
    )


def row(one: TraceLine, longest: float, slow: float) -> Row:
    """One row of the table."""
    word, why = REASONS.get(one.reason, (one.reason, ""))
    matched = one.method is not None and one.route is not None
    return Row(
        id=f"t{one.span_id}-{one.trace_id[:8]}",
        trace_id=one.trace_id,
        time=one.time,
        name=one.name,
        method=(one.method or "") if matched else "",
        route=(one.route or "") if matched else one.name,
        service=one.service,
        status="" if one.status is None else str(one.status),
        status_level="critical" if one.status is not None and one.status >= 500 else None,
        duration=format.quantity(one.duration, "s"),
        seconds=one.duration,
        part=round(one.duration / longest * 100, 1) if longest else 0.0,
        slow=one.duration > slow,
        spans=f"{one.spans + one.dropped_spans:,}",
        also=f"{one.statements:,} SQL" if one.statements else "",
        reason=word,
        why=why,
        error=one.error_type or "",
        error_level="critical" if one.error_type and one.error_type not in NOBODYS_ERRORS else None,
        error_group=one.error_group or "",
    )


@dataclass(frozen=True, slots=True)
class ExamplesView:
    """A few traces of one endpoint, the slowest first."""

    endpoint: str
    form: str
    rows: list[Row]
    missing: Missing | None


def examples(answer: TracesAnswer, query: Mapping[str, str], slow: float) -> ExamplesView:
    """The slowest of the traces that were found."""
    slowest = sorted(answer.traces, key=lambda one: -one.duration)[:EXAMPLES]
    longest = slowest[0].duration if slowest else 0.0
    form = "day" if (answer.window.end - answer.window.start).total_seconds() >= DAY else "clock"
    rows = [row(one, longest, slow) for one in slowest]
    return ExamplesView(query.get("endpoint", ""), form, rows, answer.missing)
