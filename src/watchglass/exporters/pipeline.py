"""The way out of the process: bounded queues, and a daemon thread with an event loop of its own that empties them.

The service never waits for it. What it offers goes into queues, what it measured stays in the recorder until the store
has it, and nothing starts before `start`.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4
from weakref import WeakSet

from watchglass import guard
from watchglass.errors import DatabaseNotConfigured
from watchglass.exporters import cycle
from watchglass.exporters.backlog import Backlog
from watchglass.exporters.cycle import Cycle, Job
from watchglass.exporters.flushing import Flusher
from watchglass.exporters.metrics import MetricDeltas
from watchglass.exporters.own import OwnMeters
from watchglass.exporters.replay import Replay
from watchglass.exporters.spool import Spool
from watchglass.exporters.status import PipelineStatus
from watchglass.exporters.waiting import Errors, Waiting
from watchglass.meters import (
    WATCHGLASS_BACKLOG,
    WATCHGLASS_BACKLOG_USAGE,
    WATCHGLASS_SERIES,
    WATCHGLASS_SERIES_OVERFLOWED,
    WATCHGLASS_SPOOL_SET_ASIDE,
    WATCHGLASS_SPOOL_USAGE,
)
from watchglass.records import Batch, Collect, Incident, Instance, LogRecord, State, Trace
from watchglass.settings import Settings
from watchglass.store.forks import abandon
from watchglass.store.writer import Writer

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

OpenWriter = Callable[[Instance], Writer]


class Pipeline:
    """Exports one process. In a forked child it is a fresh one, with an instance id of its own, not started.

    `retire` lets go of series that are not used any more and `overflowed` counts those that found no room; both are the
    recorder's. `take_errors` takes what errors there were, `stored` is told what of each batch is in the store. `clock`
    gives unix seconds.
    """

    def __init__(
        self,
        settings: Settings,
        instance: Instance,
        collect: Collect,
        open_writer: OpenWriter | None = None,
        *,
        retire: Callable[[], Sequence[State]] = tuple,
        overflowed: Callable[[], int] = int,
        take_errors: Errors = tuple,
        stored: Callable[[Batch], None] = lambda batch: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.instance = instance
        self._collect_measured = collect
        self._retire = retire
        self._overflowed = overflowed
        self._take_errors, self._stored = take_errors, stored
        self._clock = clock
        self._open_writer = open_writer or self._default_writer
        self._jobs: list[Job] = []
        self._fresh()
        _all.add(self)

    def _fresh(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cycle: Cycle | None = None
        self._flusher: Flusher | None = None
        self._forked = False
        self._own = OwnMeters()
        self._waiting = Waiting(self.settings.queue_size, self._take_errors)
        self._backlog = Backlog(self.settings.queue_size)
        self._spool = Spool(self.settings, self.instance)
        self._replay = Replay(self.settings, self._open_writer, self._own)
        self._deltas = MetricDeltas(self.collect, self._clock(), self._retire)

    def offer_log(self, record: LogRecord) -> None:
        """Have the line stored with one of the next flushes. Any thread; never waits."""
        self._waiting.logs.put(record)

    def offer_trace(self, trace: Trace) -> None:
        """Have the trace stored with one of the next flushes. Any thread; never waits."""
        self._waiting.traces.put(trace)

    def offer_incident(self, incident: Incident) -> None:
        """Have the incident stored with one of the next flushes. Any thread; never waits."""
        self._waiting.incidents.put(incident)

    def collect(self) -> list[State]:
        """What the recorder measured, and what the pipeline tells of itself."""
        states = list(self._collect_measured())
        figures = {
            WATCHGLASS_SERIES: len(states),
            WATCHGLASS_SERIES_OVERFLOWED: self._overflowed(),
            WATCHGLASS_BACKLOG: self._backlog.size,
            WATCHGLASS_BACKLOG_USAGE: sum(self._backlog.weights.values()),
            WATCHGLASS_SPOOL_USAGE: self._spool.size,
            WATCHGLASS_SPOOL_SET_ASIDE: self._replay.set_aside,
        }
        return states + self._own.states(figures, self._queued(), self._overran())

    @property
    def status(self) -> PipelineStatus:
        """How things are now. Any thread."""
        state, message = self._state()
        dropped = {**self._overran(), "metrics": 0}
        for (signal, _), number in list(self._own.dropped.items()):
            dropped[signal] = dropped.get(signal, 0) + number
        return PipelineStatus(
            state,
            message,
            self._flusher.last_flush if self._flusher else None,
            self._queued(),
            dropped,
            self._own.clamped,
            backlog=self._backlog.size,
            backlog_bytes=sum(self._backlog.weights.values()),
            spooled_bytes=self._spool.size,
            spool_problem=self._spool.problem,
            set_aside=self._replay.set_aside,
            overflowed=self._overflowed(),
        )

    def _queued(self) -> dict[str, int]:
        """Records that wait, in the queue or in a batch."""
        counts = self._backlog.counts
        queues = self._waiting
        return {"logs": len(queues.logs) + counts["logs"], "traces": len(queues.traces) + counts["traces"]}

    def _overran(self) -> dict[str, int]:
        """Records that found no room while they waited."""
        found = Counter(self._waiting.dropped) + self._backlog.dropped
        return {"logs": 0, "traces": 0, **found}

    def _state(self) -> tuple[cycle.State, str]:
        if not self.settings.store_dsn:
            return "off", str(DatabaseNotConfigured())
        if self._cycle is None:
            return "starting", "Telemetry is stored once the process serves."
        return self._cycle.state, self._cycle.message

    def run_on_loop(self, job: Job) -> None:
        """Run a coroutine function on the pipeline's loop from its start on, and again whenever it fails."""
        self._jobs.append(job)
        if self._loop and self._cycle:
            self._loop.call_soon_threadsafe(self._cycle.add, job)

    def borrow(self) -> AbstractAsyncContextManager[Connection]:
        """The writer's connection for a short transaction; on the pipeline's loop only."""
        if self._flusher is None:
            raise DatabaseNotConfigured
        return self._flusher.writer.borrow()

    def start(self) -> None:
        """Begin to export; more than once is once. Without a database nothing starts, and `status` says so."""
        with self._lock:
            if self._thread is not None or not self.settings.store_dsn:
                return
            if self._forked:
                self._forked = False
                self._deltas.skip(self._clock())
                self._take_errors()
            if self._flusher is None:
                writer = self._open_writer(self.instance)
                out = self._own, self._backlog, self._spool, self._clock, self._stored
                self._flusher = Flusher(writer, self._deltas, self._waiting, *out)
            ready = threading.Event()
            self._thread = threading.Thread(target=self._main, args=(ready,), name="watchglass-export", daemon=True)
            self._thread.start()
            ready.wait(5.0)

    def stop(self, timeout: float | None = None) -> None:
        """Flush once more and end, within `timeout` seconds (default: the setting). From any thread but its own."""
        with self._lock:
            thread, loop, running = self._thread, self._loop, self._cycle
            if thread is None or loop is None or running is None:
                return
            seconds = self.settings.shutdown_timeout if timeout is None else timeout
            with suppress(RuntimeError):  # its loop is closed already
                loop.call_soon_threadsafe(running.end, time.monotonic() + seconds)
            thread.join(seconds)
            self._thread = self._loop = None

    def flush_now(self, timeout: float = 10.0) -> None:
        """Have everything recorded and offered so far in the store when this returns. Raises what stands in the way."""
        if self._loop is None or self._cycle is None:
            raise DatabaseNotConfigured
        asyncio.run_coroutine_threadsafe(self._cycle.flush(metrics=True), self._loop).result(timeout)

    def _default_writer(self, instance: Instance) -> Writer:
        return Writer(self.settings.store_dsn or "", instance, migrate=self.settings.migrations)

    def _main(self, ready: threading.Event) -> None:
        with guard.as_own_work(), asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            runner.run(self._run(ready))

    async def _run(self, ready: threading.Event) -> None:
        assert self._flusher is not None
        cycle = self._cycle = Cycle(self._flusher, self.settings, self._jobs, self._clock)
        cycle.add(lambda: self._replay.run(lambda: cycle.state == "ok"))
        ready.set()
        await self._cycle.run()

    def after_fork(self) -> None:
        """In the child: nothing of the parent's is used, closed or written again."""
        abandon((self._lock, self._thread, self._loop, self._cycle, self._flusher, self._waiting))
        if self._flusher is not None:
            self._flusher.writer.abandon()
        self._spool.abandon()
        self.instance = replace(self.instance, instance_id=str(uuid4()), pid=os.getpid(), started_at=self._clock())
        self._fresh()
        self._forked = True


_all: WeakSet[Pipeline] = WeakSet()


def _after_fork_in_child() -> None:
    for pipeline in list(_all):
        with guard.protected("exporters.fork"):
            pipeline.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
