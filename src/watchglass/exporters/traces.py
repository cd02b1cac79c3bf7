"""Kept traces on their way to the store."""

from __future__ import annotations

from watchglass.exporters.queue import Queue
from watchglass.records import Trace

MOST_BYTES = 32 * 1024 * 1024
"""Memory that waiting traces may take, about."""

A_FLUSH = 500
"""Traces that one flush takes."""


def trace_queue(most: int) -> Queue[Trace]:
    """An empty queue for so many traces."""
    return Queue(most, MOST_BYTES, weight)


def weight(trace: Trace) -> int:
    """The bytes of a trace in memory, about."""
    return 500 + 1_500 * len(trace.spans)
