"""A service whose measurements are written to a real store at times the test chooses, and the API that reads them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio

from support.databases import execute
from support.locking import TABLE
from support.past import Process, browser, log_in
from watchglass.api.app import create_app
from watchglass.api.context import Context
from watchglass.settings import Settings
from watchglass.store.access import Access
from watchglass.store.database import Database
from watchglass.store.reader import Reader


@pytest.fixture
def now() -> float:
    """The time of the questions, where slots of two minutes begin."""
    return float(int(time.time()) // 120 * 120)


@pytest_asyncio.fixture
async def process(store_url: str) -> AsyncIterator[Callable[..., Process]]:
    """`process(started_at)` is a process that writes to the test's store."""
    made: list[Process] = []

    def make(started_at: float, name: str = "shop") -> Process:
        made.append(Process(store_url, started_at, name))
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.fixture
def shop(store_url: str) -> str:
    """The URL of a shop's database, in which its telemetry is too."""
    execute(store_url, *TABLE)
    return store_url


@pytest_asyncio.fixture
async def context(store_url: str, now: float) -> AsyncIterator[Callable[..., Context]]:
    """`context(**settings)` is that of a serving process on the test's store, whose clock stands at `now`."""
    opened: list[Database] = []

    def make(**settings: Any) -> Context:
        values = {"service_name": "shop", "app_database_url": store_url, "flush_interval": 60, **settings}
        opened.append(Database(store_url))
        reader, access = Reader(opened[-1], service="shop"), Access(opened[-1])
        return Context(Settings(**values), reader, access, clock=lambda: now)

    yield make
    for database in opened:
        await database.close()


@pytest_asyncio.fixture
async def api(context: Callable[..., Context]) -> AsyncIterator[httpx.AsyncClient]:
    """A logged-in client of the API on the test's store, whose processes flush once a minute."""
    made = context()
    async with browser(create_app(made)) as client:
        await log_in(client, made)
        yield client
