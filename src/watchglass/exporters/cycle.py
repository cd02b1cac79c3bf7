"""When to flush, what to do when it fails, and how to end: the coroutine that the pipeline's thread runs."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Literal

from watchglass import guard
from watchglass.errors import DatabaseUnavailable, WatchglassError
from watchglass.exporters.flushing import Flusher
from watchglass.settings import Settings

Job = Callable[[], Coroutine[Any, Any, None]]
State = Literal["starting", "ok", "unavailable", "forbidden", "off"]

_LONGEST_PAUSE = 10.0
_JOB_PAUSE = 10.0
_CLOSING_SECONDS = 0.3


class Cycle:
    """Metrics at every flush interval of the clock, records as they come; after a failure a growing, uneven pause."""

    def __init__(self, flusher: Flusher, settings: Settings, jobs: Iterable[Job]) -> None:
        self.state: State = "starting"
        self.message = "The first connection to the store is being made."
        self._flusher = flusher
        self._settings = settings
        self._offset = random.uniform(0.05, min(1.0, 0.1 * settings.flush_interval))
        self._failures = 0
        self._due = time.monotonic() + self._until_due()
        self._turn = asyncio.Lock()
        self._woken = asyncio.Event()
        self._deadline: float | None = None
        self._flushes: asyncio.Task[None]
        self._jobs: set[asyncio.Task[None]] = set()
        self._factories = list(jobs)

    async def run(self) -> None:
        """Flush until told to end, then once more, within the time that is left."""
        for job in self._factories:
            self.add(job)
        self._flushes = asyncio.create_task(self._flush_until_ended())
        await asyncio.wait({self._flushes})
        await self._end_jobs()
        if self._deadline is None:
            return self._flushes.result()
        with suppress(WatchglassError, TimeoutError):
            async with asyncio.timeout(self._left):
                await self.flush(metrics=True)
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
            asyncio.get_running_loop().call_later(self._left, self._give_up)
            self._woken.set()

    def add(self, job: Job) -> None:
        """Run a job beside the flushes, again after a pause when it fails."""
        self._jobs.add(asyncio.create_task(self._supervise(job)))

    def _give_up(self) -> None:
        self._flusher.writer.terminate()
        self._flushes.cancel()

    @property
    def _left(self) -> float:
        """Seconds that the last flush may take."""
        return max(0.0, (self._deadline or 0.0) - time.monotonic() - _CLOSING_SECONDS)

    def _until_due(self) -> float:
        interval = self._settings.flush_interval
        return interval - time.time() % interval + self._offset

    async def _flush_until_ended(self) -> None:
        pause = 0.0 if await self._attempt(metrics=False) else self._pause()
        while not self._woken.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), pause)
                return
            metrics = time.monotonic() >= self._due
            flushed = not (metrics or self._flusher.waiting) or await self._attempt(metrics)
            pause = self._settings.records_interval if flushed else self._pause()

    async def _attempt(self, metrics: bool) -> bool:
        try:
            await self.flush(metrics=metrics)
        except WatchglassError:
            self._failures += 1
            return False
        except Exception:
            guard.caught("exporters.cycle")
            self._failures += 1
            return False
        self._failures = 0
        if metrics:
            self._due = time.monotonic() + self._until_due()
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
