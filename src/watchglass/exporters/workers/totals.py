"""What is exposed, in numbers: a value for each series, and how those of several processes become one.

A sum must not depend on the order in which it is made: with rounding in another order it could fall by its last digit,
which Prometheus takes for a restart and counts anew from zero. So sums are exact and rounded once, and where a rounded
sum is to be added to again it is rounded up.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import fsum, inf, isfinite, nextafter

from watchglass.analysis.buckets import PER_DOUBLING, index_of
from watchglass.exporters.projection import OVERFLOW, attributes_of
from watchglass.meters import BY_NAME, Across, Kind, Meter
from watchglass.records import Attributes, State, Values

Key = tuple[Meter, Attributes]
"""A series as it is exposed."""


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A measurement of which a trace is kept: its value, the unix time it was at, and the ids in hexadecimal."""

    value: float
    time: float
    trace_id: str
    span_id: str


Exemplars = dict[int, Exemplar]
"""The newest of a series by the edge that bounds its bucket above."""


@dataclass(frozen=True, slots=True)
class Total:
    """The value of a series; of a histogram its sum, and in `bins` its counts by the edge that bounds them above."""

    sum: float
    bins: dict[int, int] | None = None
    exemplars: Exemplars | None = None


Totals = dict[Key, Total]

BEYOND = 1 << 20
"""The edge of what is larger than every edge."""

_EDGES = {"s": (-20, -18, *range(-16, 5), 6, 8, 10)}
_OTHER_EDGES = tuple(range(0, 61, 4))


def edges(unit: str) -> tuple[int, ...]:
    """Upper edges of the exposed buckets, as exponents of the square root of two; of seconds 1 ms to 32 s."""
    return _EDGES.get(unit, _OTHER_EDGES)


def exposed(states: Iterable[State]) -> Totals:
    """The totals of a process; states that differ in nothing that is exposed are one."""
    return added((key_of(state.meter, state.values), Total(state.sum, bins_of(state))) for state in states)


def added(parts: Iterable[tuple[Key, Total]], *, up: bool = False) -> Totals:
    """The sum of each series, in order of appearance; `up`, and without exemplars, where it will be added to again."""
    terms: dict[Key, list[float]] = {}
    bins: dict[Key, dict[int, int]] = {}
    exemplars: dict[Key, Exemplars] = {}
    for key, total in parts:
        if total.exemplars is not None and not up:
            exemplars[key] = newest(exemplars.get(key, {}), total.exemplars)
        terms.setdefault(key, []).append(total.sum)
        if total.bins is not None:
            into = bins.setdefault(key, {})
            for edge, count in total.bins.items():
                into[edge] = into.get(edge, 0) + count
    return {key: Total(_sum(found, up), bins.get(key), exemplars.get(key)) for key, found in terms.items()}


def newest(one: Exemplars, other: Exemplars) -> Exemplars:
    """Of each bucket the newer exemplar."""
    found = dict(one)
    for edge, exemplar in other.items():
        if edge not in found or exemplar.time > found[edge].time:
            found[edge] = exemplar
    return found


def marked(totals: Totals, exemplars: Mapping[Key, Exemplars]) -> Totals:
    """The totals, with exemplars where there are any."""
    found = {key: replace(totals[key], exemplars=of_key) for key, of_key in exemplars.items() if key in totals}
    return {**totals, **found} if found else totals


def lasting(totals: Mapping[Key, Total]) -> Iterable[tuple[Key, Total]]:
    """What outlives its process: counters and histograms. A gauge of the dead says nothing."""
    return ((key, total) for key, total in totals.items() if key[0].kind in ("counter", "histogram"))


def since(totals: Totals, start: Mapping[Key, Total]) -> Totals:
    """The totals, less what counters and histograms had at `start`."""
    return {key: _less(total, start[key]) if key in start else total for key, total in totals.items()}


def bounded(totals: Totals, most: int) -> Totals:
    """At most about `most` series; those beyond go to the overflow series of their meter."""
    if len(totals) <= most:
        return totals
    moved = ((key if number < most else (key[0], ((OVERFLOW, "true"),))) for number, key in enumerate(totals))
    return added(zip(moved, totals.values(), strict=True), up=True)


@lru_cache(maxsize=10_000)
def meter_of(name: str, kind: Kind, unit: str, description: str, across: Across) -> Meter:
    """The one meter of this description: of the table, if it is there."""
    known = BY_NAME.get(name)
    same = known is not None and (known.kind, known.unit) == (kind, unit)
    return known if known is not None and same else Meter(name, kind, unit, description, across=across)


@lru_cache(maxsize=100_000)
def key_of(meter: Meter, values: Values) -> Key:
    """The series that these values of the meter's attributes are exposed as."""
    one = meter_of(meter.name, meter.kind, meter.unit, meter.description, meter.across)
    return one, attributes_of(meter, values, meter.exposed)


def edge_above(unit: str, value: float) -> int:
    """The edge that bounds the bucket of a value above."""
    return _edges_above(unit)[index_of(value)]


def bins_of(state: State) -> dict[int, int] | None:
    """The counts of a histogram by the edge that bounds them above; None for what is none."""
    if state.buckets is None:
        return None
    bins: dict[int, int] = {}
    edges_above = _edges_above(state.meter.unit)
    for index, count in state.buckets.items():
        edge = edges_above[index]
        bins[edge] = bins.get(edge, 0) + count
    return bins


class _EdgesAbove(dict[int, int]):
    """By bucket of the grid the lowest edge that is not below it: edges lie on the grid, so that no bucket is cut."""

    def __init__(self, unit: str) -> None:
        self._known = edges(unit)

    def __missing__(self, index: int) -> int:
        place = bisect_left(self._known, 2 * (index + 1) / PER_DOUBLING)
        self[index] = self._known[place] if place < len(self._known) else BEYOND
        return self[index]


@lru_cache(maxsize=100)
def _edges_above(unit: str) -> _EdgesAbove:
    return _EdgesAbove(unit)


def _less(total: Total, start: Total) -> Total:
    if total.bins is None:
        return Total(max(0.0, total.sum - start.sum), None, total.exemplars)
    before = start.bins or {}
    bins = {edge: max(0, count - before.get(edge, 0)) for edge, count in total.bins.items()}
    return Total(max(0.0, total.sum - start.sum), bins, total.exemplars)


def _sum(terms: list[float], up: bool) -> float:
    if len(terms) == 1:
        return terms[0]
    try:
        total = fsum(terms)
        return nextafter(total, inf) if up and isfinite(total) and fsum([*terms, -total]) > 0 else total
    except (OverflowError, ValueError):  # too large, or infinities of both signs
        return sum(terms)
