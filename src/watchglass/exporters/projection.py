"""What of a meter's attributes is kept: series that become equal without the others are merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

from watchglass.meters import Meter
from watchglass.records import Attributes, Series, State, Values
from watchglass.store.text import storable

OVERFLOW = "otel.metric.overflow"

Keep = Callable[[Meter], tuple[str, ...] | None]


class Projection:
    """Remembers the kept attributes of each series that it has seen, at most `bound` of them."""

    def __init__(self, keep: Keep, bound: int = 100_000) -> None:
        self._keep = keep
        self._bound = bound
        self._kept: dict[tuple[Meter, Values], Attributes] = {}

    def merge(self, states: Iterable[State]) -> dict[tuple[Meter, Attributes], State]:
        """The states by meter and kept attributes, those that became equal as one, in order of appearance."""
        merged: dict[tuple[Meter, Attributes], State] = {}
        for state in states:
            key = (state.meter, self._attributes(state))
            known = merged.get(key)
            merged[key] = state if known is None else summed(known, state)
        return merged

    def _attributes(self, state: State) -> Attributes:
        key = (state.meter, state.values)
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= self._bound:
                self._kept.clear()
            kept = self._kept[key] = attributes_of(state.meter, state.values, self._keep(state.meter))
        return kept


def attributes_of(meter: Meter, values: Values, kept: tuple[str, ...] | None = None) -> Attributes:
    """The set attributes among `kept` (None: all) as text that can be stored, sorted by name."""
    if values[:1] == (OVERFLOW,):
        return ((OVERFLOW, "true"),)
    pairs = zip(meter.attributes, values, strict=False)
    return tuple(
        sorted((name, storable(str(value))) for name, value in pairs if value and (kept is None or name in kept))
    )


@lru_cache(maxsize=20_000)
def series_of(meter: Meter, attributes: Attributes) -> Series:
    """The series of a meter; kept, because its id takes a hash to make."""
    return Series(meter.name, meter.kind, meter.unit, attributes)


def breakdowns(states: Iterable[State]) -> Iterator[State]:
    """The counters that histograms are broken down into, with all their attributes."""
    for state in states:
        if state.meter.breakdown is not None and state.buckets is not None:
            values = dict(zip(state.meter.attributes, state.values, strict=False))
            of_counter = tuple(values.get(name) for name in state.meter.breakdown.attributes)
            overflow = state.values[:1] == (OVERFLOW,)
            yield State(state.meter.breakdown, (OVERFLOW,) if overflow else of_counter, float(state.count))


def summed(one: State, other: State) -> State:
    """Two states of what is one series outside, as one."""
    buckets = one.buckets
    if one.buckets is not None and other.buckets is not None:
        buckets = dict(Counter(one.buckets) + Counter(other.buckets))
    return replace(
        one,
        sum=one.sum + other.sum,
        count=one.count + other.count,
        min=min((low for low in (one.min, other.min) if low is not None), default=None),
        max=max((high for high in (one.max, other.max) if high is not None), default=None),
        buckets=buckets,
    )
