"""Log records on their way to the store."""

from __future__ import annotations

from watchglass.exporters.queue import Queue
from watchglass.records import LogRecord

MOST_BYTES = 32 * 1024 * 1024
"""Memory that waiting log lines may take, about."""

A_FLUSH = 5_000
"""Lines that one flush takes."""


def log_queue(most: int) -> Queue[LogRecord]:
    """An empty queue for so many lines."""
    return Queue(most, MOST_BYTES, weight)


def weight(record: LogRecord) -> int:
    """The bytes of a line in memory, about."""
    return 600 + len(record.message) + len(record.exception or "") + 150 * len(record.fields)
