"""What cannot change any more of what was read, kept in memory.

NumPy is imported here, so import this module on first use only.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, fields

from watchglass.analysis.points import Points
from watchglass.analysis.tiers import Piece


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


def _size(points: Points) -> int:
    """The bytes that an entry takes, about: its arrays, and what ten array objects and the key take besides."""
    size: int = 2_500 + sum(getattr(points, one.name).nbytes for one in fields(points))
    return size
