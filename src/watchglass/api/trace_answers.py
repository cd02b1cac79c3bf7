"""What the questions about traces answer. Times of spans are seconds after the trace's start.

Names, attributes and texts are what services and their clients sent: whoever shows them has to expect anything.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from watchglass.api.log_lines import LogLine
from watchglass.api.models import Answer, Model


class TraceLine(Model):
    """One local root: what one process did for one request. `duration` is in seconds.

    `spans` are those that were kept of it, `dropped_spans` the rest; `statements` are spans of PostgreSQL.
    """

    trace_id: str
    span_id: str
    time: str = Field(description="ISO 8601 in UTC, with microseconds")
    duration: float
    name: str
    method: str | None
    route: str | None
    endpoint_id: str
    status: int | None
    error_type: str | None
    error_group: str | None
    reason: str = Field(description="why it was kept; pending where it has not ended")
    service: str
    instance: str
    spans: int
    dropped_spans: int
    statements: int


class TracesAnswer(Answer):
    """Traces, newest first. `seen` and `kept` are of the whole window, of the service or of the endpoint that is named.

    `older` goes on, as `before`. `searched_from` is set where time was up before the window was searched: nothing that
    is older is among these. `reach` is since when traces are kept where that is within the window, because older ones
    had to go for the limit in bytes.
    """

    traces: list[TraceLine]
    seen: int
    kept: int
    older: str | None = None
    searched_from: datetime | None = None
    reach: datetime | None = None


class SpanLine(Model):
    """One span, in its place of the waterfall. `attributes` are cut where they are long.

    `self_time` is what no child of it ran in. `sql` is a statement's shape, which `fingerprint` finds elsewhere, and
    `redis` a command with the shape of its key. `similar` is how many are alike below its parent, itself included, from
    five on. `clock_shift` was added to the clock of its host. `running`: its request had not ended when last seen.
    """

    span_id: str
    parent_id: str | None
    depth: int
    name: str
    kind: str
    service: str
    instance: str
    start: float
    duration: float
    self_time: float
    error: str | None
    attributes: dict[str, Any]
    sql: str | None = None
    fingerprint: str | None = None
    redis: str | None = None
    cache_type: str | None = None
    cache_hit: bool | None = None
    pool_wait: bool = False
    endpoint_id: str | None = None
    missing_parent: bool = False
    on_critical_path: bool = False
    similar: int = 0
    clock_shift: float = 0.0
    running: bool = False


class Stretch(Model):
    """A stretch of time of one span."""

    span_id: str
    start: float
    duration: float


class SimilarSpans(Model):
    """Spans that are alike below one parent: 26 similar statements. `total` is the sum of their seconds.

    `sequential`: each began after the one before had ended, so that one for all would save the time of the others.
    """

    name: str
    count: int
    total: float
    note: str
    sequential: bool
    fingerprint: str | None
    span_ids: list[str]


class TraceAnswer(Answer):
    """One trace: `spans` in the order of a waterfall, `logs` by time; both are bounded, `more_` says what is left out.

    `critical_path` is what the trace waited for, by time. `gaps` are long stretches in which a span that has children
    had none running. `missing_parents` are ids of spans that are not here: their process is not observed, or kept
    nothing. `pending`: a part of it has not ended.
    """

    trace_id: str
    start: str = Field(description="ISO 8601 in UTC, with microseconds")
    duration: float
    roots: list[TraceLine]
    spans: list[SpanLine]
    logs: list[LogLine]
    similar: list[SimilarSpans]
    critical_path: list[Stretch]
    gaps: list[Stretch]
    missing_parents: list[str]
    pending: bool
    more_roots: int = 0
    more_spans: int = 0
    more_logs: bool = False


class TraceNotKept(Model):
    """A trace that is not here, with its log lines as far as there are any."""

    error: str
    trace_id: str
    logs: list[LogLine]
    more_logs: bool = False


class ErrorGroup(Model):
    """Errors of one type from one place in the service's own code: `count` since `first_seen`, kept traces and others.

    `message` and `stack` are those of a recent one. `trace_id` is an example that is still kept.
    """

    id: str
    service: str
    error_type: str
    frame: str
    message: str
    stack: str
    count: int
    first_seen: datetime
    last_seen: datetime
    trace_id: str | None


class ErrorGroupsAnswer(Answer):
    """Groups of errors that were seen in the window, the one seen last first. `more` says that there are others."""

    groups: list[ErrorGroup]
    more: bool = False
