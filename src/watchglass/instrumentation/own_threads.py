"""What Watchglass's own threads cost in CPU time: those that export, that serve the page, that answer other workers."""

from __future__ import annotations

import threading

import psutil

from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import WATCHGLASS_CPU_TIME

PREFIX = "watchglass-"
"""How the threads are named: watchglass-export, watchglass-serve, watchglass-workers."""


class OwnThreads:
    """Reads their CPU time whenever `recorder` is collected; where the system does not tell it, nothing is recorded."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._lock = threading.Lock()
        self._used: dict[int, float] = {}
        recorder.before_collect(self.take)

    def take(self) -> None:
        """Add what each thread used since the last time. Whoever comes while another reads goes on without."""
        names = {one.native_id: one.name for one in threading.enumerate() if one.name.startswith(PREFIX)}
        if not names or not self._lock.acquire(blocking=False):
            return
        try:
            now = {one.id: one.user_time + one.system_time for one in psutil.Process().threads() if one.id in names}
        except psutil.Error:
            return
        else:
            self._add(now, names)
        finally:
            self._lock.release()

    def _add(self, now: dict[int, float], names: dict[int | None, str]) -> None:
        for thread, used in now.items():
            before = self._used.get(thread, 0.0)
            gain = used - before if used >= before else used  # another thread has its number now
            self._recorder.counter(WATCHGLASS_CPU_TIME, (names[thread].removeprefix(PREFIX),)).add(gain)
        self._used = now
