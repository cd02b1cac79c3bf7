"""The whole way of a trace: what a real service did is found from its charts and shown span by span."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import redis.asyncio
from fastapi import FastAPI

import watchglass
from watchglass.api.endpoint import identify

TRACES = "/api/monitoring/traces"
PRICE = "SELECT 7 + id FROM pg_class AS prices CROSS JOIN generate_series(1, 1) AS id WHERE relname = $1"
logger = logging.getLogger("shop")


def service(dsn: str, redis_url: str) -> FastAPI:
    """It asks for each price by itself, over a pool of one connection."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        watchglass.cache("price", prefix="price:")
        app.state.cache = redis.asyncio.Redis.from_url(redis_url)
        async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as app.state.pool:
            yield
        await app.state.cache.aclose()

    app = FastAPI(lifespan=lifespan)

    @app.get("/basket/{name}")
    async def basket(name: str) -> str:
        await app.state.cache.get(f"price:{name}")
        for item in range(6):
            await app.state.pool.fetch(PRICE, f"item{item}")
        logger.warning("Priced the basket of %s.", name)
        return name

    @app.get("/broken")
    async def broken() -> str:
        raise KeyError("no such shelf")

    return app


async def eventually(ask: Callable[[], Any], found: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + 60
    while not found(answer := await ask()):
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.2)
    return answer


async def test_a_slow_slot_of_a_chart_leads_to_a_trace_that_says_why(
    store_url: str, redis_url: str, serve: Callable[..., str]
) -> None:
    app = service(store_url, redis_url)
    settings = watchglass.Settings(service_name="shop", app_database_url=store_url, flush_interval=1)
    url = serve(watchglass.observe(app, settings, authorize=lambda request: True))
    try:
        async with httpx.AsyncClient(base_url=url) as once:  # the server hangs up after an error
            assert (await once.get("/broken")).status_code == 500
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            await asyncio.gather(*(client.get(f"/basket/{number}") for number in range(8)))
            await check(client)
    finally:
        watchglass.unobserve(app)


async def check(client: httpx.AsyncClient) -> None:
    async def get(path: str, **query: Any) -> Any:
        answer = await client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    endpoint = identify(("GET", "/basket/{name}"))
    chart = await eventually(
        lambda: get(f"/api/monitoring/api/endpoints/{endpoint}/latency", range="15m"),
        lambda chart: sum(chart["all"]["samples"]) == 8,
    )
    slots = zip(chart["times"], chart["all"]["samples"], chart["all"]["p50"], strict=True)
    for start, samples, p50 in slots:
        if samples:
            bounds = [datetime.fromtimestamp(at, UTC).isoformat() for at in (start, start + chart["resolution"])]
            found = await eventually(
                lambda bounds=bounds, p50=p50: get(
                    TRACES, start=bounds[0], end=bounds[1], endpoint_id=endpoint, min_duration=0.9 * p50
                ),
                lambda found: bool(found["traces"]),
            )
    trace = await get(f"{TRACES}/{found['traces'][0]['trace_id']}")
    spans = trace["spans"]
    assert [group["note"] for group in trace["similar"]] == ["6 similar statements"]
    statements = [span for span in spans if span["sql"]]
    assert len(statements) == 6 and all(span["similar"] == 6 for span in statements)
    [lookup] = [span for span in spans if span["redis"]]
    assert (lookup["redis"], lookup["cache_type"], lookup["cache_hit"]) == ("GET price:*", "price", False)
    # On a busy machine the trace may tell of a blocked event loop too.
    [line] = [line for line in trace["logs"] if line["message"].startswith("Priced the basket of")]
    assert line["span_id"] == spans[0]["span_id"]
    by_statement = await get(TRACES, statement=statements[0]["fingerprint"], limit=200)
    assert trace["trace_id"] in {one["trace_id"] for one in by_statement["traces"]}
    everything = await get(TRACES, endpoint_id=endpoint, limit=200)
    shown = [await get(f"{TRACES}/{one['trace_id']}") for one in everything["traces"]]
    assert any(span["pool_wait"] for one in shown for span in one["spans"]), "eight requests shared one connection"
    errors = await eventually(lambda: get("/api/monitoring/errors"), lambda errors: bool(errors["groups"]))
    [group] = errors["groups"]
    assert group["error_type"] == "KeyError" and group["count"] == 1
    [failed] = (await get(TRACES, error_group=group["id"]))["traces"]
    assert failed["trace_id"] == group["trace_id"] and failed["route"] == "/broken"
