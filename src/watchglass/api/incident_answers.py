"""What the questions about incidents and about requests that have not ended answer.

Names, attributes, texts and messages are what services and their clients sent: whoever shows them has to expect
anything.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from watchglass.api.models import Answer, Model, TimeWindow


class IncidentLine(Model):
    """A black box that was frozen. `window` is what it can reach; `bytes` are those of its content in the store."""

    id: str
    time: datetime
    reason: str = Field(description="alert, error_burst, sigterm or by_hand")
    title: str
    service: str
    instance: str | None
    host: str | None
    pid: int | None
    window: TimeWindow
    bytes: int
    link: str


class IncidentsAnswer(Answer):
    """Incidents of the window, newest first."""

    incidents: list[IncidentLine]
    more: bool


class Held(Model):
    """How much of one kind the box held, what of it found no room in the incident, and how much is shown here."""

    held: int
    left_out: int
    shown: int


class IncidentAnswer(Answer):
    """One incident. Requests and log lines are those asked for, in the order asked for.

    A request has trace_id, time (unix seconds), name, path, duration (seconds), status, error_type, error_group and
    spans as traces have them. `open` are those that ran at that moment, `stacks` what each thread did, `statements`
    what the service's database was executing. `kept` are the traces among them that are stored, too.
    """

    incident: IncidentLine
    process: dict[str, Any]
    requests_held: Held
    logs_held: Held
    requests: list[dict[str, Any]]
    logs: list[dict[str, Any]]
    open: list[dict[str, Any]]
    stacks: list[dict[str, Any]]
    statements: list[dict[str, Any]]


class FrozenAnswer(Model):
    """An incident that is being written: it is in the store with the next flush."""

    id: str
    link: str


class PendingRequest(Model):
    """A request that had not ended at `seen_at`; `seconds` is for how long it had run then.

    running: it still does, as far as its process said within the last half minute; never_ended: its process has said
    nothing since, and was last heard of at `last_seen`.
    """

    state: Literal["running", "never_ended"]
    trace_id: str
    span_id: str
    name: str
    method: str | None
    route: str | None
    started_at: datetime
    seen_at: datetime
    seconds: float
    spans: int
    service: str
    instance: str
    host: str
    pid: int
    last_seen: datetime


class PendingAnswer(Answer):
    """Requests that have run for two seconds and longer, those that began first first."""

    requests: list[PendingRequest]
    more: bool
