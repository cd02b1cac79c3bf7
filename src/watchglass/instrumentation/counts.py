"""How many values fell into each bucket, in two bytes a bucket: what a histogram holds, and copies of it.

A dictionary takes 70 bytes for each bucket that is used, which is 5 to 15 kB for an endpoint. Here the buckets lie side
by side in an array that reaches as far as values were seen, with more bytes a bucket once one of them needs it. The few
that are far from all others are in a dictionary.

No increment is lost between threads under the GIL, which changes hands at calls and at the ends of loops: none lies
between the question where a bucket is and the addition to it, nor between a last look at an array and its replacement.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import ItemsView, Iterator, Mapping
from typing import Final

STEP: Final = 16
"""Buckets by which an array grows at least: half a doubling."""

WIDEST: Final = 1_024
"""Buckets of an array at most: 32 doublings, as from a microsecond to an hour."""

_WIDER: Final = {"H": "I", "I": "Q"}  # two, four and eight bytes


class Counts:
    """Counts by index that only grow."""

    __slots__ = ("counts", "end", "far", "low")

    def __init__(self) -> None:
        self.counts = array("H")
        """Those from `low` until `end`."""
        self.low = self.end = 0
        self.far: defaultdict[int, int] | None = None

    def add(self, index: int, count: int = 1) -> None:
        """Add to the bucket of this index."""
        try:
            if self.low <= index < self.end or self._reaches(index):
                self.counts[index - self.low] += count
            else:
                self._far()[index] += count
        except OverflowError:
            self._widen()
            self.add(index, count)

    @property
    def buckets(self) -> dict[int, int]:
        """The counts by index, of those that are not zero."""
        return dict(self.taken().items())

    def taken(self) -> Taken:
        """A copy as it is now."""
        low, counts = self.low, self.counts
        return Taken(low, counts[:], None if self.far is None else self.far.copy())

    def total(self) -> int:
        """The sum of all counts."""
        return self.taken().total()

    def _reaches(self, index: int) -> bool:
        """Have the array reach this index; False where that would make it too wide, which stays so as it grows."""
        while not self.low <= index < self.end:
            counts, low, end = self.counts, self.low, self.end
            if low == end:
                low = end = index - index % STEP
            new_low, new_end = min(low, index - index % STEP), max(end, index - index % STEP + STEP)
            if new_end - new_low > WIDEST:
                return False
            zero = array(counts.typecode, [0])
            before, after = zero * (low - new_low), zero * (new_end - end)
            if counts is self.counts:
                self.counts = before + counts + after
                self.low = new_low
                self.end = new_end
        return True

    def _widen(self) -> None:
        """Have more bytes a bucket, unless another thread counts at this very moment; then it takes another call."""
        counts = self.counts
        wider = array(_WIDER[counts.typecode], counts)
        if counts is self.counts and counts == wider:
            self.counts = wider

    def _far(self) -> defaultdict[int, int]:
        made: defaultdict[int, int] = defaultdict(int)
        if self.far is None:
            self.far = made
        return self.far


class Taken(Mapping[int, int]):
    """Counts by index as they were; those that are zero are left out."""

    __slots__ = ("_counts", "_far", "_low")

    def __init__(self, low: int, counts: array[int], far: dict[int, int] | None) -> None:
        self._low = low
        self._counts = counts
        self._far = far

    def total(self) -> int:
        """The sum of all counts."""
        return sum(self._counts) + (sum(self._far.values()) if self._far else 0)

    def __getitem__(self, index: int) -> int:
        at = index - self._low
        count = self._counts[at] if 0 <= at < len(self._counts) else (self._far or {}).get(index, 0)
        if not count:
            raise KeyError(index)
        return count

    def __iter__(self) -> Iterator[int]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def items(self) -> ItemsView[int, int]:
        return self._all().items()

    def _all(self) -> dict[int, int]:
        found = {index: count for index, count in enumerate(self._counts, self._low) if count}
        return found | self._far if self._far else found
