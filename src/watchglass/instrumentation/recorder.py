"""The fast, cumulative histograms, counters and gauges: what a request pays for.

Recording is a dictionary look-up and an addition, well under a microsecond, and never blocks. Nothing is ever reset:
each exporter subtracts the state it read last, so that none takes from another and a failed export loses nothing.
Under the GIL no increment is lost between threads, because no statement below that reads and writes a count is
interrupted between the two. A series that nobody records to leaves memory once its last state was exported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import ceil, inf, log2
from typing import TypeVar

from watchglass import guard
from watchglass.analysis.buckets import PER_DOUBLING, index_of
from watchglass.instrumentation.counts import Counts
from watchglass.instrumentation.idle import Family, Key
from watchglass.meters import Meter
from watchglass.records import State, Values

OVERFLOW = "otel.metric.overflow"
"""The attribute of the series that takes what exceeds the bound, as OpenTelemetry names it."""


S = TypeVar("S", "Histogram", "Counter", "Gauge")


class Histogram(Counts):
    """Cumulative exponential histogram on the grid of `analysis.buckets`."""

    __slots__ = ("mark", "max", "min", "since", "sum")

    def __init__(self) -> None:
        super().__init__()
        self.mark: object = None
        self.since = 0.0
        self.sum = 0.0
        self.min = inf
        self.max = -inf

    def record(self, value: float) -> None:
        """Add one measurement."""
        if 0.0 < value < 1e9:
            self.add(ceil(log2(value) * PER_DOUBLING) - 1)
        else:
            value = 0.0 if not value > 0 else value
            self.add(index_of(value))
        self.sum += value
        if value > self.max:
            self.max = value
        if value < self.min:
            self.min = value

    def signature(self) -> object:
        """Its count."""
        return self.total()


class Counter:
    """A sum that only grows (or, for an updown meter, moves)."""

    __slots__ = ("mark", "since", "value")

    def __init__(self) -> None:
        self.mark: object = None
        self.since = 0.0
        self.value = 0.0

    def add(self, amount: float = 1.0) -> None:
        self.value += amount

    def signature(self) -> object:
        """Its value."""
        return self.value


class Gauge:
    """The last value set, and when; never set is absent, not zero."""

    __slots__ = ("mark", "since", "time", "value")

    def __init__(self) -> None:
        self.mark: object = None
        self.since = 0.0
        self.value: float | None = None
        self.time = 0.0

    def set(self, value: float | None) -> None:
        """Set the value; None makes it absent again."""
        self.value = value
        self.time = time.time()

    def signature(self) -> object:
        """When it was set; one that is absent does not change."""
        return 0.0 if self.value is None else self.time


class Recorder:
    """All series of a process, bounded: beyond `max_series` new ones share one overflow series per meter.

    `clock` gives seconds, of durations and of how long a series has been idle.
    """

    def __init__(
        self,
        max_series: int = 10_000,
        clock: Callable[[], float] = time.perf_counter,
        idle_seconds: float = 3600.0,
    ) -> None:
        self.max_series = max_series
        self.clock = clock
        self.idle_seconds = idle_seconds
        self.overflowed = 0
        """How often the overflow series was given for one that found no room."""
        self._histogram = Family(Histogram)
        self._counter = Family(Counter)
        self._gauge = Family(Gauge)
        self._histograms = self._histogram.active
        self._counters = self._counter.active
        self._gauges = self._gauge.active
        self._callbacks: list[Callable[[], None]] = []
        self._retiring: list[Callable[[Sequence[State]], None]] = []
        self._swept = clock()

    def __len__(self) -> int:
        return len(self._histogram) + len(self._counter) + len(self._gauge)

    def histogram(self, meter: Meter, values: Values = ()) -> Histogram:
        """The histogram of these attribute values, made on first use. Callers keep it."""
        series = self._histograms.get((meter, values))
        return series if series is not None else self._missing(self._histogram, (meter, values))

    def counter(self, meter: Meter, values: Values = ()) -> Counter:
        """The counter of these attribute values, made on first use. Callers keep it."""
        series = self._counters.get((meter, values))
        return series if series is not None else self._missing(self._counter, (meter, values))

    def gauge(self, meter: Meter, values: Values = ()) -> Gauge:
        """The gauge of these attribute values, made on first use. Callers keep it."""
        series = self._gauges.get((meter, values))
        return series if series is not None else self._missing(self._gauge, (meter, values))

    def histograms(self, meter: Meter) -> list[tuple[Values, Histogram]]:
        """The histograms of one meter, with their attribute values. Any thread."""
        return [(values, series) for (known, values), series in self._histogram.series() if known is meter]

    def before_collect(self, callback: Callable[[], None]) -> None:
        """Have `callback` set gauges right before each collection. It runs in the exporter's thread."""
        self._callbacks.append(callback)

    def before_retire(self, callback: Callable[[Sequence[State]], None]) -> None:
        """Have `callback` told the last states of series that leave, in the exporter's thread, right after they left.

        They are in no collection from then on; the same series may return, from zero.
        """
        self._retiring.append(callback)

    def collect(self) -> list[State]:
        """A copy of every series, cumulative since the process started (or, where it left, since it returned)."""
        for callback in self._callbacks:
            callback()
        states = [_histogram_state(key, series) for key, series in self._histogram.series()]
        states += [State(meter, values, series.value) for (meter, values), series in self._counter.series()]
        states += [
            State(meter, values, series.value)
            for (meter, values), series in self._gauge.series()
            if series.value is not None
        ]
        return states

    def retire(self) -> list[State]:
        """Let go of series that nobody recorded to for `idle_seconds` and nobody holds; their last states.

        To be called by the exporter right after it took what `collect` gave, which then holds these very states. A sum
        that moves both ways stays unless it is zero: it would be wrong for ever.
        """
        now = self.clock()
        if now - self._swept < min(60.0, self.idle_seconds / 4):
            return []
        self._swept = now
        states = [_histogram_state(*gone) for gone in self._histogram.leave(_may_leave)]
        states += [State(*key, series.value) for key, series in self._counter.leave(_may_leave)]
        states += [
            State(*key, series.value) for key, series in self._gauge.leave(_may_leave) if series.value is not None
        ]
        for callback in self._retiring if states else ():
            with guard.protected("instrumentation.retire"):
                callback(states)
        for family in (self._histogram, self._counter, self._gauge):
            family.put_aside(now, self.idle_seconds)
        return states

    def _missing(self, family: Family[S], key: Key) -> S:
        """The series that is not among the active ones: brought back, made, or the one for all beyond the bound."""
        if len(self) >= self.max_series and key not in family.idle:
            self.overflowed += 1
            key = key[0], (OVERFLOW, *(None,) * (len(key[0].attributes) - 1))
            known = family.active.get(key)
            if known is not None:
                return known
        return family.find(key)


def _may_leave(key: Key, series: Histogram | Counter | Gauge) -> bool:
    return key[0].kind != "updown" or not isinstance(series, Counter) or series.value == 0


def _histogram_state(key: Key, series: Histogram) -> State:
    buckets = series.taken()
    count = buckets.total()
    low, high = (series.min, series.max) if count else (None, None)
    return State(key[0], key[1], series.sum, count, low, high, buckets)
