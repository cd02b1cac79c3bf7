"""Values by series and slot of time, with NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.traffic import Ints


class Grouped:
    """Values grouped by (series, slot), the groups in that order."""

    def __init__(self, series: Ints, slot: Ints) -> None:
        base = int(slot.min()) if len(slot) else 0
        span = int(slot.max()) - base + 1 if len(slot) else 1
        key = series * span + (slot - base)
        self._order = np.argsort(key, kind="stable")
        self._starts = starts(key[self._order])
        groups = key[self._order][self._starts]
        self.series, self.slot = groups // span, groups % span + base
        self.sizes = np.diff(np.r_[self._starts, len(key)])

    def __len__(self) -> int:
        return len(self.series)

    def reduce(self, function: np.ufunc, values: NDArray[Any]) -> NDArray[Any]:
        """The function over the values of each group."""
        return function.reduceat(values[self._order], self._starts) if len(self) else values[:0]

    def numbers(self) -> Ints:
        """The number of its group for each value, in the order the values were given."""
        result = np.empty(len(self._order), np.int64)
        result[self._order] = np.repeat(np.arange(len(self)), self.sizes)
        return result

    def runs(self) -> Iterator[tuple[int, int, int]]:
        """Each series with the first and last of its groups, the last excluded."""
        bounds = starts(self.series).tolist()
        yield from zip(self.series[bounds].tolist(), bounds, [*bounds, len(self)][1:], strict=True)


def starts(ordered: Ints) -> Ints:
    """Where a new value begins."""
    if not len(ordered):
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
