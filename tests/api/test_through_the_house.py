"""The whole way: a service that is observed answers the API from the own loop, with figures of its own requests."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

import watchglass
from watchglass.analysis.windows import Window
from watchglass.store.reader import Reader
from watchglass.wiring import house


async def test_a_service_shows_its_own_requests_to_who_logs_in_and_to_nobody_else(
    store_url: str, serve: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    app = FastAPI()

    @app.get("/things/{name}")
    async def thing(name: str) -> str:
        await asyncio.sleep(0.05)
        return name

    settings = watchglass.Settings(service_name="shop", app_database_url=store_url, flush_interval=1)
    url = serve(watchglass.observe(app, settings))
    try:
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.get("/health/live")).json() == {"status": "alive"}
            assert (await client.get("/api/monitoring/advanced/summary")).status_code == 401
            for number in range(20):
                assert (await client.get(f"/things/{number}")).status_code == 200
            printed = await eventually(lambda: re.search(r"login\?token=(\S+)", capfd.readouterr().err))
            answer = await client.post("/ui/monitoring/login", data={"token": printed.group(1)})
            assert answer.status_code == 303
            row = await first_endpoint(client, requests=20)
        assert row["label"] == "GET /things/{name}"
        assert row["statuses"] == {"200": 20}
        assert 0.05 <= row["p50"]["value"] < 0.5
    finally:
        watchglass.unobserve(app)
    assert house() is None


async def test_a_metric_by_hand_is_on_metrics_at_once_and_in_the_store_soon(
    store_url: str, serve: Callable[..., str]
) -> None:
    settings = watchglass.Settings(
        service_name="shop", app_database_url=store_url, flush_interval=1, record_token="a-token-of-a-program"
    )
    app = FastAPI()
    url = serve(watchglass.observe(app, settings))
    reader = Reader(store_url, service="shop")
    try:
        async with httpx.AsyncClient(base_url=url) as client:
            body = {"metric_type": "counter", "metric_name": "shop.orders", "value": 3, "metadata": {"country": "CH"}}
            headers = {"authorization": "Bearer a-token-of-a-program"}
            answer = await client.post("/api/monitoring/metrics/record", json=body, headers=headers)
            assert answer.status_code == 202, answer.text
            assert 'shop_orders_total{country="CH"} 3.0' in (await client.get("/metrics")).text
        deadline = time.monotonic() + 15
        while not (found := await reader.select("shop.orders", Window(time.time() - 300, time.time() + 60))):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
        assert found[0].sum == 3
    finally:
        await reader.close()
        watchglass.unobserve(app)


async def test_an_admin_sees_the_timing_of_the_services_own_responses_and_nobody_else_does(
    store_url: str, serve: Callable[..., str]
) -> None:
    app = FastAPI()

    @app.get("/thing")
    async def thing() -> str:
        return "thing"

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter(["one", "two"]))

    settings = watchglass.Settings(service_name="shop", app_database_url=store_url, path_prefix="/ops")
    url = serve(watchglass.observe(app, settings))
    running = house()
    assert running is not None

    async def enters(client: httpx.AsyncClient, role: str) -> None:
        token = running.own_loop.run(running.context.tokens.new(role=role))  # type: ignore[arg-type]
        data = {"token": (await asyncio.wrap_future(token)).text}
        assert (await client.post("/ops/ui/monitoring/login", data=data)).status_code == 303

    async def told(client: httpx.AsyncClient, path: str = "/thing") -> str | None:
        answer = await client.get(path)
        assert answer.status_code == 200
        return answer.headers.get("server-timing")

    try:
        async with httpx.AsyncClient(base_url=url) as admin, httpx.AsyncClient(base_url=url) as viewer:
            await enters(admin, "admin")
            await enters(viewer, "viewer")
            deadline = time.monotonic() + 30
            while await told(admin) is None:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
            for path in ("/thing", "/stream"):
                assert re.fullmatch(
                    r"total;dur=[\d.]+, (\w+;dur=[\d.]+, )*app;dur=[\d.]+", await told(admin, path) or ""
                )
                assert await told(viewer, path) is None
            assert await told(admin, "/ops/api/monitoring/session") is None
            [(name, value)] = viewer.cookies.items()
            forged = value[::-1], admin.cookies[name][:-2] + "xx", ""
            for cookie in forged:
                async with httpx.AsyncClient(base_url=url, headers={"cookie": f"{name}={cookie}"}) as nobody:
                    assert await told(nobody) is None
    finally:
        watchglass.unobserve(app)


async def test_where_the_service_decides_who_may_see_nobody_is_told_its_timing(
    store_url: str, serve: Callable[..., str]
) -> None:
    app = FastAPI()
    settings = watchglass.Settings(service_name="shop", app_database_url=store_url, secret_key="a-key-of-the-service")
    url = serve(watchglass.observe(app, settings, authorize=lambda request: "admin"))
    running = house()
    assert running is not None
    sessions = running.front.sessions
    cookie = await sessions._dumps("session", {"name": "admin", "role": "admin", "seed": "x"})
    try:
        async with httpx.AsyncClient(base_url=url, headers={"cookie": f"{sessions.cookie}={cookie}"}) as client:
            for _ in range(3):
                assert "server-timing" not in (await client.get("/openapi.json")).headers
    finally:
        watchglass.unobserve(app)


async def first_endpoint(client: httpx.AsyncClient, requests: int) -> dict[str, object]:
    deadline = time.monotonic() + 15
    while True:
        answer = await client.get("/api/monitoring/api/endpoints", params={"range": "15m"})
        rows = answer.json()["endpoints"]
        if (rows and rows[0]["requests"] >= requests) or time.monotonic() > deadline:
            assert len(rows) == 1
            return rows[0]  # type: ignore[no-any-return]
        await asyncio.sleep(0.2)


async def eventually(look: Callable[[], re.Match[str] | None]) -> re.Match[str]:
    deadline = time.monotonic() + 15
    while (found := look()) is None:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    return found
