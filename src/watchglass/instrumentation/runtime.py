"""The process and its machine: event-loop lag as it happens, everything else when the meters are read.

What is read from the operating system is read in the thread that collects, never on the service's event loop.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Callable
from typing import Final

import psutil

from watchglass import guard
from watchglass.instrumentation.lag import MeanLag
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.watchdog import Watchdog
from watchglass.meters import (
    EVENT_LOOP_BLOCKED,
    EVENT_LOOP_LAG,
    GC_COLLECTIONS,
    PROCESS_CPU_UTILIZATION,
    PROCESS_MEMORY_USAGE,
    PROCESS_OPEN_FILES,
    PROCESS_THREADS,
    SYSTEM_CPU_UTILIZATION,
    SYSTEM_FILESYSTEM_LIMIT,
    SYSTEM_FILESYSTEM_UTILIZATION,
    SYSTEM_MEMORY_LIMIT,
    SYSTEM_MEMORY_UTILIZATION,
)
from watchglass.records import LogRecord

TICK: Final = 0.1
"""Seconds between two looks at an event loop."""

BLOCKED: Final = 0.2
"""Seconds for which a callback may hold an event loop without being reported, unless a setting says otherwise."""

FRESH: Final = 1.0
"""Seconds for which a reading is good enough: CPU time over less says nothing."""


class RuntimeInstrumentor:
    """Measures the process: `instrument(recorder=...)`, `uninstrument()`; each loop that serves is watched by name.

    `lag` is the mean lag of those loops. With `offer_log`, what holds one for `blocked_seconds` is reported there.
    """

    def __init__(self) -> None:
        self.lag = MeanLag()
        self._recorder: Recorder | None = None
        self._readings: Readings | None = None
        self._watches: dict[asyncio.AbstractEventLoop, LoopWatch] = {}
        self._watchdog: Watchdog | None = None
        self._blocked_seconds = BLOCKED

    def instrument(
        self,
        *,
        recorder: Recorder,
        offer_log: Callable[[LogRecord], None] | None = None,
        blocked_seconds: float = BLOCKED,
    ) -> None:
        """Have the process read whenever `recorder` is collected."""
        self._recorder, self._readings = recorder, Readings(recorder)
        self._blocked_seconds = blocked_seconds
        self._watchdog = Watchdog(blocked_seconds, offer_log) if offer_log else None
        recorder.before_collect(self._readings.take)

    def uninstrument(self) -> None:
        """Read nothing more; loops that are still watched are let go as soon as they tick."""
        if self._readings is not None:
            self._readings.active = False
        for watch in self._watches.values():
            watch.active = False
            self._let_go(watch)
        self._watches.clear()
        self._recorder = self._readings = None

    def watch_loop(self) -> None:
        """Measure the lag of the running event loop, from now on."""
        loop = asyncio.get_running_loop()
        if self._recorder is not None and loop not in self._watches:
            self._watches[loop] = watch = LoopWatch(loop, self._late)
            if self._watchdog is not None:
                self._watchdog.watch(watch)

    def leave_loop(self) -> None:
        """Measure the running event loop no longer."""
        watch = self._watches.pop(asyncio.get_running_loop(), None)
        if watch is not None:
            watch.stop()
            self._let_go(watch)

    def _let_go(self, watch: LoopWatch) -> None:
        if self._watchdog is not None:
            self._watchdog.leave(watch)

    def _late(self, seconds: float) -> None:
        recorder = self._recorder
        if recorder is not None:
            recorder.histogram(EVENT_LOOP_LAG).record(seconds)
            self.lag.looked(seconds, TICK)
            if seconds >= self._blocked_seconds:
                recorder.counter(EVENT_LOOP_BLOCKED).add()


class LoopWatch:
    """A timer on a loop, `expected` to run next, whose lateness is the loop's lag; `thread` is the one that runs it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, record: Callable[[float], None]) -> None:
        self.active = True
        self._loop = loop
        self._record = record
        self.thread = threading.get_ident()
        self._timer = self._next()

    def stop(self) -> None:
        """On the loop: end it."""
        self.active = False
        self._timer.cancel()

    def _next(self) -> asyncio.TimerHandle:
        self.expected = time.perf_counter() + TICK
        return self._loop.call_later(TICK, self._tick)

    def _tick(self) -> None:
        if self.active:
            with guard.protected("runtime"):
                self._record(max(0.0, time.perf_counter() - self.expected))
            self._timer = self._next()


class Readings:
    """What the operating system and the interpreter say, at most once a second however many collect."""

    def __init__(self, recorder: Recorder) -> None:
        self.active = True
        self._recorder = recorder
        self._lock = threading.Lock()
        self._process = psutil.Process()
        self._taken = 0.0
        self._busy = self._cpu_times()

    def take(self) -> None:
        """Set the gauges."""
        if not self.active or not self._lock.acquire(blocking=False):
            return
        try:
            if time.monotonic() - self._taken >= FRESH:
                with guard.protected("runtime"):
                    self._take()
                self._taken = time.monotonic()
        finally:
            self._lock.release()

    def _take(self) -> None:
        if self._process.pid != os.getpid():
            self._process, self._busy = psutil.Process(), self._cpu_times()
        self._take_cpu()
        self._take_process()
        self._take_machine()
        for generation, stats in enumerate(gc.get_stats()):
            self._recorder.counter(GC_COLLECTIONS, (str(generation),)).value = stats["collections"]

    def _take_cpu(self) -> None:
        """Utilization since the last reading, of all CPUs: 1 is every CPU busy."""
        before, now = self._busy, self._cpu_times()
        elapsed = now[0] - before[0]
        if elapsed < FRESH / 2:
            return
        self._busy = now
        cpus = psutil.cpu_count() or 1
        self._recorder.gauge(PROCESS_CPU_UTILIZATION).set((now[1] - before[1]) / elapsed / cpus)
        total = now[2] - before[2]
        if total > 0:
            self._recorder.gauge(SYSTEM_CPU_UTILIZATION).set(min(1.0, max(0.0, 1 - (now[3] - before[3]) / total)))

    @staticmethod
    def _cpu_times() -> tuple[float, float, float, float]:
        """Now, CPU seconds of this process, and of the machine: all, and idle."""
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        counted_twice = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
        return time.monotonic(), time.process_time(), sum(times) - counted_twice, idle

    def _take_process(self) -> None:
        with self._process.oneshot():
            self._recorder.gauge(PROCESS_MEMORY_USAGE).set(self._process.memory_info().rss)
            self._recorder.gauge(PROCESS_THREADS).set(self._process.num_threads())
            if hasattr(self._process, "num_fds"):  # not on Windows
                self._recorder.gauge(PROCESS_OPEN_FILES).set(self._process.num_fds())

    def _take_machine(self) -> None:
        memory = psutil.virtual_memory()
        self._recorder.gauge(SYSTEM_MEMORY_UTILIZATION).set(1 - memory.available / memory.total)
        self._recorder.gauge(SYSTEM_MEMORY_LIMIT).set(memory.total)
        mountpoint = _mountpoint(os.getcwd())
        disk = psutil.disk_usage(mountpoint)
        self._recorder.gauge(SYSTEM_FILESYSTEM_UTILIZATION, (mountpoint,)).set(disk.percent / 100)
        self._recorder.gauge(SYSTEM_FILESYSTEM_LIMIT, (mountpoint,)).set(disk.total)


def _mountpoint(path: str) -> str:
    while not os.path.ismount(path):
        path = os.path.dirname(path)
    return path
