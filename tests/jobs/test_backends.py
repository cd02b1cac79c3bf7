"""The connections that are held are in the store for as long as they are, and those that are not never come there."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from support.pipelines import fetch, process, until
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.backends import Use
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.request import Request
from watchglass.jobs.backends import HeldConnections
from watchglass.settings import Settings
from watchglass.store import activity
from watchglass.store.database import Database


class Routed:
    """A request whose route is found when somebody asks."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def known(self) -> dict[str, Any]:
        self._request.route = "/orders/{order}"
        return {}


class Counting(Pipeline):
    """A pipeline that counts how often its connection was borrowed."""

    borrowed = 0

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[Any]:  # type: ignore[override]
        self.borrowed += 1
        connection = await asyncpg.connect(self.settings.store_dsn)
        try:
            yield connection
        finally:
            await connection.close()


class Held:
    """What a process holds, to be changed by the test."""

    def __init__(self) -> None:
        self.uses: list[Use] = []
        self.looks = 0

    def __call__(self) -> list[Use]:
        self.looks += 1
        return list(self.uses)


class Fleeting(Held):
    """One connection, used for another request at each look."""

    def __call__(self) -> list[Use]:
        self.uses = [Use(11, "shop", 0.0, request())]
        return super().__call__()


def request() -> Request:
    made = Request(
        int.from_bytes(os.urandom(16)), int.from_bytes(os.urandom(8)), None, True, time.perf_counter(), "GET"
    )
    made.path = "/orders/7"
    return made


@pytest.fixture
async def pipeline(store_url: str) -> AsyncIterator[Counting]:
    settings = Settings(app_database_url=store_url)  # type: ignore[arg-type]
    pipeline = Counting(settings, process(7), Recorder().collect)
    pipeline.start()
    await asyncio.to_thread(pipeline.flush_now, 60)
    yield pipeline
    await asyncio.to_thread(pipeline.stop, 5.0)


@asynccontextmanager
async def running(pipeline: Pipeline, held: Held, *requests: Request) -> AsyncIterator[None]:
    job = HeldConnections(pipeline, lambda: {one: Routed(one) for one in requests}, time.perf_counter, held)
    task = asyncio.create_task(job.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def stored(store_url: str) -> list[dict[str, Any]]:
    rows = fetch(store_url, "SELECT *, encode(trace_id, 'hex') AS trace FROM watchglass.backends ORDER BY pid")
    return [dict(row) for row in rows]


async def test_what_is_held_is_noted_with_its_request_until_it_is_given_back(
    pipeline: Counting, store_url: str
) -> None:
    held, one = Held(), request()
    opened = time.perf_counter() - 100
    held.uses = [Use(11, "shop", opened, one), Use(12, "shop", opened, None)]
    async with running(pipeline, held, one):
        await asyncio.to_thread(until, lambda: len(stored(store_url)) == 2)
        first, second = stored(store_url)
        assert (first["endpoint"], first["trace"], first["request_ended"]) == (
            "GET /orders/{order}",
            one.trace_hex,
            False,
        )
        assert 95 < (first["seen_at"] - first["connected_at"]).total_seconds() < 160
        assert (second["endpoint"], second["trace"], second["request_ended"]) == (None, None, False)
        one.closed = True
        await asyncio.to_thread(until, lambda: stored(store_url)[0]["request_ended"])
        held.uses = held.uses[1:]
        await asyncio.to_thread(until, lambda: [row["pid"] for row in stored(store_url)] == [12])
    assert stored(store_url) == []


async def test_what_goes_on_being_held_is_noted_again_and_no_sooner(pipeline: Counting, store_url: str) -> None:
    """Each time leaves a dead row behind, and one that comes and goes is no reason to write of the others."""
    held, one = Held(), request()
    stays = Use(11, "shop", 0.0, one)
    held.uses = [stays]
    async with running(pipeline, held, one):
        await asyncio.to_thread(until, lambda: len(stored(store_url)) == 1)
        [first] = stored(store_url)
        held.uses = [stays, Use(12, "shop", 0.0, request())]
        await asyncio.to_thread(until, lambda: len(stored(store_url)) == 2)
        second, other = stored(store_url)
        late = (other["seen_at"] - first["seen_at"]).total_seconds() >= 4
        assert late or second["seen_at"] == first["seen_at"]
        await asyncio.to_thread(until, lambda: stored(store_url)[0]["seen_at"] > first["seen_at"])


async def test_what_is_not_held_from_one_look_to_the_next_is_not_noted(pipeline: Counting, store_url: str) -> None:
    held = Fleeting()
    async with running(pipeline, held):
        await asyncio.to_thread(until, lambda: held.looks > 5)
        assert stored(store_url) == []
        assert pipeline.borrowed <= 1  # in the beginning, to clear away what an earlier life left


async def test_what_a_process_said_long_ago_is_not_believed(pipeline: Counting, store_url: str) -> None:
    held, database = Held(), Database(store_url)
    held.uses = [Use(11, "shop", 0.0, request())]
    async with running(pipeline, held):
        await asyncio.to_thread(until, lambda: len(stored(store_url)) == 1)
        assert [row["pid"] for row in await activity.held(database, ["other", "shop"])] == [11]
        assert await activity.held(database, ["other"]) == []
    await database.fetch(
        "INSERT INTO watchglass.backends SELECT id, 12, 'shop', now(), NULL, NULL, NULL, false, now() - interval '20 s'"
        " FROM watchglass.instances",
        readonly=False,
    )
    assert await activity.held(database, ["shop"]) == []
    await database.close()


async def test_one_number_twice_in_a_process_is_one_row(pipeline: Counting, store_url: str) -> None:
    """Of two servers, for example, with a database of the same name."""
    held = Held()
    held.uses = [Use(11, "shop", 5.0, request()), Use(11, "shop", 9.0, None), Use(11, "other", 9.0, None)]
    async with running(pipeline, held):
        await asyncio.to_thread(until, lambda: len(stored(store_url)) == 2)
