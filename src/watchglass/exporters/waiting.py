"""What one process has for the next flush, besides its metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from watchglass.exporters import incidents, logs, traces
from watchglass.exporters.queue import Queue
from watchglass.records import ErrorCount, Incident, LogRecord, Trace

Errors = Callable[[], Sequence[ErrorCount]]
"""Takes what errors there were since the last time, by group."""


class Waiting:
    """Log lines, traces and incidents that were offered; errors are taken with whichever flush comes next."""

    def __init__(self, most: int, take_errors: Errors = tuple) -> None:
        self.logs: Queue[LogRecord] = logs.log_queue(most)
        self.traces: Queue[Trace] = traces.trace_queue(most)
        self.incidents: Queue[Incident] = incidents.incident_queue()
        self._take_errors = take_errors

    def __bool__(self) -> bool:
        """Whether there is something that should not wait for the metrics."""
        return bool(self.logs or self.traces or self.incidents)

    def take(self) -> dict[str, Any]:
        """What one flush takes, as parts of a `Batch`. An error is never in a later one than the trace that it kept."""
        return {
            "logs": self.logs.take(logs.A_FLUSH),
            "traces": self.traces.take(traces.A_FLUSH),
            "incidents": self.incidents.take(incidents.A_FLUSH),
            "errors": self._take_errors(),
        }

    @property
    def dropped(self) -> dict[str, int]:
        """Records that found no room, by signal."""
        return {"logs": self.logs.dropped, "traces": self.traces.dropped, "incidents": self.incidents.dropped}
