"""Log lines or traces that wait for the collector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from watchglass.exporters.otlp.sender import Export
from watchglass.exporters.queue import Queue

T = TypeVar("T")

ATTEMPTS = 3
"""How often the same records are sent before they are given up: a collector may refuse them, not only be away."""


class Records(Generic[T]):
    """A bounded queue that is sent in batches; `dropped` is told the reason and the number of what is lost.

    `arrived` is told what the collector took.
    """

    def __init__(
        self,
        queue: Queue[T],
        batch: int,
        encode: Callable[[list[T]], Any],
        dropped: Callable[[str, int], None],
        arrived: Callable[[list[T]], None] = lambda some: None,
    ) -> None:
        self.put = queue.put
        self._queue = queue
        self._batch = batch
        self._encode = encode
        self._dropped = dropped
        self._arrived = arrived
        self.lost = 0
        """Records that were given up, or found no room and were noticed."""
        self._overran = 0
        self._sending: list[T] = []
        self._attempts = 0

    @property
    def is_due(self) -> bool:
        """Whether a whole batch waits."""
        return len(self._queue) >= self._batch

    @property
    def waiting(self) -> int:
        """Records that were not sent yet."""
        return len(self._queue) + len(self._sending)

    def turn(self, export: Export) -> bool:
        """Send all that waits, one batch after another, until one does not arrive."""
        overran, self._overran = self._queue.dropped - self._overran, self._queue.dropped
        if overran:
            self._lose("otlp_queue_full", overran)
        while self._sending or self._queue:
            self._sending = self._sending or self._queue.take(self._batch)
            if not export(self._encode(self._sending)):
                self._failed()
                return False
            sent, self._sending, self._attempts = self._sending, [], 0
            self._arrived(sent)
        return True

    def _failed(self) -> None:
        self._attempts += 1
        if self._attempts >= ATTEMPTS:
            self._lose("otlp_rejected", len(self._sending))
            self._sending, self._attempts = [], 0

    def _lose(self, reason: str, number: int) -> None:
        self.lost += number
        self._dropped(reason, number)
