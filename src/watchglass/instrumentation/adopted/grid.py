"""Histograms of other shapes on our grid.

Finer exponential buckets lie within ours, so that their counts are exact there. Of coarser ones, and of explicit ones,
each count goes to the bucket of ours at its upper bound: what is estimated of them is never less than it was, and at
most one of their own buckets more. What is above the last explicit bound counts as just above it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import inf

from watchglass.analysis.buckets import SCALE, ZERO, index_of

_LAST = 32767


def of_exponential(scale: int, zero_count: int, offset: int, counts: Iterable[int]) -> Counter[int]:
    """Counts by bucket of ours of the positive buckets and the zeros of an exponential histogram."""
    found: Counter[int] = Counter({ZERO: zero_count} if zero_count else {})
    for index, count in enumerate(counts, offset):
        if count:
            found[_of_index(index, scale)] += count
    return found


def _of_index(index: int, scale: int) -> int:
    of_ours = index >> (scale - SCALE) if scale >= SCALE else ((index + 1) << (SCALE - scale)) - 1
    return max(ZERO + 1, min(_LAST, of_ours))


def of_explicit(bounds: Sequence[float], counts: Sequence[int]) -> Counter[int]:
    """Counts by bucket of ours of a histogram whose bucket `i` reaches up to `bounds[i]`, the last one to infinity."""
    found: Counter[int] = Counter()
    for place, count in enumerate(counts):
        if count:
            found[_of_bound(bounds, place)] += count
    return found


def _of_bound(bounds: Sequence[float], place: int) -> int:
    if place < len(bounds):
        return index_of(bounds[place])
    last = bounds[-1] if bounds else 0.0
    return index_of(last) + 1 if 0 < last < inf else ZERO
