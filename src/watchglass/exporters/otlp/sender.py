"""One signal on its way to the collector: a daemon thread with a stock exporter, which may wait as long as it likes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from opentelemetry.instrumentation.utils import suppress_instrumentation

from watchglass import guard
from watchglass.exporters.otlp.destinations import Destination, Signal

Export = Callable[[Any], bool]
"""Sends what the stock exporter takes; whether it arrived."""

_LONGEST_PAUSE = 60.0


class Sender:
    """Runs `turn` at every interval, and once more at the end. `turn` sends what there is by the `Export` it is given.

    It says whether all arrived; where not, the next turn waits longer. `poll` is how often `is_due` is asked for a turn
    before its time.
    """

    def __init__(
        self,
        destination: Destination,
        turn: Callable[[Export], bool],
        *,
        poll: float | None = None,
        is_due: Callable[[], bool] = bool,
    ) -> None:
        self.failures = 0
        """Turns in a row that did not arrive."""
        self.last_sent: float | None = None
        """Unix seconds of the last request that arrived."""
        self._destination = destination
        self._turn = turn
        self._is_due = is_due
        self._poll = min(poll or destination.interval, destination.interval)
        self._ending = threading.Event()
        self._deadline = 0.0
        self._thread = threading.Thread(target=self._run, name=f"watchglass-otlp-{destination.signal}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self, deadline: float) -> None:
        """Begin to end: one more turn, if there is time for it before `deadline` on the monotonic clock."""
        self._deadline = deadline
        self._ending.set()

    def join(self) -> None:
        """Wait until it has ended, or the deadline is over; an exporter that waits then is left behind."""
        self._thread.join(max(0.0, self._deadline - time.monotonic()))

    @property
    def signal(self) -> Signal:
        return self._destination.signal

    @property
    def _may_go_on(self) -> bool:
        """Whether there is time for one more request."""
        return not self._ending.is_set() or time.monotonic() < self._deadline

    def _run(self) -> None:
        with guard.as_own_work(), suppress_instrumentation(), guard.protected("exporters.otlp"):
            exporter = self._destination.open()
            try:
                self._serve(lambda data: self._may_go_on and self._export(exporter, data))
            finally:
                with suppress(Exception):  # nobody is left to care
                    exporter.shutdown()

    def _export(self, exporter: Any, data: Any) -> bool:
        arrived = _export(exporter, data)
        if arrived:
            self.last_sent = time.time()
        return arrived

    def _serve(self, export: Export) -> None:
        ending = False
        while not ending:
            self._wait()
            ending, arrived = self._ending.is_set(), False
            with guard.protected("exporters.otlp"):
                arrived = self._turn(export)
            self.failures = 0 if arrived else self.failures + 1

    def _wait(self) -> None:
        """Until the next turn is due, or the end."""
        pause = self._destination.interval
        if self.failures:
            pause = min(max(pause, 5.0) * 2 ** min(self.failures - 1, 5), max(pause, _LONGEST_PAUSE))
        due = time.monotonic() + pause
        while (left := due - time.monotonic()) > 0 and not self._ending.wait(min(left, self._poll)):
            if not self.failures and self._is_due():
                return


def _export(exporter: Any, data: Any) -> bool:
    """By the name of the result: each signal has an enumeration of its own. Older exporters raise what they meet."""
    try:
        return bool(exporter.export(data).name == "SUCCESS")
    except Exception as error:
        guard.logger.warning("OTLP: %s could not be sent: %s", type(data).__name__, error)
        return False
