"""Which group each point of an answer belongs to.

NumPy is imported here, so import this module on first use only.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from watchglass.analysis.points import Integers, Points, add_up
from watchglass.store.catalogue import Key, Selection


class Grouping:
    """Numbers for the groups of a selection: series and processes that agree in `by`, in slots of `step` seconds."""

    def __init__(self, selection: Selection, by: Sequence[str], of_processes: frozenset[str], step: int | None) -> None:
        self.step = step
        self.everyone = selection.everyone
        own = [name for name in by if name not in of_processes]
        others = [name for name in by if name in of_processes]
        self.series, series_of, series_keys = _numbered([(one.id, one.key(own)) for one in selection.series])
        self.processes, processes_of, process_keys = _numbered(
            [(one.id, one.key(others)) for one in selection.processes]
        )
        self._series_of, self._processes_of, self._width = series_of, processes_of, len(process_keys)
        order = [*own, *others]
        self.keys = [
            tuple(dict(zip(order, (*one, *other), strict=True))[name] for name in by)
            for one in series_keys
            for other in process_keys
        ]

    def add_up(self, points: Points) -> tuple[Integers, Points]:
        """The points of each group and slot as one, and the numbers of the groups."""
        cells, span = self._cells(points)
        found, added = add_up(points, cells)
        return found // span, added

    def parts(self, points: Points, seconds: int) -> dict[int, Points]:
        """The same for each part of so many seconds, by its number since the epoch."""
        if not len(points):
            return {}
        part, (cells, _) = points.time // seconds, self._cells(points)
        first, width = int(part.min()), int(cells.max()) + 1
        found, added = add_up(points, (part - first) * width + cells)
        edges = np.searchsorted(found, np.arange(int(part.max()) - first + 2) * width).tolist()
        return {first + number: added.cut(*edge) for number, edge in enumerate(pairwise(edges))}

    def _cells(self, points: Points) -> tuple[Integers, int]:
        """A number for each group and slot, and how many slots a group has."""
        group = self._series_of[np.searchsorted(self.series, points.series)] * self._width
        group += self._processes_of[np.searchsorted(self.processes, points.instance)]
        if self.step is None or not len(points):
            return group, 1
        slot = points.time // self.step
        first = int(slot.min())
        span = int(slot.max()) - first + 1
        return group * span + slot - first, span

    def knows(self, points: Points) -> Points:
        """The points of series and processes that are chosen."""
        kept = np.isin(points.series, self.series) & np.isin(points.instance, self.processes)
        return points if kept.all() else points.where(kept)


def _numbered(ids: Sequence[tuple[int, Key]]) -> tuple[Integers, Integers, list[Key]]:
    """Ids in order, the number of the key of each, and the keys in order, what is absent last."""
    keys = sorted({key for _, key in ids}, key=lambda key: [(value is None, value or "") for value in key])
    number = {key: position for position, key in enumerate(keys)}
    ordered = sorted(ids)
    return (
        np.array([id for id, _ in ordered], np.int64),
        np.array([number[key] for _, key in ordered], np.int64),
        keys,
    )
