"""From a request of a serving process to the store and to /metrics: where its time went, and who blocked the loop."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

import watchglass
from watchglass import wiring
from watchglass.store.connection import connect


@pytest.fixture
def app(store_url: str, redis_url: str) -> Iterator[FastAPI]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.redis = Redis.from_url(redis_url)
        async with asyncpg.create_pool(store_url, min_size=1, max_size=2) as app.state.pool:
            yield
        await app.state.redis.aclose()

    app = FastAPI(lifespan=lifespan)

    @app.get("/find")
    async def find() -> str:
        await app.state.redis.get("search:1")
        await app.state.pool.fetch("SELECT pg_sleep(0.05)")
        return "here"

    @app.get("/report")
    async def report() -> str:
        add_up()
        return "done"

    watchglass.observe(
        app, watchglass.Settings(app_database_url=store_url, redis_url=redis_url, blocked_loop_seconds=0.1)
    )
    yield app
    watchglass.unobserve(app)


def add_up() -> None:
    time.sleep(0.5)


async def test_where_the_time_went_and_who_blocked_the_loop_are_kept_and_exposed(
    app: FastAPI, store_url: str, serve: Callable[..., str]
) -> None:
    url = serve(app)
    async with httpx.AsyncClient(base_url=url) as client:
        assert (await client.get("/find")).status_code == 200
        blocking = (await client.get("/report")).headers["x-trace-id"]
        exposed = (await client.get("/metrics")).text
    house = wiring.house()
    assert house
    house.pipeline.flush_now()

    samples = [one for family in text_string_to_metric_families(exposed) for one in family.samples]
    by_component = {
        one.labels["watchglass_budget_component"]: one.value
        for one in samples
        if one.name == "watchglass_http_server_budget_seconds_total" and one.labels["http_route"] == "/find"
    }
    [duration] = [
        one.value
        for one in samples
        if one.name == "http_server_request_duration_seconds_sum" and one.labels["http_route"] == "/find"
    ]
    assert {"own_code", "postgresql", "redis", "pool_wait"} <= set(by_component)
    assert by_component["postgresql"] + by_component.get("loop_lag", 0) > 0.05
    assert sum(by_component.values()) == pytest.approx(duration, rel=1e-6)

    connection = await connect(store_url, application_name="test")
    try:
        lines = await connection.fetch("SELECT * FROM watchglass.logs WHERE logger = 'watchglass.event_loop'")
        [stored] = await connection.fetch(
            "SELECT count(*) FROM watchglass.series WHERE name = 'watchglass.http.server.budget'"
            " AND attributes::text LIKE '%SELECT pg_sleep(?)%'"
        )
    finally:
        await connection.close()
    assert stored[0] == 1
    [line] = [one for one in lines if "add_up" in one["message"]]
    assert line["trace_id"] == bytes.fromhex(blocking) and "test_budget.py" in line["message"]
