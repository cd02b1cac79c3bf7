"""What a server says of itself, into the recorder: absent as soon as it says nothing."""

from __future__ import annotations

from typing import Protocol

from watchglass.instrumentation.recorder import Counter, Gauge
from watchglass.meters import Meter
from watchglass.records import Values


class Recording(Protocol):
    """The part of the recorder that is needed here."""

    def gauge(self, meter: Meter, values: Values = ()) -> Gauge: ...
    def counter(self, meter: Meter, values: Values = ()) -> Counter: ...


class Readings:
    """Gauges as they are read; of a server's own cumulative figures, what came since the last reading."""

    def __init__(self, recorder: Recording) -> None:
        self._recorder = recorder
        self._set: set[tuple[Meter, Values]] = set()
        self._last: dict[tuple[Meter, Values], float] = {}
        self._since: object = None
        self._beside: list[Readings] = []

    def beside(self) -> Readings:
        """Those of a part of the server that begins to count anew at other times; absent and forgotten with these."""
        self._beside.append(Readings(self._recorder))
        return self._beside[-1]

    def gauge(self, meter: Meter, value: float, values: Values = ()) -> None:
        self._set.add((meter, values))
        self._recorder.gauge(meter, values).set(value)

    def counting_since(self, mark: object) -> None:
        """Say what changes when the server begins to count anew, before the totals of a reading."""
        if self._since not in (None, mark):
            self._last = dict.fromkeys(self._last, 0.0)
        self._since = mark

    def total(self, meter: Meter, value: float, values: Values = ()) -> None:
        """Count the increase; the first reading only begins, and a figure that went down began anew."""
        last = self._last.get((meter, values))
        self._last[meter, values] = value
        if last is not None:
            self._recorder.counter(meter, values).add(value - last if value >= last else value)

    def forget(self) -> None:
        """Make the gauges absent, and begin anew: another process may have counted since."""
        self.pause()
        self._last.clear()
        self._since = None
        for other in self._beside:
            other.forget()

    def pause(self) -> None:
        """Make the gauges absent while the server does not answer; what it counts meanwhile is counted later."""
        for meter, values in self._set:
            self._recorder.gauge(meter, values).set(None)
        for other in self._beside:
            other.pause()
