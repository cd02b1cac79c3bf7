"""Many points at once, a column each, and their sums: what tiers are made of and what questions are answered from.

NumPy is imported here, so import this module on first use only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

PAIRS = np.dtype([("index", "<i2"), ("count", "<u4")])
"""A packed histogram, see `buckets.pack`."""

_MOST = 0xFFFFFFFF
_OFFSET = 1 << 15


@dataclass(frozen=True, slots=True)
class Points:
    """One point per position. `time` is unix seconds; `size` the number of `pairs` that are its, in order.

    Where a point has no minimum, maximum or last sample, they are NaN.
    """

    time: Integers
    series: Integers
    instance: Integers
    count: Integers
    sum: Floats
    min: Floats
    max: Floats
    last: Floats
    size: Integers
    pairs: NDArray[np.void]

    def __len__(self) -> int:
        return len(self.time)

    def where(self, kept: NDArray[np.bool_]) -> Points:
        """The points at which `kept` is true."""
        columns: dict[str, Any] = {one.name: getattr(self, one.name)[kept] for one in fields(self)[:-1]}
        return Points(**columns, pairs=self.pairs[np.repeat(kept, self.size)])

    def cut(self, first: int, end: int) -> Points:
        """The points at these positions."""
        columns: dict[str, Any] = {one.name: getattr(self, one.name)[first:end] for one in fields(self)[:-1]}
        begin = int(self.size[:first].sum())
        return Points(**columns, pairs=self.pairs[begin : begin + int(columns["size"].sum())])

    @property
    def bounds(self) -> Integers:
        """Where the pairs of each point begin, and where the last one's end."""
        return np.concatenate(([0], np.cumsum(self.size)))


def empty() -> Points:
    """No points."""
    none, numbers = np.zeros(0, np.int64), np.zeros(0, np.float64)
    return Points(none, none, none, none, numbers, numbers, numbers, numbers, none, np.zeros(0, PAIRS))


def concatenate(parts: Sequence[Points]) -> Points:
    """All points of the parts, in order."""
    parts = [part for part in parts if len(part)]
    if not parts:
        return empty()
    if len(parts) == 1:
        return parts[0]
    return Points(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Points)))


def add_up(points: Points, groups: Integers) -> tuple[Integers, Points]:
    """The points of each group as one, and the groups there are, in order.

    Counts, sums and histograms add up, `last` is that of the latest time. Time, series and instance of a group are
    those of its earliest point.
    """
    if not len(points):
        return np.zeros(0, np.int64), points
    order = np.lexsort((points.time, groups))
    ordered = groups[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    number = np.cumsum(np.concatenate(([0], (ordered[1:] != ordered[:-1]).astype(np.int64))))
    position = np.empty(len(order), np.int64)
    position[order] = number
    size, pairs = _add_up_pairs(np.repeat(position, points.size), points.pairs, len(starts))
    first = order[starts]
    return ordered[starts], Points(
        time=points.time[first],
        series=points.series[first],
        instance=points.instance[first],
        count=np.add.reduceat(points.count[order], starts),
        sum=np.add.reduceat(points.sum[order], starts),
        min=np.fmin.reduceat(points.min[order], starts),
        max=np.fmax.reduceat(points.max[order], starts),
        last=_last(points.last[order], starts, number),
        size=size,
        pairs=pairs,
    )


def _last(ordered: Floats, starts: Integers, number: Integers) -> Floats:
    """The last value of each run that is one."""
    known = np.where(np.isnan(ordered), -1, np.arange(len(ordered)))
    latest = np.maximum.reduceat(known, starts)
    return np.where(latest >= 0, ordered[latest], np.nan)


def _add_up_pairs(group: Integers, pairs: NDArray[np.void], groups: int) -> tuple[Integers, NDArray[np.void]]:
    """The pairs of each group, an index once, and how many those are; a count beyond 32 bits takes several pairs."""
    if not len(pairs):
        return np.zeros(groups, np.int64), pairs
    keys = group * (2 * _OFFSET) + pairs["index"] + _OFFSET
    order = np.argsort(keys, kind="stable")  # runs that are in order are merged, not sorted anew
    ordered = keys[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    keys, counts = ordered[starts], np.add.reduceat(pairs["count"][order].astype(np.int64), starts)
    if counts.max(initial=0) > _MOST:
        parts = -(-counts // _MOST)
        keys = np.repeat(keys, parts)
        last = np.cumsum(parts) - 1
        whole, counts = counts, np.full(len(keys), _MOST, np.int64)
        counts[last] = whole - (parts - 1) * _MOST
    packed = np.empty(len(keys), PAIRS)
    packed["index"] = keys % (2 * _OFFSET) - _OFFSET
    packed["count"] = counts
    return np.bincount(keys // (2 * _OFFSET), minlength=groups), packed
