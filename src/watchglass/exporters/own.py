"""What the pipeline tells of itself, as states beside those of the recorder."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from math import inf

from watchglass import guard
from watchglass.analysis.buckets import index_of
from watchglass.meters import (
    WATCHGLASS_CLAMPED,
    WATCHGLASS_DROPPED,
    WATCHGLASS_ERRORS,
    WATCHGLASS_FLUSH_DURATION,
    WATCHGLASS_QUEUE,
    WATCHGLASS_ROWS_WRITTEN,
    Meter,
)
from watchglass.records import Batch, State


class _Durations:
    def __init__(self) -> None:
        self.buckets: defaultdict[int, int] = defaultdict(int)
        self.sum, self.min, self.max = 0.0, inf, -inf

    def record(self, seconds: float) -> None:
        self.buckets[index_of(seconds)] += 1
        self.sum += seconds
        self.min, self.max = min(self.min, seconds), max(self.max, seconds)


class OwnMeters:
    """Cumulative since the process began, like all states."""

    clamped = 0
    """Rows whose time lay outside what the store takes, and was moved."""

    def __init__(self) -> None:
        self.dropped: Counter[tuple[str, str]] = Counter()
        """Records dropped by signal and reason."""
        self._rows: Counter[str] = Counter()
        self._durations: defaultdict[str, _Durations] = defaultdict(_Durations)

    def flushed(self, batch: Batch, seconds: float) -> None:
        """A batch is in the store, after so long."""
        self._rows.update(metrics=len(batch.points), logs=len(batch.logs), traces=len(batch.traces))
        self._durations["metrics" if batch.points else "records"].record(seconds)

    def rejected(self, batch: Batch, stored: Batch) -> None:
        """Of a batch the store took only so much."""
        for signal, of_batch, of_stored in (
            ("metrics", batch.points, stored.points),
            ("logs", batch.logs, stored.logs),
            ("traces", batch.traces, stored.traces),
            ("errors", batch.errors, stored.errors),
            ("incidents", batch.incidents, stored.incidents),
        ):
            if len(of_batch) > len(of_stored):
                self.dropped[signal, "rejected"] += len(of_batch) - len(of_stored)

    def states(self, figures: Mapping[Meter, float], waiting: dict[str, int], dropped: dict[str, int]) -> list[State]:
        """The figures, what waits, what found no room while it waited, and all that was noted here."""
        all_dropped = Counter(self.dropped)
        all_dropped.update({(signal, "queue_full"): number for signal, number in dropped.items()})
        states = [State(WATCHGLASS_DROPPED, values, float(number)) for values, number in all_dropped.items()]
        states += [State(WATCHGLASS_ROWS_WRITTEN, (signal,), float(rows)) for signal, rows in self._rows.items()]
        states += [State(WATCHGLASS_ERRORS, (where,), float(n)) for where, n in list(guard.errors.items())]
        states += [State(WATCHGLASS_QUEUE, (signal,), float(number)) for signal, number in waiting.items()]
        states += [State(meter, (), float(figure)) for meter, figure in figures.items()]
        states.append(State(WATCHGLASS_CLAMPED, (), float(self.clamped)))
        for signal, taken in list(self._durations.items()):
            buckets = dict(taken.buckets)
            count = sum(buckets.values())
            states.append(State(WATCHGLASS_FLUSH_DURATION, (signal,), taken.sum, count, taken.min, taken.max, buckets))
        return states
