"""What the tests stand on is real: each fixture is used once as every test uses it."""

from __future__ import annotations

import os
import subprocess
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, PlainTextResponse
from playwright.async_api import Page

from support.prometheus import Prometheus
from watchglass import guard

METRICS = "# HELP answers_total Answers.\n# TYPE answers_total counter\nanswers_total 42\n"


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    app.get("/metrics", response_class=PlainTextResponse)(lambda: METRICS)
    app.get("/good", response_class=HTMLResponse)(lambda: '<link rel="icon" href="data:,"><h1>Good</h1>')
    app.get("/bad", response_class=HTMLResponse)(
        lambda: '<link rel="icon" href="data:,"><script>console.error("it broke")</script>'
    )
    return app


async def test_each_test_has_a_database_of_its_own(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("CREATE TABLE of_this_test ()")
        owner = await connection.fetchval(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
        )
        tables = await connection.fetchval("SELECT count(*) FROM pg_stat_user_tables")
    finally:
        await connection.close()
    assert (owner, tables) == ("app", 1)


def test_an_application_is_served_with_its_lifespan(serve: Callable[..., str]) -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        seen.append("started")
        yield

    app = FastAPI(lifespan=lifespan)
    app.get("/")(lambda: seen)
    with urllib.request.urlopen(serve(app)) as response:
        assert response.read() == b'["started"]'


def test_an_application_that_fails_to_start_is_an_error(serve: Callable[..., str]) -> None:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        raise OSError("no database")
        yield

    with pytest.raises(RuntimeError, match="did not start"):
        serve(FastAPI(lifespan=lifespan))


def test_prometheus_scrapes_what_is_served(
    app: FastAPI, serve: Callable[..., str], prometheus: Callable[..., Prometheus]
) -> None:
    answered = prometheus(serve(app)).wait_for("answers_total")
    assert answered[0]["value"][1] == "42"


def test_promtool_judges_metrics(promtool: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert promtool("check", "metrics", input=METRICS).returncode == 0
    assert promtool("check", "metrics", input="1 = 2\n").returncode != 0


async def test_chromium_opens_what_is_served(app: FastAPI, serve: Callable[..., str], page: Page) -> None:
    await page.goto(serve(app) + "/good")
    assert await page.inner_text("h1") == "Good"


async def test_an_error_in_the_console_is_a_problem(
    app: FastAPI, serve: Callable[..., str], page: Page, page_problems: list[str]
) -> None:
    await page.goto(serve(app) + "/bad")
    assert page_problems == ["console error: it broke"]
    page_problems.clear()


def test_the_developer_s_settings_do_not_reach_a_test() -> None:
    found = [name for name in os.environ if name.startswith(("WATCHGLASS_", "OTEL_"))]
    assert found == ["WATCHGLASS_STATE_DIR"], "a folder of the test's own"
    assert "DATABASE_URL" not in os.environ


def test_what_production_swallows_a_test_raises() -> None:
    with pytest.raises(ZeroDivisionError), guard.protected("a test"):
        _ = 1 / 0
