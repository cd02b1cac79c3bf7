"""The instruments of others: a reader of the host's meter provider, whose gains are added to the recorder.

From there they leave by every way, as ours do. The reader is asked right before the recorder is read, so that nothing
waits in between. What it gives are gains, which become part of the recorder's sums at once: a failed export loses none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakSet

from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricReader, MetricsData
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation

from watchglass import guard, redaction
from watchglass.analysis.buckets import SCALE
from watchglass.instrumentation.adopted import grid
from watchglass.instrumentation.adopted.scopes import is_ours
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import BY_NAME, Kind, Meter
from watchglass.records import Values

MOST_BUCKETS = 640
"""Buckets of a histogram between two readings, twenty doublings; what reaches further is read at a coarser scale."""

MOST_METERS = 5_000
"""Different names and sets of attributes that are taken; what comes after is left out, and counted as an error."""

_GAINS = (sdk.Counter, sdk.ObservableCounter, sdk.Histogram)


class Reader(MetricReader):
    """Reads gains when it is asked to; histograms on our grid wherever the host has no view that says otherwise."""

    def __init__(self) -> None:
        super().__init__(
            preferred_temporality=dict.fromkeys(_GAINS, AggregationTemporality.DELTA),
            preferred_aggregation={
                sdk.Histogram: ExponentialBucketHistogramAggregation(max_size=MOST_BUCKETS, max_scale=SCALE)
            },
        )
        self._into: Callable[[MetricsData], None] | None = None
        self.fresh()

    def fresh(self) -> None:
        """In a forked child: another thread of the parent may have been reading."""
        self._reading = threading.Lock()

    def read(self, into: Callable[[MetricsData], None]) -> None:
        """Give what was gained since the last time. Any thread."""
        with self._reading:
            self._into = into
            try:
                if self._collect is not None:  # it is on a provider
                    self.collect()
            finally:
                self._into = None

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> None:
        if self._into is not None:
            self._into(metrics_data)

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """There is nothing to end."""


by_entry_point: WeakSet[Reader] = WeakSet()
"""Readers that opentelemetry-instrument made, on the provider that it set."""


class AdoptedMeters:
    """Adds what a reader gives to `recorder`. `besides_ours`: less what Watchglass measures itself."""

    def __init__(self, recorder: Recorder, *, besides_ours: bool) -> None:
        self._recorder = recorder
        self._besides_ours = besides_ours
        self._meters: dict[tuple[str, ...], Meter] = {}
        self._names: set[str] = set()

    @property
    def names(self) -> frozenset[str]:
        """Names of all that others measure, those of our table among them."""
        return frozenset(self._names)

    def add(self, data: MetricsData) -> None:
        """Take the gains of one reading."""
        for scoped in (scoped for resource in data.resource_metrics for scoped in resource.scope_metrics):
            ours = self._besides_ours and is_ours(scoped.scope.name)
            for metric in scoped.metrics:
                self._names.add(metric.name)
                if not ours and not (self._besides_ours and metric.name in BY_NAME):
                    with guard.protected("instrumentation.adopted"):
                        self._add(metric)

    def _add(self, metric: Any) -> None:
        data = metric.data
        kind = _kind(data)
        for point in data.data_points:
            found = self._series(metric, kind, redaction.fields(point.attributes or {}))
            if found is not None:
                self._record(kind, *found, point)

    def _record(self, kind: Kind, meter: Meter, values: Values, point: Any) -> None:
        if kind == "counter":
            self._recorder.counter(meter, values).add(point.value)
        elif kind == "updown":
            self._recorder.counter(meter, values).value = float(point.value)
        elif kind == "gauge":
            self._recorder.gauge(meter, values).set(float(point.value))
        elif point.count:
            self._add_histogram(meter, values, point)

    def _add_histogram(self, meter: Meter, values: Values, point: Any) -> None:
        """The buckets as they are on our grid; negative values count as zero, as everywhere in the recorder."""
        into = self._recorder.histogram(meter, values)
        for index, count in _buckets(point).items():
            into.add(index, count)
        into.sum += point.sum
        if point.min <= point.max:  # a view may leave them out
            into.min, into.max = min(into.min, max(point.min, 0.0)), max(into.max, point.max)

    def _series(self, metric: Any, kind: Kind, attributes: Any) -> tuple[Meter, Values] | None:
        """The series of our table, if it has this instrument; else one with the (redacted) attributes of the point."""
        known = BY_NAME.get(metric.name)
        if known is not None and (known.kind, known.unit) == (kind, metric.unit):
            return known, tuple(_text(attributes.get(name)) for name in known.attributes)
        names = tuple(sorted(attributes))
        unit, description = metric.unit or "", metric.description or ""
        key = (metric.name, kind, unit, description, *names)
        meter = self._meters.get(key)
        if meter is None:
            if len(self._meters) >= MOST_METERS:
                guard.errors["instrumentation.adopted.full"] += 1
                return None
            meter = self._meters[key] = Meter(metric.name, kind, unit, description, names)
        return meter, tuple(_text(attributes[name]) for name in names)


def _kind(data: Any) -> Kind:
    if hasattr(data, "is_monotonic"):
        return "counter" if data.is_monotonic else "updown"
    return "histogram" if hasattr(data, "aggregation_temporality") else "gauge"


def _buckets(point: Any) -> dict[int, int]:
    if hasattr(point, "explicit_bounds"):
        return grid.of_explicit(point.explicit_bounds, point.bucket_counts)
    below = sum(point.negative.bucket_counts)
    return grid.of_exponential(
        point.scale, point.zero_count + below, point.positive.offset, point.positive.bucket_counts
    )


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return ",".join(map(str, value)) if isinstance(value, Iterable) and not isinstance(value, str) else str(value)
