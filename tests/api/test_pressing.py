"""What presses in PostgreSQL now: real sessions that wait for a real lock, and connections that are used up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
import pytest_asyncio

from support.locking import APP, SECONDS, asking, requests, session
from support.service import Service
from watchglass.api.context import Context
from watchglass.api.pressing import known
from watchglass.demo.servers import PostgreSQL
from watchglass.settings import Settings
from watchglass.store.migrations import migrate

SUMMARY = "/api/monitoring/advanced/summary"

Answer = dict[str, Any]


@pytest_asyncio.fixture
async def client(shop: str) -> AsyncIterator[httpx.AsyncClient]:
    async with asking(shop) as client:
        yield client


async def pressing(client: httpx.AsyncClient, **query: str) -> Any:
    answer = await client.get(SUMMARY, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["pressing"]


async def until(client: httpx.AsyncClient, holds: Callable[[list[Answer]], Any]) -> list[Answer]:
    """The first answer of which that is true."""
    deadline = time.monotonic() + SECONDS
    while True:
        found = await pressing(client)
        if found is not None and holds(found):
            return list(found)
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.2)


def locks_of(found: list[Answer], seconds: float) -> list[Answer]:
    return [one for one in found if one["what"] == "locks" and one["seconds"] >= seconds]


async def test_nothing_presses_while_nobody_waits(client: httpx.AsyncClient, shop: str) -> None:
    async with session(shop, "BEGIN", "LOCK TABLE orders"):
        assert await pressing(client) == []


async def test_who_waits_is_told_with_the_endpoint_that_holds_the_lock(
    client: httpx.AsyncClient, shop: str, tmp_path: Path
) -> None:
    with Service(shop, tmp_path, app=APP) as service:
        begun = (service, "POST", "/orders/1"), (service, "POST", "/moves/2/1"), (service, "PUT", "/orders/2")
        async with requests(*begun):
            [found] = await until(client, lambda found: "POST /orders" in found[0]["sentence"])
    holder = f"session {found['pid']} has been idle in its transaction for "
    assert found["sentence"].startswith("2 sessions wait for a lock that POST /orders/{order} holds, the longest for ")
    assert holder in found["sentence"] and found["seconds"] >= 1.0


async def test_a_session_that_no_request_holds_is_told_by_its_number_and_its_name(
    client: httpx.AsyncClient, shop: str
) -> None:
    async with session(shop, "BEGIN", "LOCK TABLE orders") as holder, session(shop) as waiter:
        waits = asyncio.create_task(waiter.execute("SELECT count(*) FROM orders"))
        [found] = await until(client, lambda found: locks_of(found, 1.0))
        assert await pressing(client, end="2026-01-31T12:00:00Z", start="2026-01-31T11:00:00Z") == [], "that is past"
        pid = holder.get_server_pid()
        await holder.execute("COMMIT")
        await waits
    assert (found["what"], found["pid"]) == ("locks", pid)
    assert found["sentence"].startswith(f"1 session waits for a lock that session {pid} (psql) holds, for 1.")
    assert "; it has been idle in its transaction for " in found["sentence"]
    assert await until(client, lambda found: not found) == []


async def test_each_lock_that_is_waited_for_is_told_those_first_that_hold_up_the_most(
    client: httpx.AsyncClient, shop: str
) -> None:
    row = "UPDATE orders SET n = 1 WHERE id = {}"
    async with AsyncExitStack() as stack:
        first, second, *waiters = [await stack.enter_async_context(session(shop)) for _ in range(5)]
        for number, holder in enumerate((first, second), 1):
            await holder.execute(f"BEGIN; {row.format(number)}")
        waits = [asyncio.create_task(one.execute(row.format(id))) for one, id in zip(waiters, (1, 2, 2), strict=True)]
        found = await until(client, lambda found: len(locks_of(found, 1.0)) == 2)
        assert [one["pid"] for one in found] == [second.get_server_pid(), first.get_server_pid()]
        for holder in (first, second):
            await holder.execute("COMMIT")
        await asyncio.gather(*waits)


async def test_connections_that_are_almost_used_up_are_told_and_still_when_all_are() -> None:
    async with AsyncExitStack() as stack:
        server = stack.enter_context(PostgreSQL(settings={"max_connections": "20"}))
        await migrate(server.url)
        client = await stack.enter_async_context(asking(server.url))
        assert await pressing(client) == []
        opened = [await stack.enter_async_context(session(server.url)) for _ in range(13)]
        [found] = await until(client, bool)
        assert (found["what"], round(found["share"] * 17) >= 14) == ("connections", True)
        assert found["sentence"].endswith(" of 17 connections that PostgreSQL has for applications are used")
        with pytest.raises(asyncpg.TooManyConnectionsError):
            while len(opened) < 20:
                opened.append(await stack.enter_async_context(session(server.url)))
        [found] = await until(client, lambda found: found and found[0]["sentence"].startswith("All 17 "))
        assert found["share"] == 1.0


async def test_a_database_beside_the_store_that_is_away_is_told(store_url: str, free_port: int) -> None:
    away = urlsplit(store_url)._replace(netloc=f"app:secret@127.0.0.1:{free_port}").geturl()
    async with asking(away, database_url=store_url) as client:
        [found] = await pressing(client)
    assert found["what"] == "away"
    assert found["sentence"].endswith("does not answer: the connection is refused, nothing listens there")
    assert "secret" not in found["sentence"]


async def test_without_a_database_nothing_presses() -> None:
    assert await known(Context(Settings(service_name="shop"))) == []
