"""What the pipeline tells of itself, as states beside those of the recorder."""

from __future__ import annotations

from collections import Counter, defaultdict
from math import inf

from watchglass import guard
from watchglass.analysis.buckets import index_of
from watchglass.meters import (
    WATCHGLASS_DROPPED,
    WATCHGLASS_ERRORS,
    WATCHGLASS_FLUSH_DURATION,
    WATCHGLASS_QUEUE,
    WATCHGLASS_ROWS_WRITTEN,
    WATCHGLASS_SERIES,
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

    def __init__(self) -> None:
        self.dropped: Counter[tuple[str, str]] = Counter()
        """Records dropped by signal and reason."""
        self._rows: Counter[str] = Counter()
        self._durations: defaultdict[str, _Durations] = defaultdict(_Durations)

    def flushed(self, batch: Batch, seconds: float) -> None:
        """A batch is in the store, after so long."""
        self._rows.update(metrics=len(batch.points), logs=len(batch.logs), traces=len(batch.traces))
        self._durations["metrics" if batch.points else "records"].record(seconds)

    def states(self, waiting: dict[str, int], overflowed: dict[str, int], series: int) -> list[State]:
        """The queues' lengths, what they dropped, the number of series, and all that was noted here."""
        dropped = Counter(self.dropped)
        dropped.update({(signal, "queue_full"): number for signal, number in overflowed.items()})
        states = [State(WATCHGLASS_DROPPED, values, float(number)) for values, number in dropped.items()]
        states += [State(WATCHGLASS_ROWS_WRITTEN, (signal,), float(rows)) for signal, rows in self._rows.items()]
        states += [State(WATCHGLASS_ERRORS, (where,), float(n)) for where, n in list(guard.errors.items())]
        states += [State(WATCHGLASS_QUEUE, (signal,), float(number)) for signal, number in waiting.items()]
        states.append(State(WATCHGLASS_SERIES, (), float(series)))
        for signal, taken in list(self._durations.items()):
            buckets = dict(taken.buckets)
            count = sum(buckets.values())
            states.append(State(WATCHGLASS_FLUSH_DURATION, (signal,), taken.sum, count, taken.min, taken.max, buckets))
        return states
