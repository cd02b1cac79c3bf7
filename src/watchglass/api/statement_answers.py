"""What the questions about statements answer: the client's side, PostgreSQL's side, and who calls."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from watchglass.api.models import Answer, Figure, Model

Side = Literal["client", "server"]


class ClientSide(Model):
    """Every call as the service's own processes saw it, waiting for the network included; times in seconds.

    `errors` are all that failed; among them `timeouts` (the client's, lock_timeout and idle timeouts) and `cancelled`
    (statement_timeout, a cancel request, or the task's end).
    """

    calls: int
    seconds: float
    mean: float
    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None
    errors: int
    timeouts: int
    cancelled: int
    over_threshold: int


class ServerSide(Model):
    """What pg_stat_statements counted, whoever the client was; cancelled calls are not in it.

    `hit_ratio` is the share of blocks that were in the buffer cache. `io_seconds` is None unless it is measured
    (track_io_timing). Temporary blocks are of sorts and hashes that spilled.
    """

    calls: int
    seconds: float
    mean: float
    rows: int
    rows_per_call: float
    shared_blks_hit: int
    shared_blks_read: int
    hit_ratio: float | None
    temp_blks_read: int
    temp_blks_written: int
    io_seconds: float | None
    wal_bytes: int


class Caller(Model):
    """An endpoint whose requests waited for the statement; `share` is that of the time all its callers waited."""

    endpoint_id: str
    label: str
    seconds: float
    share: float


class StatementRow(Model):
    """One statement by its fingerprint.

    `seconds` is the time of the side that saw more of it (`side`), `impact` its share of the time of all. `time` is the
    same beside the earlier window, from the same side. `is_new`: the earlier window has others, not this one. In a list
    `plan_change` says what became of its plan in the window, and `open_advice` counts indexes advised and not built.
    """

    fingerprint: str
    summary: str
    operation: str | None
    text: str | None
    side: Side
    seconds: float
    impact: float
    calls: int
    time: Figure
    p95: Figure
    is_new: bool
    client: ClientSide | None
    server: ServerSide | None
    callers: tuple[Caller, ...]
    more_callers: int = 0
    plan_changed_at: datetime | None = None
    plan_change: str | None = None
    open_advice: int = 0


class ServerState(Model):
    """Whether pg_stat_statements is read; if not why, and what changes that. `note` says what else would be shown."""

    available: bool
    reason: str | None = None
    remedy: str | None = None
    command: str | None = None
    note: str | None = None
    read_at: datetime | None = None


class StatementsAnswer(Answer):
    """Statements by impact. `seconds` is the time of all of them, those left out (`more`) included.

    `beyond_seconds` of it is that of statements PostgreSQL counted beyond those that are told apart.
    """

    seconds: float
    beyond_seconds: float
    server: ServerState
    statements: list[StatementRow]
    more: int = 0


class StatementLines(Model):
    """Figures per entry of `StatementAnswer.times`, None where nothing was recorded; times in seconds."""

    calls: list[float | None]
    p50: list[float | None]
    p95: list[float | None]
    p99: list[float | None]
    server_calls: list[float | None]
    server_seconds: list[float | None]
    rows: list[float | None]
    shared_blks_hit: list[float | None]
    shared_blks_read: list[float | None]
    temp_blks_written: list[float | None]


class PlanSummary(Model):
    """A plan that was captured: `how` with parameters, without, or executed on an admin's click.

    `scans` are the first few steps that read a table or an index, with its name, in the order of the plan.
    """

    id: int
    shape: str
    scans: tuple[str, ...]
    how: Literal["parameters", "generic", "analyze"]
    cost: float
    seconds: float | None
    captures: int
    server_version: str
    trace_id: str | None
    captured_at: datetime
    seen_at: datetime


class PlanChange(Model):
    """Since `time` the statement has another plan."""

    time: datetime
    from_shape: str
    to_shape: str
    sentence: str


class AdvisedBefore(Model):
    """An index that was advised for the statement, and what became of it."""

    id: str
    statement: str
    verified: bool
    cost_before: float | None
    cost_after: float | None
    size_bytes: int | None
    state: Literal["open", "built", "gone"]
    created_at: datetime
    built_at: datetime | None


class StatementError(Model):
    """How often calls of a statement failed so: `error` is an SQLSTATE with its meaning, or the client's own error."""

    error: str
    meaning: str | None
    calls: int


class StatementAnswer(Answer):
    """One statement. `row` is None where the window has none of it, `before` is the same of the earlier window.

    `errors` are those of the window, the most frequent first. `queryid` is PostgreSQL's, as text. `last_seen` is when
    pg_stat_statements, or a plan, last had it. `parameters` are those of its latest slow execution by type and size, as
    `$1 int`, `$2 text(12)`, `$3 list(200)`, captured at `parameters_at`; empty where none is known, or it has none.
    """

    fingerprint: str
    text: str | None
    queryid: str | None
    database: str | None
    server: ServerState
    last_seen: datetime | None
    row: StatementRow | None
    before: StatementRow | None
    errors: list[StatementError]
    times: list[int]
    lines: StatementLines | None
    plans: list[PlanSummary]
    plan_changes: list[PlanChange]
    advice: list[AdvisedBefore]
    parameters: list[str]
    parameters_at: datetime | None
