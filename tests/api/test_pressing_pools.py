"""What presses at the service's own pool: real requests that wait for the one connection it may have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import create_async_engine

import watchglass
from watchglass import wiring
from watchglass.settings import Settings

PATIENCE = 60.0
SUMMARY = "/api/monitoring/advanced/summary"


@pytest.fixture
def shop(store_url: str) -> Iterator[FastAPI]:
    """A service with one connection; `/hold` keeps it until `/release`."""
    released = asyncio.Event()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)
    url = store_url.replace("postgresql://", "postgresql+asyncpg://")
    engine = create_async_engine(url, pool_size=1, max_overflow=0, pool_timeout=PATIENCE)

    @app.get("/hold")
    async def hold() -> None:
        async with engine.connect():
            await released.wait()

    @app.post("/release")
    async def release() -> None:
        released.set()

    settings = Settings(service_name="shop", app_database_url=store_url, flush_interval=1)
    watchglass.observe(app, settings, authorize=lambda request: "viewer")
    yield app
    watchglass.unobserve(app)


async def until(client: httpx.AsyncClient, holds: Callable[[list[dict[str, Any]]], Any]) -> list[dict[str, Any]]:
    """What presses, as soon as that is true of it; each look is after a flush."""
    house = wiring.house()
    assert house is not None
    async with asyncio.timeout(PATIENCE):
        while True:
            await asyncio.to_thread(house.pipeline.flush_now)
            found = (await client.get(SUMMARY)).json()["pressing"]
            if found is not None and holds(found):
                return list(found)
            await asyncio.sleep(0.2)


async def test_requests_that_wait_at_a_pool_that_is_used_up_are_told_while_they_wait(
    shop: FastAPI, serve: Callable[..., str]
) -> None:
    async with httpx.AsyncClient(base_url=serve(shop), timeout=PATIENCE) as client:
        held = [asyncio.create_task(client.get("/hold")) for _ in range(3)]
        [found] = await until(client, lambda found: found and found[0]["waiting"] == 2)
        assert found["what"] == "pool"
        assert found["sentence"].startswith("2 requests wait for a connection of the service's pool ")
        assert found["sentence"].endswith(", and its only one is used")
        await client.post("/release")
        assert {one.status_code for one in await asyncio.gather(*held)} == {200}
        assert await until(client, lambda found: not found) == []
