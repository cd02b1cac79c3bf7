"""A real service that is observed, with an hour of history, and somebody who looks at its page in Chromium."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from playwright.async_api import Page
from pydantic import BaseModel

import watchglass
from support.databases import execute
from support.locking import APP, TABLE
from support.past import Process, request
from support.service import Service
from watchglass import meters
from watchglass.instrumentation.recorder import Recorder
from watchglass.settings import Settings
from watchglass.store.access import Access
from watchglass.wiring import unobserve

PAGE = "/ui/monitoring/advanced"


@dataclass(slots=True)
class Shop:
    """The service: its address, and the store it writes to."""

    url: str
    store_url: str

    async def link(self, wanted: str = "") -> str:
        """A one-time login link."""
        access = Access(self.store_url)
        token = await access.new_login_token()
        await access.close()
        query = httpx.QueryParams({"token": token, **({"next": wanted} if wanted else {})})
        return f"{self.url}/ui/monitoring/login?{query}"

    async def says(self, *lines: dict[str, Any] | str) -> str:
        """Log lines within one request; returns its trace id."""
        body = [{"message": line} if isinstance(line, str) else line for line in lines]
        async with httpx.AsyncClient(base_url=self.url) as client:
            answer = await client.post("/says", json=body)
            assert answer.json() == len(lines)
            return answer.headers["x-trace-id"]

    async def ask(self, path: str, times: int = 1) -> None:
        """Make requests, ten at a time."""
        async with httpx.AsyncClient(base_url=self.url) as client:
            for _ in range(0, times, 10):
                await asyncio.gather(*(client.get(path) for _ in range(min(10, times))))


class Said(BaseModel):
    """A line that the shop is to log."""

    message: str
    level: str = "INFO"
    logger: str = "shop.orders"
    fields: dict[str, Any] = {}


def build(store_url: str) -> FastAPI:
    """A small shop: books in PostgreSQL, a page that takes its time, and one that logs what it is told."""
    app = FastAPI()

    @app.get("/books/{number}")
    async def book(number: int) -> dict[str, int]:
        connection = await asyncpg.connect(store_url)
        try:
            return {"number": await connection.fetchval("SELECT $1::int + 1", number)}
        finally:
            await connection.close()

    @app.post("/says")
    async def says(lines: list[Said]) -> int:
        for line in lines:
            logger = logging.getLogger(line.logger)
            logger.setLevel("INFO")
            logger.log(getattr(logging, line.level), line.message, extra=line.fields)
        return len(lines)

    @app.get("/slow")
    async def slow(seconds: float = 0.4) -> dict[str, bool]:
        await asyncio.sleep(seconds)
        return {"slow": True}

    return app


@pytest.fixture
def dsn(store_url: str) -> str:
    """The shop's database, in which its telemetry is too."""
    execute(store_url, *TABLE)
    return store_url


@pytest.fixture
def service(dsn: str, tmp_path: Path) -> Iterator[Service]:
    """A process whose requests lock rows."""
    with Service(dsn, tmp_path, app=APP) as service:
        yield service


@pytest.fixture
def start(serve: Callable[..., str]) -> Iterator[Callable[..., Shop]]:
    """`start(store_url, **settings)` serves the observed shop, or another application of it."""
    served: list[FastAPI] = []

    def begin(store_url: str, app: FastAPI | None = None, **settings: Any) -> Shop:
        app = app or build(store_url)
        values = {"service_name": "shop", "app_database_url": store_url, "flush_interval": 1, **settings}
        served.append(watchglass.observe(app, Settings(**values)))
        return Shop(serve(served[-1]), store_url)

    yield begin
    for app in served:
        unobserve(app)


@pytest.fixture
def shop(start: Callable[..., Shop], store_url: str, redis_url: str) -> Shop:
    """The service on an empty store."""
    return start(store_url, redis_url=redis_url)


def usual(recorder: Recorder) -> None:
    """What an earlier process of the shop did, once more."""
    request(recorder, "/books/{number}", 0.02, times=40)
    request(recorder, "/search", 0.05, times=20)
    request(recorder, "/checkout", 0.11, times=5, method="POST")
    recorder.gauge(meters.SYSTEM_CPU_UTILIZATION).set(0.31)
    recorder.gauge(meters.SYSTEM_MEMORY_UTILIZATION).set(0.62)
    recorder.gauge(meters.SYSTEM_FILESYSTEM_UTILIZATION, ("/",)).set(0.47)
    for text in ("SELECT * FROM books WHERE number = $1", "SELECT * FROM orders WHERE customer = $1"):
        values = ("postgresql", "SELECT", text[:19], text, None, None)
        recorder.histogram(meters.DB_CLIENT_OPERATION_DURATION, values).record(0.01)


@pytest_asyncio.fixture(loop_scope="session")
async def history(store_url: str) -> None:
    """Two hours of the usual on the store of `shop`: coarse a while ago, each minute of the last hour."""
    now = float(int(time.time()) // 60 * 60)
    process = Process(store_url, now - 7200)
    await process.live(now - 7200, now - 3600, usual, every=600.0)
    await process.live(now - 3600, now, usual)
    await process.close()


@pytest_asyncio.fixture(loop_scope="session")
async def opened(page: Page) -> AsyncIterator[Callable[..., Awaitable[Page]]]:
    """`await opened(shop, "?range=6h")` logs in by a link and waits until every card has its first content."""

    async def open_(shop: Shop, query: str = "") -> Page:
        await page.goto(await shop.link(PAGE + query))
        await page.wait_for_url(f"**{PAGE}{query}*")
        await page.wait_for_selector("body:not(:has([data-body][aria-busy]))")
        return page

    yield open_
