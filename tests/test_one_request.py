"""One request leaves its trace id everywhere: in the response, the service's log, and the store's logs and traces."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest
import structlog
from fastapi import FastAPI
from redis.asyncio import Redis

import watchglass
from watchglass import wiring
from watchglass.store.connection import connect

SECRET = "hunter2-hunter2"


@pytest.fixture
def app(store_url: str, redis_url: str) -> Iterator[FastAPI]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.redis = Redis.from_url(redis_url)
        async with asyncpg.create_pool(store_url, min_size=1, max_size=2) as app.state.pool:
            yield
        await app.state.redis.aclose()

    app = FastAPI(lifespan=lifespan)

    @app.get("/find/{item}")
    async def find(item: str) -> Any:
        structlog.get_logger("shop").info("looking", item=item, password=SECRET)
        logging.getLogger("shop.stock").warning("no index for %s", item)
        await app.state.redis.get(f"search_results:{item}")
        return await app.state.pool.fetchval("SELECT length($1) + 40 WHERE 'secret' <> $1", item)

    watchglass.observe(
        app,
        watchglass.Settings(service_name="one", app_database_url=store_url, redis_url=redis_url, flush_interval=1),
    )
    yield app
    watchglass.unobserve(app)


async def test_a_request_is_found_by_its_trace_id_everywhere(
    app: FastAPI, store_url: str, serve: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    url = serve(app)
    async with httpx.AsyncClient(base_url=url) as client:
        answer = await client.get("/find/me?token=" + SECRET)
        trace_id = answer.headers["x-trace-id"]
        exposed = (await client.get("/metrics")).text
    house = wiring.house()
    assert house
    house.pipeline.flush_now()

    assert answer.json() == 42
    assert answer.headers["traceparent"].split("-")[1] == trace_id
    assert f"trace_id={trace_id}" in capsys.readouterr().out

    connection = await connect(store_url, application_name="test")
    try:
        lines = await connection.fetch(
            "SELECT logger, message, fields, level FROM watchglass.logs WHERE trace_id = $1 ORDER BY time, position",
            bytes.fromhex(trace_id),
        )
        [trace] = await connection.fetch(
            "SELECT name, route, status, reason, spans FROM watchglass.traces WHERE trace_id = $1",
            bytes.fromhex(trace_id),
        )
        everything = str(await connection.fetch("SELECT l::text FROM watchglass.logs l"))
        everything += str(await connection.fetch("SELECT t::text FROM watchglass.traces t"))
    finally:
        await connection.close()

    assert [(line["logger"], line["message"]) for line in lines[:2]] == [
        (__name__, "looking"),
        ("shop.stock", "no index for me"),
    ]
    assert json.loads(lines[0]["fields"])["item"] == "me"
    assert (trace["name"], trace["route"], trace["status"]) == ("GET /find/{item}", "/find/{item}", 200)
    spans = json.loads(trace["spans"])
    assert {span["name"] for span in spans} >= {"GET /find/{item}", "GET"}
    assert SECRET not in everything
    assert "secret" not in everything

    assert 'db_system_name="postgresql"' in exposed
    assert 'db_system_name="redis"' in exposed
    assert "watchglass_cache_lookups_total{" in exposed
    assert 'watchglass_cache_type="search_results"' in exposed
