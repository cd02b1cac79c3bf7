"""Reading one piece of a window from its tier, and keeping what cannot change any more.

NumPy is imported here, so import this module on first use only.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from watchglass import sql
from watchglass.analysis.points import Integers, Points, add_up
from watchglass.analysis.tiers import CHUNKS, DAY, HOUR, MINUTE, TEN_SECONDS, Piece
from watchglass.store import blocks
from watchglass.store.catalogue import Key, Selection

if TYPE_CHECKING:
    from watchglass.store.database import Fetch

KEPT = {TEN_SECONDS: 300, MINUTE: CHUNKS[MINUTE], HOUR: DAY}
"""Seconds that are read and kept as one, by tier."""

SETTLED_SECONDS = 60
"""After which rows of ten seconds are no longer expected; those that come later change the version of a selection."""


@dataclass(frozen=True, slots=True)
class Question:
    """What distinguishes two readings of the same piece."""

    name: str
    by: tuple[str, ...]
    where: tuple[tuple[str, str | None], ...]
    step: int | None


class Cache:
    """Pieces of answers that are closed, the most recently used within a bound of bytes."""

    def __init__(self, most_bytes: int = 32 * 1024 * 1024) -> None:
        self.bytes = 0
        self._most = most_bytes
        self._version = ""
        self._kept: OrderedDict[tuple[Question, Piece], Points] = OrderedDict()

    def at(self, version: str) -> None:
        """Forget everything unless the version is the one it was read at."""
        if version != self._version:
            self._kept.clear()
            self._version, self.bytes = version, 0

    def get(self, question: Question, piece: Piece) -> Points | None:
        found = self._kept.get((question, piece))
        if found is not None:
            self._kept.move_to_end((question, piece))
        return found

    def put(self, question: Question, piece: Piece, points: Points) -> None:
        if (question, piece) not in self._kept:
            self._kept[question, piece] = points
            self.bytes += _size(points)
        while self.bytes > self._most:
            self.bytes -= _size(self._kept.popitem(last=False)[1])


def split(pieces: Sequence[Piece], now: float) -> Iterator[tuple[Piece, bool]]:
    """The pieces cut where kept parts begin and end, and whether each is closed."""
    for piece in pieces:
        grid = KEPT.get(piece.width)
        settled = now - SETTLED_SECONDS if piece.width == TEN_SECONDS else piece.end
        start = piece.start
        while start < piece.end:
            end = min(piece.end, (start // grid + 1) * grid) if grid else piece.end
            yield Piece(piece.width, start, end), end <= settled
            start = end


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
        group = self._series_of[np.searchsorted(self.series, points.series)] * self._width
        group += self._processes_of[np.searchsorted(self.processes, points.instance)]
        if self.step is None:
            return add_up(points, group)
        slot = points.time // self.step
        first = int(slot.min()) if len(slot) else 0
        span = int(slot.max()) - first + 1 if len(slot) else 1
        cells, added = add_up(points, group * span + slot - first)
        return cells // span, added

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


async def read(fetch: Fetch, name: str, piece: Piece, grouping: Grouping, gauges: Integers) -> Points:
    """The points of a piece, those of each group and slot as one."""
    queries = sql.load("metrics")
    series, processes = grouping.series.tolist(), None if grouping.everyone else grouping.processes.tolist()
    if piece.width == TEN_SECONDS:
        rows = await fetch(queries["read_10s"], name, processes, piece.start, piece.end)
        points = blocks.of_10s(rows, gauges)
    elif piece.width == MINUTE:
        rows = await fetch(queries["read_1m"], series, processes, piece.start, piece.end)
        points = blocks.of_1m(rows)
        points = points.where((points.time >= ceil(piece.start)) & (points.time < piece.end))
    else:
        query = queries["read_1h"] if piece.width == HOUR else queries["read_1d"]
        [row] = await fetch(query, series, processes, piece.start, piece.end, grouping.step)
        points = blocks.of_columns(row)
    points = grouping.knows(points)
    return grouping.add_up(points)[1]


def _size(points: Points) -> int:
    return sum(getattr(points, one.name).nbytes for one in fields(points))
