"""What callers send along as baggage goes to those that the service calls, and is kept nowhere."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import asyncpg
import httpx
import pytest
import structlog
from fastapi import FastAPI, HTTPException
from opentelemetry import baggage, metrics, propagate, trace

import watchglass
from support.databases import run
from watchglass import wiring

SECRET = "secret-of-baggage"
KEY = "user-of-baggage"


@pytest.fixture
def seen() -> dict[str, object]:
    """What the service found in its context."""
    return {}


@pytest.fixture
def app(store_url: str, seen: dict[str, object]) -> Iterator[FastAPI]:
    app = FastAPI()
    worked = metrics.get_meter("shop").create_counter("shop.worked")

    @app.get("/work")
    async def work() -> None:
        seen["baggage"] = baggage.get_baggage(KEY)
        sent: dict[str, str] = {}
        propagate.inject(sent)
        seen["sent"] = sent.get("baggage")
        structlog.get_logger("shop").warning("worked")
        logging.getLogger("shop").warning("worked too")
        worked.add(1)
        with trace.get_tracer("shop").start_as_current_span("packing"):
            connection = await asyncpg.connect(store_url)
            await connection.fetch("SELECT 1")
            await connection.close()

    @app.get("/boom")
    async def boom() -> None:
        raise RuntimeError("boom")

    @app.get("/refused")
    async def refused() -> None:
        raise HTTPException(503)

    watchglass.observe(app, watchglass.Settings(service_name="shop", app_database_url=store_url))
    yield app
    watchglass.unobserve(app)


def test_baggage_goes_on_and_is_kept_nowhere(
    app: FastAPI, serve: Callable[..., str], store_url: str, seen: dict[str, object]
) -> None:
    headers = {"baggage": f"{KEY}={SECRET}", "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    url = serve(app)
    answers = [httpx.get(url + path, headers=headers) for path in ("/work", "/boom", "/refused", "/nowhere")]
    assert [answer.status_code for answer in answers] == [200, 500, 503, 404]
    exposed = [httpx.get(f"{url}/metrics", headers={**headers, "accept": kind}).text for kind in KINDS]
    house = wiring.house()
    assert house is not None
    house.pipeline.flush_now(60)
    stored = run(everything(store_url))
    assert seen == {"baggage": SECRET, "sent": f"{KEY}={SECRET}"}
    assert "worked too" in stored["logs"] and "packing" in stored["traces"] and "shop.worked" in stored["series"]
    assert all("http_server_request_duration_seconds" in text for text in exposed)
    for where, text in {**stored, "/metrics": "".join(exposed), "answers": str([a.headers for a in answers])}.items():
        for secret in (SECRET, KEY):
            assert secret not in text, where
            assert secret.encode().hex() not in text, where


KINDS = ("text/plain", "application/openmetrics-text")


async def everything(dsn: str) -> dict[str, str]:
    """Every row of every table of the store, as text; bytes are in hexadecimal."""
    connection = await asyncpg.connect(dsn)
    try:
        names = await connection.fetch(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'watchglass' AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        )
        found = {}
        for (name,) in names:
            rows = await connection.fetch(f'SELECT t::text FROM watchglass."{name}" t')
            found[name] = "\n".join(row[0] for row in rows)
        return found
    finally:
        await connection.close()
