"""Exemplars: of each bucket of a histogram the newest measurement whose trace is where the exemplar is read.

They are taken from traces after the store has confirmed them, so that none points to one that was dropped on its way;
without a store there are none. A collector gets those of the traces that it has taken itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from watchglass.exporters.workers.totals import Exemplar, Exemplars, Key, edge_above, key_of
from watchglass.meters import DB_CLIENT_OPERATION_DURATION, HTTP_SERVER_REQUEST_DURATION, Meter
from watchglass.records import Batch, SpanRecord, Trace, Values

OLDEST: Final = 3600.0
"""Seconds after which one is shown no more: long before its trace expires, and Prometheus has it by then."""

MOST: Final = 5_000
"""Series with exemplars; those which had one longest ago leave."""

_SYSTEM = "db.system.name"


class KeptExemplars:
    """Of one process; `clock` gives unix seconds.

    `stored` and `keep` in one thread, `now` in any; where `forget` is used, both in one.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._kept: dict[Key, Exemplars] = {}

    def stored(self, batch: Batch) -> None:
        """Take note of the traces of a batch that is in the store."""
        self.keep(batch.traces)

    def keep(self, traces: Iterable[Trace]) -> None:
        """Take note of traces that have arrived."""
        for trace in traces:
            for meter, values, exemplar in _measurements(trace):
                key = key_of(meter, values)
                of_series = self._kept.pop(key, {})
                self._kept[key] = {**of_series, edge_above(meter.unit, exemplar.value): exemplar}
        while len(self._kept) > MOST:
            del self._kept[next(iter(self._kept))]

    def now(self) -> dict[Key, Exemplars]:
        """Those that are not too old, by series."""
        since = self._clock() - OLDEST
        found = {
            key: {edge: one for edge, one in of_series.items() if one.time >= since}
            for key, of_series in self._kept.copy().items()
        }
        return {key: of_series for key, of_series in found.items() if of_series}

    def forget(self, key: Key, shown: Exemplars) -> None:
        """Let go of those of a series that were shown once and for all; newer ones stay."""
        kept = self._kept.get(key, {})
        for edge, one in shown.items():
            if kept.get(edge) is one:
                del kept[edge]


def _measurements(trace: Trace) -> Iterator[tuple[Meter, Values, Exemplar]]:
    """What was measured of a trace: its request's duration, and that of each operation of a database client."""
    if trace.measured is not None:
        values = _values(HTTP_SERVER_REQUEST_DURATION, trace.root)
        yield HTTP_SERVER_REQUEST_DURATION, values, _exemplar(trace.root, trace.measured)
    for span in trace.spans:
        if span is not trace.root and _SYSTEM in span.attributes:
            seconds = max(0, span.end_ns - span.start_ns) / 1e9
            yield DB_CLIENT_OPERATION_DURATION, _values(DB_CLIENT_OPERATION_DURATION, span), _exemplar(span, seconds)


def _values(meter: Meter, span: SpanRecord) -> Values:
    found = {**span.attributes, "error.type": span.error}
    return tuple(None if (value := found.get(name)) is None else str(value) for name in meter.attributes)


def _exemplar(span: SpanRecord, seconds: float) -> Exemplar:
    return Exemplar(seconds, span.end_ns / 1e9, f"{span.trace_id:032x}", f"{span.span_id:016x}")
