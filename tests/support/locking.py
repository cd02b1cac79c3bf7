"""Processes that lock each other out, and a client of the API that looks on."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import httpx

from support.past import browser, log_in
from support.pipelines import fetch
from support.service import Service
from watchglass.api.app import create_app
from watchglass.api.context import Context
from watchglass.settings import Settings
from watchglass.store.access import Access
from watchglass.store.database import Database
from watchglass.store.reader import Reader

APP = "support.locking_service:app"
NOW = "/api/monitoring/postgres/now"
SECONDS = 60.0

TABLE = (
    "CREATE TABLE orders (id int PRIMARY KEY, n int, note text)",
    "INSERT INTO orders SELECT i, 0, 'note' FROM generate_series(1, 9) i",
)

Answer = dict[str, Any]


@asynccontextmanager
async def asking(dsn: str, role: str = "admin", **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A logged-in client of the API, in another process than the service's; `dsn` is the service's database."""
    made = Settings(service_name="shop", app_database_url=dsn, **settings)
    database = Database(made.store_dsn or "")
    context = Context(made, Reader(database, service="shop"), Access(database))
    async with browser(create_app(context)) as client:
        await log_in(client, context, role)
        client.headers["x-csrf-token"] = (await client.get("/api/monitoring/session")).json()["csrf_token"]
        yield client
    await database.close()


@asynccontextmanager
async def session(dsn: str, *statements: str, name: str = "psql") -> AsyncIterator[Any]:
    """Somebody else's connection, which has run these statements."""
    connection = await asyncpg.connect(dsn, server_settings={"application_name": name})
    try:
        for statement in statements:
            await connection.execute(statement)
        yield connection
    finally:
        connection.terminate()


@asynccontextmanager
async def requests(*wanted: tuple[Service, str, str]) -> AsyncIterator[list[asyncio.Task[httpx.Response]]]:
    """Requests that are under way, each begun a while after the one before it; at the end all are let go."""
    # A new connection for each: one that was kept may be closed by the server just when it is used again.
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=SECONDS, limits=limits) as client:
        tasks = []
        try:
            for service, method, path in wanted:
                tasks.append(asyncio.create_task(client.request(method, service.url + path)))
                await asyncio.sleep(0.5)
            yield tasks
        finally:
            for service in {one[0] for one in wanted}:
                await client.post(service.url + "/control/release")
            await asyncio.wait(tasks, timeout=SECONDS)


async def until(client: httpx.AsyncClient, holds: Callable[[Answer], Any]) -> Answer:
    """The first answer of which that is true."""
    deadline = time.monotonic() + SECONDS
    while True:
        response = await client.get(NOW)
        assert response.status_code == 200, response.text
        answer: Answer = response.json()
        with suppress(IndexError, KeyError):
            if holds(answer):
                return answer
        assert time.monotonic() < deadline, json.dumps(answer, indent=1)
        await asyncio.sleep(0.2)


async def end(client: httpx.AsyncClient, how: str, one: Answer, **body: Any) -> httpx.Response:
    """Have a session ended that an answer has shown."""
    wanted = {"backend_start": one["backend_start"], "confirm": True, **body}
    return await client.post(f"/api/monitoring/postgres/sessions/{one['pid']}/{how}", json=wanted)


def named(sessions: Iterable[Answer], application: str) -> list[Answer]:
    return [one for one in sessions if one["application"] == application]


def audited(dsn: str) -> list[tuple[str, str, str, Answer]]:
    """Who ended what, in order."""
    rows = fetch(dsn, "SELECT * FROM watchglass.audit WHERE action LIKE '% session' ORDER BY time")
    return [(row["actor"], row["action"], row["target"], json.loads(row["detail"])) for row in rows]
