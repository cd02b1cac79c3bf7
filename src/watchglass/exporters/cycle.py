"""When to flush, what to do when it fails, and how to end: the coroutine that the pipeline's thread runs."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Literal

from watchglass import guard, termination
from watchglass.errors import DatabaseUnavailable, WatchglassError
from watchglass.exporters.flushing import Flusher
from watchglass.settings import Settings

Job = Callable[[], Coroutine[Any, Any, None]]
State = Literal["starting", "ok", "unavailable", "forbidden", "off"]

_LONGEST_PAUSE = 10.0
_JOB_PAUSE = 10.0
_CLOSING_SECONDS = 0.3


class Cycle:
    """Metrics taken at every flush interval of the clock, whether or not the store is there; records as they come.

    After a failure it is tried again after a growing, uneven pause. Once the process is told to end, metrics come with
    the records: nobody knows how long it still has, or whether its server says when it ends.
    """

    def __init__(
        self, flusher: Flusher, settings: Settings, jobs: Iterable[Job], clock: Callable[[], float] = time.time
    ) -> None:
        self.state: State = "starting"
        self.message = "The first connection to the store is being made."
        self._flusher = flusher
        self._settings = settings
        self._offset = random.uniform(0.05, min(1.0, 0.1 * settings.flush_interval))
        self._failures = 0
        self._clock = clock
        self._turn = asyncio.Lock()
        self._woken = asyncio.Event()
        self._deadline: float | None = None
        self._told_to_end = False
        self._loop: asyncio.AbstractEventLoop
        self._flushes: asyncio.Task[None]
        self._ticks: asyncio.Task[None]
        self._jobs: set[asyncio.Task[None]] = set()
        self._factories = list(jobs)

    async def run(self) -> None:
        """Flush until told to end, then once more, within the time that is left."""
        self._loop = asyncio.get_running_loop()
        termination.tell(self.told_to_end)
        for job in self._factories:
            self.add(job)
        self._flushes = asyncio.create_task(self._flush_until_ended())
        self._ticks = asyncio.create_task(self._take_at_every_interval())
        await asyncio.wait({self._flushes, self._ticks}, return_when=asyncio.FIRST_COMPLETED)
        await self._end_jobs()
        if self._deadline is None:
            return self._fail()
        self._ticks.cancel()
        self._flusher.take()
        with suppress(WatchglassError, TimeoutError):
            async with asyncio.timeout(self._left):
                await self.flush(metrics=False)
        self._flusher.leave()
        await self._flusher.writer.close()

    async def flush(self, *, metrics: bool) -> None:
        """Flush now, after a flush that is under way. Raises what stands in the way."""
        with guard.as_own_work():
            async with self._turn:
                try:
                    await self._flusher.flush(metrics=metrics)
                except WatchglassError as error:
                    self.state = "unavailable" if isinstance(error, DatabaseUnavailable) else "forbidden"
                    self.message = str(error)
                    raise
                self.state, self.message = "ok", "Telemetry is being stored."

    def end(self, deadline: float) -> None:
        """Begin to end, and be done by `deadline` on the monotonic clock."""
        if self._deadline is None:
            self._deadline = deadline
            if self._flusher.lagging:
                self._flusher.leave()  # first, because there may be no time left after one more attempt
            asyncio.get_running_loop().call_later(self._left, self._give_up)
            self._woken.set()

    def told_to_end(self) -> None:
        """Store what there is, now and from now on. In a signal's handler, so that nothing is waited for."""
        self._told_to_end = True
        with suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._woken.set)

    def add(self, job: Job) -> None:
        """Run a job beside the flushes, again after a pause when it fails."""
        self._jobs.add(asyncio.create_task(self._supervise(job)))

    def _give_up(self) -> None:
        self._flusher.writer.terminate()
        self._flushes.cancel()

    def _fail(self) -> None:
        """Raise what ended a task that was not told to end: in tests alone, where nothing is swallowed."""
        for task in (self._flushes, self._ticks):
            if task.done():
                task.result()
            task.cancel()

    @property
    def _left(self) -> float:
        """Seconds that the last flush may take."""
        return max(0.0, (self._deadline or 0.0) - time.monotonic() - _CLOSING_SECONDS)

    def _until_due(self) -> float:
        """Seconds until the clock's next interval has begun; never none, and never much more than one interval."""
        interval = self._settings.flush_interval
        return interval - self._clock() % interval + self._offset

    async def _take_at_every_interval(self) -> None:
        """A wall clock that jumps moves the next time by at most an interval: waiting is by the monotonic one."""
        while True:
            await asyncio.sleep(self._until_due())
            self._take()

    def _take(self) -> None:
        try:
            with guard.as_own_work():
                self._flusher.take()
        except Exception:
            guard.caught("exporters.cycle")

    async def _flush_until_ended(self) -> None:
        pause = 0.0 if await self._attempt() else self._pause()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), pause)
            if self._deadline is not None:
                return
            self._woken.clear()
            if self._told_to_end:
                self._take()
            flushed = not self._flusher.waiting or await self._attempt()
            pause = self._settings.records_interval if flushed else self._pause()

    async def _attempt(self) -> bool:
        try:
            await self.flush(metrics=False)
        except WatchglassError:
            self._failures += 1
            return False
        except Exception:
            guard.caught("exporters.cycle")
            self._failures += 1
            return False
        self._failures = 0
        return True

    def _pause(self) -> float:
        return min(_LONGEST_PAUSE, 0.5 * 2.0 ** min(self._failures, 10)) * random.uniform(0.5, 1.0)

    async def _supervise(self, job: Job) -> None:
        with guard.as_own_work():
            while True:
                try:
                    return await job()
                except WatchglassError:
                    pass  # the status of the pipeline says it
                except Exception:
                    guard.caught("exporters.job")
                await asyncio.sleep(_JOB_PAUSE)

    async def _end_jobs(self) -> None:
        for job in self._jobs:
            job.cancel()
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=min(1.0, self._left / 2))
