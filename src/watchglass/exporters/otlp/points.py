"""States as data points of OpenTelemetry's SDK, grouped into metrics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics import export as sdk
from opentelemetry.sdk.metrics._internal.point import Buckets
from opentelemetry.sdk.metrics.export import AggregationTemporality
from opentelemetry.sdk.resources import Resource

from watchglass.analysis.buckets import SCALE, ZERO
from watchglass.exporters.gently import gently
from watchglass.exporters.otlp.resource import SCOPE
from watchglass.exporters.workers.totals import BEYOND, Exemplars, bins_of, edges
from watchglass.meters import Meter
from watchglass.records import Attributes, State

MOST_BUCKETS = 1280
"""Buckets of one histogram that are sent: forty doublings. A wider one is sent at a coarser scale, exactly."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a series has at `time_ns`, counted since `start_ns`, in attributes as they are exposed.

    `total` is all that it counted, of which `state` may be the last gain. `exemplars` are of a histogram, by bucket.
    """

    meter: Meter
    attributes: Attributes
    state: State
    start_ns: int
    time_ns: int
    total: State
    exemplars: Exemplars = field(default_factory=dict)


def metrics_data(
    samples: Iterable[Sample], resource: Resource, *, delta: bool, explicit: bool = False
) -> sdk.MetricsData:
    """The samples, those of one instrument together; `delta` says that counts are gains since `start_ns`.

    With `explicit`, histograms have the explicit bounds that they have on /metrics, in place of exponential buckets.
    """
    families: dict[tuple[str, str, str, str], list[Sample]] = {}
    for sample in samples:
        meter = sample.meter
        families.setdefault((meter.name, meter.kind, meter.unit, meter.description), []).append(sample)
    gains = AggregationTemporality.DELTA if delta else AggregationTemporality.CUMULATIVE
    metrics = [
        sdk.Metric(name, description, unit, _data(kind, some, gains, explicit))
        for (name, kind, unit, description), some in families.items()
    ]
    scope = sdk.ScopeMetrics(SCOPE, metrics, "")
    return sdk.MetricsData([sdk.ResourceMetrics(resource, [scope], "")])


def _data(kind: str, samples: list[Sample], gains: AggregationTemporality, explicit: bool) -> Any:
    match kind:
        case "histogram" if explicit:
            return sdk.Histogram([_explicit_histogram(sample) for sample in gently(samples)], gains)
        case "histogram":
            return sdk.ExponentialHistogram([_histogram(sample) for sample in gently(samples)], gains)
        case "counter":
            return sdk.Sum([_number(sample) for sample in samples], gains, is_monotonic=True)
        case "updown":
            points = [_number(sample) for sample in samples]
            return sdk.Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=False)
        case _:
            return sdk.Gauge([_number(sample) for sample in samples])


def _number(sample: Sample) -> sdk.NumberDataPoint:
    return sdk.NumberDataPoint(dict(sample.attributes), sample.start_ns, sample.time_ns, float(sample.state.sum))


def _histogram(sample: Sample) -> sdk.ExponentialHistogramDataPoint:
    counts = dict(sample.state.buckets or {})
    zeros = counts.pop(ZERO, 0)
    scale, counts = _narrowed(counts)
    return sdk.ExponentialHistogramDataPoint(
        attributes=dict(sample.attributes),
        start_time_unix_nano=sample.start_ns,
        time_unix_nano=sample.time_ns,
        count=zeros + sum(counts.values()),
        sum=sample.state.sum,
        scale=scale,
        zero_count=zeros,
        positive=_dense(counts),
        negative=Buckets(0, []),
        flags=0,
        min=sample.state.min or 0.0,
        max=sample.state.max or 0.0,
        exemplars=_exemplars(sample),
    )


def _explicit_histogram(sample: Sample) -> sdk.HistogramDataPoint:
    """Bounds lie on the grid, so that no bucket of ours is cut."""
    counts = bins_of(sample.state) or {}
    bounds = edges(sample.meter.unit)
    return sdk.HistogramDataPoint(
        attributes=dict(sample.attributes),
        start_time_unix_nano=sample.start_ns,
        time_unix_nano=sample.time_ns,
        count=sum(counts.values()),
        sum=sample.state.sum,
        bucket_counts=[counts.get(edge, 0) for edge in (*bounds, BEYOND)],
        explicit_bounds=[2.0 ** (edge / 2) for edge in bounds],
        min=sample.state.min or 0.0,
        max=sample.state.max or 0.0,
        exemplars=_exemplars(sample),
    )


def _exemplars(sample: Sample) -> list[Exemplar]:
    """Those that are among what the sample counts."""
    made = (
        Exemplar({}, one.value, round(one.time * 1e9), int(one.span_id, 16), int(one.trace_id, 16))
        for one in sample.exemplars.values()
    )
    return [one for one in made if sample.start_ns <= one.time_unix_nano <= sample.time_ns]


def _narrowed(counts: dict[int, int]) -> tuple[int, dict[int, int]]:
    """At most `MOST_BUCKETS` from first to last: one scale less makes one bucket of two."""
    scale = SCALE
    while counts and max(counts) - min(counts) >= MOST_BUCKETS:
        scale -= 1
        halved: dict[int, int] = {}
        for index, count in counts.items():
            halved[index >> 1] = halved.get(index >> 1, 0) + count
        counts = halved
    return scale, counts


def _dense(counts: dict[int, int]) -> Buckets:
    if not counts:
        return Buckets(0, [])
    first = min(counts)
    return Buckets(first, [counts.get(index, 0) for index in range(first, max(counts) + 1)])
