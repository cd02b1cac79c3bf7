"""Cumulative states into what each series gained since the last flush."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from math import isfinite

from watchglass.analysis.buckets import bounds_of, pack
from watchglass.exporters.gently import gently
from watchglass.exporters.projection import Projection, breakdowns, series_of
from watchglass.meters import Meter
from watchglass.records import Attributes, Collect, Point, State, Values

GRID_SECONDS = 10


class MetricDeltas:
    """Subtracts from each state the one taken before, so that every increment is in exactly one answer of `take`.

    Gauges, and counters that move both ways, have no deltas: their value at the moment is taken. `retire` lets go of
    series that were taken and are not used any more, and returns their last states.
    """

    def __init__(self, collect: Collect, now: float, retire: Callable[[], Sequence[State]] = tuple) -> None:
        self._collect = collect
        self._retire = retire
        self._since = now
        self._taken: dict[tuple[Meter, Values], State] = {}
        self._projection = Projection(lambda meter: meter.stored)

    def skip(self, now: float) -> None:
        """Leave out what came until now: it is somebody else's to write."""
        self._remember(self._collect(), now)

    def take(self, now: float) -> list[Point]:
        """What came since the last time, dated on the grid at the interval's start."""
        states = self._collect()
        gains = list(self._gains(states))
        time = int(min(self._since, now) // GRID_SECONDS) * GRID_SECONDS
        self._remember(states, now)
        for state in self._retire():
            self._taken.pop((state.meter, state.values), None)  # it may be back, from zero, before the next time
        merged = self._projection.merge([*gains, *breakdowns(gains)])
        return [_point(meter, attributes, state, time) for (meter, attributes), state in gently(merged.items())]

    def _remember(self, states: Iterable[State], now: float) -> None:
        self._taken = {(state.meter, state.values): state for state in states}
        self._since = now

    def _gains(self, states: Iterable[State]) -> Iterator[State]:
        for state in gently(states):
            before = self._taken.get((state.meter, state.values))
            if state.buckets is not None:
                gain = histogram_gain(state, before)
            elif state.meter.kind == "counter":
                gain = counter_gain(state, before)
            else:
                gain = replace(state, count=1, min=state.sum, max=state.sum) if isfinite(state.sum) else None
            if gain is not None:
                yield gain


def counter_gain(state: State, before: State | None) -> State | None:
    """The increase; a counter that went down began anew."""
    start = before.sum if before is not None and before.sum <= state.sum else 0.0
    return replace(state, sum=state.sum - start, count=1) if state.sum > start else None


def histogram_gain(state: State, before: State | None) -> State | None:
    """The values that came; their smallest and largest as narrow as bounds and buckets tell."""
    if before is None or before.count > state.count:
        return state if state.count else None
    if state.count == before.count:
        return None
    old = before.buckets or {}
    changed = (state.buckets or {}).items() - old.items()
    buckets = {index: gained for index, count in changed if (gained := count - old.get(index, 0)) > 0}
    total = state.sum - before.sum
    return replace(
        state,
        sum=total if isfinite(total) else 0.0,
        count=sum(buckets.values()),
        min=_smallest(state, before, min(buckets)),
        max=_largest(state, before, max(buckets)),
        buckets=buckets,
    )


def _smallest(state: State, before: State, lowest: int) -> float | None:
    if state.min is None or before.min is None or state.min < before.min:
        return state.min
    return max(state.min, bounds_of(lowest)[0])


def _largest(state: State, before: State, highest: int) -> float | None:
    if state.max is None or before.max is None or state.max > before.max:
        return state.max
    return min(state.max, bounds_of(highest)[1])


def _point(meter: Meter, attributes: Attributes, gain: State, time: int) -> Point:
    series = series_of(meter, attributes)
    if gain.buckets is not None:
        return Point(series, time, gain.count, gain.sum, gain.min, gain.max, pack(gain.buckets))
    if meter.kind == "counter":
        return Point(series, time, 1, gain.sum)
    return Point(series, time, 1, gain.sum, gain.sum, gain.sum)
