"""What of the recorder goes to a collector: all since the start, or what was gained since the last export it took.

Like every exporter this one has a memory of its own, so that a failed export loses nothing: the next one covers it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite

from watchglass.exporters.exemplars import KeptExemplars
from watchglass.exporters.gently import gently
from watchglass.exporters.metrics import counter_gain, histogram_gain
from watchglass.exporters.otlp.points import Sample
from watchglass.exporters.projection import Projection, summed
from watchglass.exporters.workers.totals import Exemplars
from watchglass.meters import Meter
from watchglass.records import Attributes, Collect, State, Values

Key = tuple[Meter, Attributes]

A_REQUEST = 2_000
"""Series in one request: a collector refuses one of more than 4 MB."""

_COUNTING = ("counter", "histogram")


@dataclass(frozen=True, slots=True)
class _Known:
    """A series that was exported: since when it counts, how far it was and, of gains, what the collector has of it."""

    start_ns: int
    level: float
    state: State | None = None


class Samples:
    """Reads the states, each with the time since when it counts. `now` is unix nanoseconds.

    `exemplars` are those of traces that the collector has; each is sent once, and with what was counted at its time.

    A series that left the recorder ends with what it had, and begins anew if it is back; where others that look the
    same outside remain, what it had stays in their sum.
    """

    def __init__(
        self, collect: Collect, now: int, *, delta: bool = False, exemplars: KeptExemplars | None = None
    ) -> None:
        self._collect = collect
        self._exemplars = KeptExemplars() if exemplars is None else exemplars
        self._delta = delta
        self._since = now
        self._lock = threading.Lock()
        self._projection = Projection(lambda meter: meter.exposed)
        self._known: dict[Key, _Known] = {}
        self._left: dict[Key, State] = {}
        self._foreign: Mapping[tuple[Meter, Values], State] = {}

    def retiring(self, retire: Callable[[], Sequence[State]]) -> Callable[[], Sequence[State]]:
        """`retire`, never while states are read, and with what leaves remembered."""

        def retire_and_remember() -> Sequence[State]:
            with self._lock:
                left = retire()
                counting = [state for state in self._own(left) if state.meter.kind in _COUNTING]
                for key, state in self._projection.merge(counting).items():
                    self._left[key] = summed(self._left[key], state) if key in self._left else state
                return left

        return retire_and_remember

    def skip(self, now: int) -> None:
        """Leave out what counted until now: it is somebody else's to send."""
        self._since = now
        self._foreign = {(state.meter, state.values): state for state in self._collect()}

    def take(self, now: int) -> list[list[Sample]]:
        """What there is to send, in requests; `arrived` is to be told of each that the collector took."""
        with self._lock:
            totals = self._projection.merge(self._own(self._collect()))
            ended = self._left.keys() - totals.keys()
            for key, state in self._left.items():
                totals[key] = summed(totals[key], state) if key in totals else state
            made = (self._sample(key, total, now) for key, total in gently(totals.items()))
            marks = self._exemplars.now()
            found = [_marked(sample, marks) for sample in made if sample is not None]
            self._since = now
            unsent = {(sample.meter, sample.attributes) for sample in found} if self._delta else set()
            for key in ended - unsent:
                del self._left[key]
                self._known.pop(key, None)
        return [found[start : start + A_REQUEST] for start in range(0, len(found), A_REQUEST)]

    def arrived(self, samples: Iterable[Sample]) -> None:
        """The collector has these: what comes next is counted from here."""
        for sample in samples:
            key = (sample.meter, sample.attributes)
            self._exemplars.forget(key, sample.exemplars)
            if self._delta:
                self._known[key] = _Known(sample.time_ns, _level(sample.total), sample.total)

    def _own(self, states: Iterable[State]) -> Iterator[State]:
        """The states without what was skipped."""
        for state in states:
            before = self._foreign.get((state.meter, state.values))
            if before is None or state.meter.kind not in _COUNTING:
                yield state
            elif (gained := _gain(state, before)) is not None:
                yield gained

    def _sample(self, key: Key, total: State, now: int) -> Sample | None:
        if not isfinite(total.sum) or (total.buckets is not None and not total.count):
            return None
        known = self._known.get(key)
        if known is None or (key[0].kind in _COUNTING and _level(total) < known.level):
            known = self._known[key] = _Known(self._since, _level(total))  # new, or counting from zero again
        elif not self._delta:
            self._known[key] = _Known(known.start_ns, _level(total))
        if not self._delta or key[0].kind not in _COUNTING:
            return Sample(*key, total, known.start_ns, now, total)
        gained = _gain(total, known.state)
        return None if gained is None else Sample(*key, gained, known.start_ns, now, total)


def _marked(sample: Sample, exemplars: Mapping[Key, Exemplars]) -> Sample:
    """The sample with its exemplars, if there are any."""
    found = exemplars.get((sample.meter, sample.attributes))
    return sample if found is None else replace(sample, exemplars=found)


def _level(state: State) -> float:
    """What only grows."""
    return state.sum if state.buckets is None else state.count


def _gain(state: State, before: State | None) -> State | None:
    return counter_gain(state, before) if state.buckets is None else histogram_gain(state, before)
