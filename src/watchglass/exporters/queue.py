"""What waits for the next flush: bounded, never blocking, oldest first out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Queue(Generic[T]):
    """At most `most` records and about `most_bytes` in all; beyond either the oldest goes, and is counted.

    Any thread may put, also inside a signal handler: there is no lock. Under the GIL no statement below that reads and
    writes a count is interrupted between the two.
    """

    def __init__(self, most: int, most_bytes: int, weigh: Callable[[T], int]) -> None:
        self.dropped = 0
        self._most = most
        self._most_bytes = most_bytes
        self._weigh = weigh
        self._bytes = 0
        self._items: deque[tuple[int, T]] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, record: T) -> None:
        weight = self._weigh(record)
        while self._items and (len(self._items) >= self._most or self._bytes + weight > self._most_bytes):
            if self._pop() is not None:
                self.dropped += 1
        self._bytes += weight
        self._items.append((weight, record))

    def take(self, most: int) -> list[T]:
        """The oldest records, at most so many."""
        taken: list[T] = []
        while len(taken) < most and (item := self._pop()) is not None:
            taken.append(item[1])
        return taken

    def _pop(self) -> tuple[int, T] | None:
        try:
            item = self._items.popleft()
        except IndexError:  # another thread was faster
            return None
        self._bytes -= item[0]
        return item
