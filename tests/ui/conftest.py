"""The pages on a real store, whose clock stands still, and somebody who is logged in."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio

from support.past import Process, browser, log_in
from watchglass.api.app import create_app
from watchglass.api.context import Context
from watchglass.settings import Settings
from watchglass.store.access import Access
from watchglass.store.reader import Reader
from watchglass.ui.app import add_pages


@pytest.fixture
def now() -> float:
    """The time of the page, on a whole minute."""
    return float(int(time.time()) // 60 * 60)


@pytest_asyncio.fixture
async def process(store_url: str, now: float) -> AsyncIterator[Process]:
    """A process that began two hours ago and writes to the test's store."""
    made = Process(store_url, now - 7200)
    yield made
    await made.close()


@pytest_asyncio.fixture
async def context(store_url: str, now: float) -> AsyncIterator[Context]:
    reader, access = Reader(store_url, service="shop"), Access(store_url)
    settings = Settings(service_name="shop", app_database_url=store_url, flush_interval=60)
    yield Context(settings, reader, access, clock=lambda: now)
    await reader.close()
    await access.close()


@pytest_asyncio.fixture
async def client(context: Context) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that is logged in."""
    async with browser(create_app(context, add_pages)) as made:
        await log_in(made, context)
        yield made


@pytest_asyncio.fixture
async def stranger(context: Context) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that is not."""
    async with browser(create_app(context, add_pages)) as made:
        yield made


@pytest.fixture
def fragment(client: httpx.AsyncClient) -> Callable[..., Any]:
    """`await fragment("latency", range="6h")` is the HTML of one card."""

    async def ask(name: str, **query: str) -> str:
        answer = await client.get(f"/ui/monitoring/cards/{name}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.text

    return ask
