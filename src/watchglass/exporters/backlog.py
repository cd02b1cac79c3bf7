"""Batches that are not in the store yet, in order: bounded by merging old metrics rather than by losing them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from watchglass.analysis.buckets import pack, unpack
from watchglass.exporters import errors, incidents, logs, traces
from watchglass.records import Batch, Point

MOST_BATCHES = 360
"""An hour of metrics in steps of ten seconds; beyond it the oldest ones become coarser."""

MOST_BYTES = 32 * 1024 * 1024
"""Memory that metrics may take, about, before they become coarser."""


def weight(point: Point) -> int:
    """The bytes of a point in memory, about; its series is shared."""
    return 200 + len(point.buckets or b"")


_WEIGH: Mapping[str, Callable[[Any], int]] = {
    "points": weight,
    "logs": logs.weight,
    "traces": traces.weight,
    "errors": errors.weight,
    "incidents": incidents.weight,
}
_BOUNDED = {"logs": logs, "traces": traces, "errors": errors, "incidents": incidents}


@dataclass(frozen=True, slots=True)
class Frozen:
    """A batch as it will be sent. It stands for the sequences from `first` to its own: those were merged into it.

    Weights are bytes in memory, about, by signal.
    """

    batch: Batch
    first: int
    weights: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        weights = {name: sum(map(weigh, getattr(self.batch, name))) for name, weigh in _WEIGH.items()}
        object.__setattr__(self, "weights", weights)

    @property
    def sequence(self) -> int:
        return self.batch.sequence


class Backlog:
    """First in, first out. A batch that was sent is never changed: the store may have it, and only its answer be lost.

    `most_records` bounds the lines, the traces and so on; beyond it, or the bytes that they may take, the oldest go and
    are counted by signal in `dropped`. One thread uses it; any may read `size`, and by signal `counts` and `weights`.
    """

    def __init__(self, most_records: int, *, most_batches: int | None = None, most_bytes: int | None = None) -> None:
        self.dropped: Counter[str] = Counter()
        self.merged = 0
        """Batches that became part of their neighbour."""
        self._most_records = most_records
        self._most_batches = most_batches or MOST_BATCHES
        self._most_bytes = most_bytes or MOST_BYTES
        self._waiting: deque[Frozen] = deque()
        self._sent: Frozen | None = None
        self._measure()

    def __len__(self) -> int:
        return len(self._waiting) + (self._sent is not None)

    def __iter__(self) -> Iterator[Frozen]:
        if self._sent is not None:
            yield self._sent
        yield from self._waiting

    def add(self, batch: Batch) -> None:
        """Put a batch at the end, and keep within the bounds."""
        self._waiting.append(Frozen(batch, batch.sequence))
        self._measure()
        for signal, bounds in _BOUNDED.items():
            if self.counts[signal] > self._most_records or self.weights[signal] > bounds.MOST_BYTES:
                self._drop(signal, _WEIGH[signal], bounds.MOST_BYTES)
        while len(self._waiting) > 1 and self._is_too_large():
            self._merge_older_half()
        self._measure()

    def next(self) -> Batch | None:
        """The oldest batch, from now on unchangeable, until `done` says that it has gone."""
        if self._sent is None and self._waiting:
            self._sent = self._waiting.popleft()
        return self._sent.batch if self._sent else None

    def done(self) -> None:
        """The batch that `next` gave needs not be kept any more."""
        self._sent = None
        self._measure()

    def _is_too_large(self) -> bool:
        return len(self) > self._most_batches or sum(one.weights["points"] for one in self) > self._most_bytes

    def _measure(self) -> None:
        """Note the sums, for other threads to read."""
        self.size = len(self)
        self.counts = {name: sum(len(getattr(one.batch, name)) for one in self) for name in _WEIGH}
        self.weights = {name: sum(one.weights[name] for one in self) for name in _WEIGH}

    def _merge_older_half(self) -> None:
        """Halve the resolution of the older half, so that what is old becomes coarse step by step."""
        waiting = list(self._waiting)
        old = max(2, len(waiting) // 4 * 2)
        pairs = [merge(waiting[i], waiting[i + 1]) for i in range(0, old, 2)]
        self._waiting = deque([*pairs, *waiting[old:]])
        self.merged += len(pairs)

    def _drop(self, signal: str, weigh: Callable[[Any], int], most_bytes: int) -> None:
        """Let go of a signal's oldest records beyond its bounds, in batches that were not sent."""
        found = [(index, getattr(frozen.batch, signal)) for index, frozen in enumerate(self._waiting)]
        number, size = 0, 0
        for index, records in reversed(found):
            kept = len(records)
            for record in reversed(records):
                number, size = number + 1, size + weigh(record)
                if number > self._most_records or size > most_bytes:
                    kept -= 1
            if kept < len(records):
                self.dropped[signal] += len(records) - kept
                one = self._waiting[index]
                self._waiting[index] = Frozen(replace(one.batch, **{signal: records[len(records) - kept :]}), one.first)


def merge(one: Frozen, other: Frozen) -> Frozen:
    """Two neighbours as one that is written in place of both."""
    batch = Batch(
        other.batch.sequence,
        merge_points([*one.batch.points, *other.batch.points]),
        [*one.batch.logs, *other.batch.logs],
        [*one.batch.traces, *other.batch.traces],
        errors.merged([*one.batch.errors, *other.batch.errors]),
        [*one.batch.incidents, *other.batch.incidents],
    )
    return Frozen(batch, one.first)


def merge_points(points: Iterable[Point]) -> list[Point]:
    """One point a series, dated at the earliest: increases and histograms added up, of a gauge the last sample."""
    merged: dict[int, Point] = {}
    for point in points:
        known = merged.get(point.series.id)
        merged[point.series.id] = point if known is None else _sum(known, point)
    return list(merged.values())


def _sum(one: Point, other: Point) -> Point:
    time = min(one.time, other.time)
    if one.series.kind in ("gauge", "updown"):
        return replace(other, time=time)
    if one.series.kind == "counter":
        return replace(one, time=time, sum=one.sum + other.sum)
    return Point(
        one.series,
        time,
        one.count + other.count,
        one.sum + other.sum,
        min((low for low in (one.min, other.min) if low is not None), default=None),
        max((high for high in (one.max, other.max) if high is not None), default=None),
        pack(unpack((one.buckets or b"") + (other.buckets or b""))),
    )
