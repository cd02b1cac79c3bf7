"""What each question of the API answers, made of the shapes in `models`."""

from __future__ import annotations

from typing import Literal

from watchglass.api.budget_answers import BudgetAnswer, BudgetShare
from watchglass.api.models import Answer, Figure, Model, Tile, TimeWindow
from watchglass.jobs.doctor.findings import Finding


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
    as `requests`. `budget` is where their time went, empty where that was not recorded.
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
    budget: tuple[BudgetShare, ...] = ()


class EndpointsAnswer(Answer):
    """Endpoints by impact, and all of them together. `more` is the number of endpoints left out.

    `opened` is the budget of the endpoint that the parameters name.
    """

    endpoints: list[Endpoint]
    total: Endpoint
    more: int = 0
    opened: BudgetAnswer | None = None


class HeatmapRow(Model):
    """One endpoint: a value in seconds and its samples per entry of `HeatmapAnswer.times`, None where nothing was."""

    endpoint_id: str
    label: str
    requests: int
    values: list[float | None]
    samples: list[int]


class HeatmapAnswer(Answer):
    """A percentile (`statistic`) by endpoint and time. `times`: starts of slots, unix seconds."""

    unit: str = "s"
    statistic: str
    samples: int
    times: list[int]
    endpoints: list[HeatmapRow]


class EndpointTrend(Model):
    """One endpoint: figures by name for each earlier window ("1h", "1d", "1w" before), with their change."""

    endpoint_id: str
    label: str
    requests: int
    against: dict[str, dict[str, Figure]]


class TrendsAnswer(Answer):
    """Endpoints by requests. `more` is the number of endpoints left out."""

    endpoints: list[EndpointTrend]
    more: int = 0


class Statement(Model):
    """A statement's shape as the service's client saw it. `over_threshold` counts calls longer than the threshold.

    `fingerprint` is its id everywhere (`analysis.fingerprints`).
    """

    fingerprint: str
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


class SetupAnswer(Answer):
    """What was detected and what is missing."""

    findings: list[Finding]


class Pressing(Model):
    """One thing, with a sentence that says it.

    Of `locks`, all held by one session that waits for nobody: `pid` is its process (0: a prepared transaction),
    `seconds` for how long the longest of those behind it has waited. Of `connections`: `share` of those there may be.
    `pool`: one of the service's is used up, and `waiting` requests wait for its connections.
    `away`: the service's database cannot be used. `redis`: its Redis does not answer.
    """

    what: Literal["locks", "pool", "connections", "away", "redis"]
    sentence: str
    pid: int | None = None
    seconds: float | None = None
    share: float | None = None
    waiting: int | None = None


class SummaryAnswer(Model):
    """Every tile of the page by the card's name.

    `pressing` is what of PostgreSQL and Redis is in the requests' way now, None where that is not known. Of a window of
    the past it is not asked.
    """

    window: TimeWindow
    compared_with: TimeWindow | None
    tiles: dict[str, Tile]
    pressing: list[Pressing] | None = None


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
