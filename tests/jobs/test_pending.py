"""What runs is in the store for as long as it does, also when the store was away in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg

from support.pipelines import fetch, process, until
from watchglass.errors import DatabaseUnavailable
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.request import Request
from watchglass.jobs.pending import PendingRequests
from watchglass.settings import Settings


class Unknown:
    def known(self) -> dict[str, Any]:
        return {}


class Away(Pipeline):
    """A pipeline whose store is away whenever the test says so."""

    away = False
    asked_in_vain = 0

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[Any]:  # type: ignore[override]
        if self.away:
            self.asked_in_vain += 1
            raise DatabaseUnavailable(address="127.0.0.1", reason="it is away")
        connection = await asyncpg.connect(self.settings.store_dsn)
        try:
            yield connection
        finally:
            await connection.close()


async def supervised(job: PendingRequests) -> None:
    while True:
        with suppress(DatabaseUnavailable):
            await job.run()


def noted(store_url: str) -> int:
    return len(fetch(store_url, "SELECT FROM watchglass.pending"))


async def test_what_ended_while_the_store_was_away_is_not_taken_for_what_never_ended(store_url: str) -> None:
    settings, recorder = Settings(app_database_url=store_url), Recorder()  # type: ignore[arg-type]
    pipeline = Away(settings, process(), recorder.collect)
    pipeline.start()
    await asyncio.to_thread(pipeline.flush_now, 60)
    open_requests = {Request(1, 2, None, True, time.perf_counter() - 5, "GET"): Unknown()}
    job = asyncio.create_task(supervised(PendingRequests(pipeline, open_requests.copy, recorder.clock)))
    try:
        await asyncio.to_thread(until, lambda: noted(store_url) == 1)
        pipeline.away = True
        open_requests.clear()
        await asyncio.to_thread(until, lambda: pipeline.asked_in_vain > 0)
        pipeline.away = False
        await asyncio.to_thread(until, lambda: noted(store_url) == 0)
    finally:
        job.cancel()
        await asyncio.wait([job])
        await asyncio.to_thread(pipeline.stop, 5.0)
