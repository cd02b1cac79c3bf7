"""Traffic as the exporter writes it: the rows of each ten seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bench.grouping import Grouped
from bench.traffic import STATUSES, Floats, Ints, Requests, Traffic
from watchglass.analysis.buckets import PER_DOUBLING
from watchglass.exporters.projection import attributes_of, series_of
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION, HTTP_SERVER_REQUESTS
from watchglass.records import Point, Series

TICK = 10
PAIR = np.dtype([("index", "<i2"), ("count", "<u4")])

_INDEXES = 1 << 16


@dataclass(frozen=True)
class Counters:
    """Rows of counters, in order of series and time; `count` says in how many ticks there was an increase."""

    time: Ints
    series: Ints
    count: Ints
    sum: Floats

    def __iter__(self) -> Iterator[tuple[int, int, int, float]]:
        return zip(*(getattr(self, field.name).tolist() for field in fields(self)), strict=True)


@dataclass(frozen=True)
class Histograms:
    """Rows of histograms, in order of series and time; `pairs[first[n]:first[n + 1]]` are the buckets of row n."""

    time: Ints
    series: Ints
    count: Ints
    sum: Floats
    min: Floats
    max: Floats
    first: Ints
    pairs: NDArray[np.void]

    def __iter__(self) -> Iterator[tuple[int, int, int, float, float, float, bytes]]:
        columns = (self.time, self.series, self.count, self.sum, self.min, self.max)
        return zip(*(column.tolist() for column in columns), self.packed(), strict=True)

    def packed(self) -> list[bytes]:
        """The buckets of each row."""
        whole = self.pairs.tobytes()
        ends = (self.first * PAIR.itemsize).tolist()
        return [whole[start:end] for start, end in pairwise(ends)]


class Exported:
    """What one process that serves the traffic writes. Spans must be asked for in order: it remembers extremes."""

    def __init__(self, traffic: Traffic) -> None:
        self.durations = [_duration(*key) for key in traffic.keys]
        """The series of each endpoint's durations."""
        self.requests = [_requests(*key, status) for key in traffic.keys for status in STATUSES]
        """The series of each endpoint's requests by status, at endpoint * statuses + status."""
        self._low = np.full(len(self.requests), np.inf)
        self._high = np.full(len(self.requests), -np.inf)

    def rows(self, requests: Requests) -> tuple[Histograms, Counters]:
        """The rows of every ten seconds; a series without a request has none."""
        tick = (requests.time // TICK).astype(np.int64)
        index = np.ceil(np.log2(requests.seconds) * PER_DOUBLING).astype(np.int64) - 1
        states = Grouped(requests.endpoint * len(STATUSES) + requests.status, tick)
        low, high = self._extremes(states, requests.seconds, index)
        endpoints = Grouped(states.series // len(STATUSES), states.slot)
        first, pairs = _buckets(Grouped(requests.endpoint, tick).numbers(), index)
        histograms = Histograms(
            endpoints.slot * TICK,
            endpoints.series,
            endpoints.reduce(np.add, states.sizes),
            endpoints.reduce(np.add, states.reduce(np.add, requests.seconds)),
            endpoints.reduce(np.minimum, low),
            endpoints.reduce(np.maximum, high),
            first,
            pairs,
        )
        return histograms, Counters(
            states.slot * TICK, states.series, np.ones_like(tick[: len(states)]), states.sizes * 1.0
        )

    def points(self, requests: Requests) -> list[tuple[int, list[Point]]]:
        """The points of each ten seconds in which there was a request, in order."""
        histograms, counters = self.rows(requests)
        by_tick: dict[int, list[Point]] = {}
        for time, number, count, total, low, high, buckets in histograms:
            point = Point(self.durations[number], time, count, total, low, high, buckets)
            by_tick.setdefault(time, []).append(point)
        for time, number, count, amount in counters:
            by_tick.setdefault(time, []).append(Point(self.requests[number], time, count, amount))
        return sorted(by_tick.items())

    def _extremes(self, states: Grouped, seconds: Floats, index: Ints) -> tuple[Floats, Floats]:
        """The smallest and largest value of each row, as narrow as cumulative extremes and buckets tell."""
        low, high = states.reduce(np.minimum, seconds), states.reduce(np.maximum, seconds)
        before, above = np.empty_like(low), np.empty_like(high)
        for number, first, last in states.runs():
            running = np.minimum.accumulate(np.r_[self._low[number], low[first:last]])
            before[first:last], self._low[number] = running[:-1], running[-1]
            running = np.maximum.accumulate(np.r_[self._high[number], high[first:last]])
            above[first:last], self._high[number] = running[:-1], running[-1]
        lower = np.exp2(states.reduce(np.minimum, index) / PER_DOUBLING)
        upper = np.exp2((states.reduce(np.maximum, index) + 1) / PER_DOUBLING)
        return (
            np.where(low < before, low, np.maximum(before, lower)),
            np.where(high > above, high, np.minimum(above, upper)),
        )


def _buckets(row: Ints, index: Ints) -> tuple[Ints, NDArray[np.void]]:
    """Where each row's packed pairs begin, and all pairs, by row and in order of index."""
    cells, counts = np.unique(row * _INDEXES + (index + _INDEXES // 2), return_counts=True)
    pairs = np.empty(len(cells), PAIR)
    pairs["index"] = cells % _INDEXES - _INDEXES // 2
    pairs["count"] = counts
    rows = int(row.max()) + 1 if len(row) else 0
    return np.searchsorted(cells // _INDEXES, np.arange(rows + 1)), pairs


def _duration(method: str, route: str) -> Series:
    meter = HTTP_SERVER_REQUEST_DURATION
    return series_of(meter, attributes_of(meter, (method, route, None, None, "http"), meter.stored))


def _requests(method: str, route: str, status: str) -> Series:
    """As the instrumentation calls an answer of 500 and above that no exception explains: by its status."""
    meter, error = HTTP_SERVER_REQUESTS, status if status >= "500" else None
    return series_of(meter, attributes_of(meter, (method, route, status, error), meter.stored))
