"""What `watchglass serve` says of a service: silence by the service's own interval, one question for all who ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg
import httpx
import pytest

from support.databases import execute
from support.past import Process, browser, request
from watchglass.api.app import create_app
from watchglass.api.aside import last_seen
from watchglass.api.context import Context
from watchglass.settings import Settings
from watchglass.store.database import Database
from watchglass.store.reader import Reader

Start = Callable[..., Process]


def beside(database: Database, clock: float, service: str | None = "shop") -> Context:
    """That of a `watchglass serve` whose own interval is the shortest."""
    reader = Reader(database, service=service)
    settings = Settings(service_name="shop", app_database_url=database.dsn, flush_interval=1)
    return Context(settings, reader, aside=True, clock=lambda: clock)


async def lived(one: Process, now: float, flushes: int) -> None:
    for number in range(flushes):
        request(one.recorder, "/a", 0.1)
        await one.flush(now - flushes + number + 1)


async def is_silent(store_url: str, clock: float, service: str | None = "shop") -> bool:
    database = Database(store_url)
    try:
        return (await last_seen(beside(database, clock, service))).silent
    finally:
        await database.close()


@pytest.mark.parametrize(("interval", "patience"), [(5, 20), (60, 130), (300, 610)])
async def test_silence_is_judged_by_the_interval_of_the_service(
    store_url: str, process: Start, now: float, interval: int, patience: int
) -> None:
    await lived(process(now - 10), now, flushes=2)
    execute(
        store_url,
        f"UPDATE watchglass.batches SET written_at = last_seen + interval '{interval} s'"
        " FROM watchglass.instances WHERE id = instance_id",
    )
    seen = now - 10
    assert not await is_silent(store_url, seen + patience - 1)
    assert await is_silent(store_url, seen + patience + 1)


async def test_a_process_that_has_hardly_begun_may_have_the_longest_interval(
    store_url: str, process: Start, now: float
) -> None:
    await lived(process(now - 10), now, flushes=1)
    assert not await is_silent(store_url, now - 10 + 609)
    assert await is_silent(store_url, now - 10 + 611)


async def test_the_newest_process_of_the_service_counts(store_url: str, process: Start, now: float) -> None:
    await lived(process(now - 7200), now - 7000, flushes=2)
    await lived(process(now - 10), now, flushes=1)
    await lived(process(now + 5000, "other"), now + 5010, flushes=1)
    database = Database(store_url)
    assert (await last_seen(beside(database, now))).time == now - 10
    assert (await last_seen(beside(database, now, None))).time == now + 5000
    assert (await last_seen(beside(database, now, "nobody"))).time is None
    await database.close()


async def test_all_who_ask_while_the_store_is_silent_share_one_answer(store_url: str, now: float) -> None:
    asked: list[str] = []
    database = Database(store_url, timed=lambda name, seconds: asked.append(name))

    async def ask() -> list[httpx.Response]:
        async with browser(create_app(beside(database, now)), timeout=60) as client:
            return await asyncio.gather(*(client.get("/health") for _ in range(5)))

    holder = await asyncpg.connect(store_url)
    async with holder.transaction():
        await holder.execute("LOCK TABLE watchglass.instances")
        answers = await ask()
    await holder.close()
    await database.close()
    assert [answer.json()["components"] for answer in answers] == [{"telemetry": "degraded"}] * 5
    assert asked == ["last_seen"]
