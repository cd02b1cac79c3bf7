"""The shapes of the answers. Every figure says how it was got, over which window and from how many samples.

Units are UCUM as in `meters.py`: "s", "By", "1" (a ratio), "{request}/s", "{key}/h". Times are UTC. A value that is not
known is None with `basis` "unavailable" and a `reason`; it is never zero.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from watchglass.analysis.windows import Window

Basis = Literal["measured", "estimated", "unavailable"]
"""measured: counted, or read from histograms that hold every event; estimated: read from another source that stands in
for it, named in `reason`; unavailable: not known, and `reason` says why."""


class Model(BaseModel):
    """An immutable part of an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TimeWindow(Model):
    """A span of time, start included, end excluded."""

    start: datetime
    end: datetime

    @classmethod
    def of(cls, window: Window) -> TimeWindow:
        return cls(start=datetime.fromtimestamp(window.start, UTC), end=datetime.fromtimestamp(window.end, UTC))


class Change(Model):
    """From the earlier value to this one. `relative` is None where the earlier value is zero.

    `verdict` is None where neither direction is worse; "same" below 5 %.
    """

    absolute: float
    relative: float | None
    direction: Literal["up", "down", "flat"]
    verdict: Literal["worse", "better", "same"] | None


class Figure(Model):
    """One number. `window` is None where it is the answer's own. `spark` is the value per slot of the window.

    `samples` is the number of events or readings behind `value`, `previous_samples` behind `previous`.
    """

    label: str
    value: float | None
    unit: str
    basis: Basis = "measured"
    reason: str | None = None
    statistic: str = "last"
    samples: int | None = None
    previous: float | None = None
    previous_samples: int | None = None
    change: Change | None = None
    window: TimeWindow | None = None
    spark: list[float | None] | None = None


class Missing(Model):
    """Why a card has nothing to show, and the command, statement or setting that changes it (None: only time does)."""

    reason: str
    remedy: str | None = None
    command: str | None = None


class Answer(Model):
    """What every card answers. `resolution` is the width of a slot in seconds; `compared_with` the earlier window."""

    card: str
    title: str
    sentence: str
    window: TimeWindow
    compared_with: TimeWindow | None = None
    resolution: int | None = None
    missing: Missing | None = None


class Tile(Answer):
    """A KPI tile: its figures by name, the main one first."""

    figures: dict[str, Figure]


class Percentiles(Model):
    """Latency over time in seconds: one value per entry of `LatencyAnswer.times`, None where nothing was measured."""

    label: str
    p50: list[float | None]
    p95: list[float | None]
    p99: list[float | None]
    samples: list[int]
    method: str | None = None
    route: str | None = None
    endpoint_id: str | None = None


class LatencyAnswer(Answer):
    """Latency of all requests, and of the endpoints with the most impact. `times`: starts of slots, unix seconds."""

    unit: str = "s"
    times: list[int]
    all: Percentiles
    endpoints: list[Percentiles]


class Endpoint(Model):
    """One route template and method, or all unmatched paths as one (`route` None).

    `impact` is its share of the time all requests took. `statuses` counts requests by status code; `errors` is the
    share of requests that ended with 5xx or an exception, `error_count` their number: the same window and denominator
    as `requests`.
    """

    endpoint_id: str
    label: str
    method: str | None
    route: str | None
    requests: int
    rate: Figure
    p50: Figure
    p95: Figure
    p99: Figure
    errors: Figure
    error_count: int
    statuses: dict[str, int]
    impact: float


class EndpointsAnswer(Answer):
    """Endpoints by impact, and all of them together. `more` is the number of endpoints left out."""

    endpoints: list[Endpoint]
    total: Endpoint
    more: int = 0


class Statement(Model):
    """A statement's shape as the service's client saw it. `over_threshold` counts calls longer than the threshold."""

    summary: str
    operation: str | None
    text: str | None
    calls: int
    p95: Figure
    max: float | None
    total_seconds: float
    impact: float
    errors: int
    over_threshold: int


class SlowStatementsAnswer(Answer):
    """Statements by total time. `threshold` in seconds; `slow_calls` is the calls over it, of all statements."""

    threshold: float
    calls: int
    slow_calls: int
    statements: list[Statement]
    more: int = 0


class CacheType(Model):
    """Lookups of one cache type; `hit_rate` is hits over lookups."""

    cache_type: str
    hits: int
    misses: int
    hit_rate: Figure


class RedisAnswer(Answer):
    """Redis in detail: figures by name, hit rate by cache type."""

    figures: dict[str, Figure]
    cache_types: list[CacheType]


class RedisMemoryAnswer(Answer):
    """Memory used beside its limit. `used_share` is None when Redis has no limit. `times`: unix seconds."""

    used: Figure
    limit: Figure
    used_share: float | None
    times: list[int]
    line: list[float | None]


class Finding(Model):
    """Something `watchglass doctor` found: `remedy` says what to do, `command` is to be copied."""

    subject: str
    state: Literal["ok", "missing", "warning", "error"]
    sentence: str
    remedy: str | None = None
    command: str | None = None


class SetupAnswer(Answer):
    """What was detected and what is missing."""

    findings: list[Finding]


class FootprintAnswer(Answer):
    """Watchglass's own cost: figures by name."""

    figures: dict[str, Figure]


class SummaryAnswer(Model):
    """Every tile of the page by the card's name."""

    window: TimeWindow
    compared_with: TimeWindow | None
    tiles: dict[str, Tile]


class MeterFigure(Model):
    """One meter over the window, all its series together. Histograms have percentiles, counters a rate per second."""

    unit: str
    description: str
    count: int
    total: float | None = None
    rate: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    last: float | None = None
    mean: float | None = None
    min: float | None = None
    max: float | None = None


class MetersAnswer(Model):
    """Every meter that has data in the window, by name."""

    window: TimeWindow
    timers: dict[str, MeterFigure]
    counters: dict[str, MeterFigure]
    gauges: dict[str, MeterFigure]


class InstanceInfo(Model):
    """A process of the service that reported in the last minutes."""

    instance_id: str
    service_name: str
    service_version: str
    host: str
    pid: int
    started_at: datetime
    last_seen: datetime


class StorageInfo(Model):
    """Whether this process's telemetry is being stored; `message` says what stands in the way. Numbers by signal."""

    state: str
    message: str | None
    last_flush: datetime | None
    queued: dict[str, int]
    dropped: dict[str, int]


class StatusAnswer(Model):
    """The state of the service and of its telemetry. `instances` is None, for `reason`, when the store is silent."""

    status: str
    components: dict[str, str]
    service: str
    version: str
    watchglass: str
    storage: StorageInfo | None
    instances: list[InstanceInfo] | None
    reason: str | None = None
