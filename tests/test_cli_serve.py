"""`watchglass serve`: the page beside a service that hangs or was killed, from what the store has of it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from watchglass.cli import main
from watchglass.demo.servers.process import free_port
from watchglass.store.access import Access

SHOP = """
from fastapi import FastAPI

app = FastAPI()

@app.get("/things/{name}")
async def thing(name: str) -> str:
    return name
"""
PAGE = "/ui/monitoring/advanced"
ENDPOINTS = "/api/monitoring/api/endpoints"

Started = subprocess.Popen[str]


@contextmanager
def started(*arguments: str, **environment: str) -> Iterator[Started]:
    """A command of Watchglass's, ended with SIGKILL at the latest."""
    command = [sys.executable, "-m", "watchglass", *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment}
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def shop(store_url: str, tmp_path: Path) -> Iterator[tuple[Started, str]]:
    """A real service with 30 requests in the store, and its address."""
    (tmp_path / "serve_shop.py").write_text(SHOP)
    port = free_port()
    environment = {"DATABASE_URL": store_url, "OTEL_SERVICE_NAME": "shop", "WATCHGLASS_FLUSH_INTERVAL": "1"}
    with started("run", "serve_shop:app", "--port", str(port), "--app-dir", str(tmp_path), **environment) as process:
        url = f"http://127.0.0.1:{port}"
        _until(lambda: httpx.get(f"{url}/health/live").status_code == 200)
        for number in range(30):
            httpx.get(f"{url}/things/{number}")
        yield process, url


@pytest.fixture
def serve(store_url: str) -> Iterator[Callable[..., str]]:
    """`serve("--service", "shop")` is the address of a `watchglass serve` on the test's store."""
    with _many() as stack:

        def start(*arguments: str, **environment: str) -> str:
            values = {"DATABASE_URL": store_url, "WATCHGLASS_FLUSH_INTERVAL": "1", **environment}
            process = stack(started("serve", "--port", "0", *arguments, **values))
            assert process.stdout is not None
            said = process.stdout.readline()
            address = re.search(r"http://[^/]+", said)
            assert address, said
            _until(lambda: bool(httpx.get(f"{address[0]}/health/live").status_code))
            return address[0]

        yield start


@contextmanager
def _many() -> Iterator[Callable[..., Started]]:
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield stack.enter_context


def _until(true: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if true():
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)


async def login_link(store_url: str, url: str) -> str:
    access = Access(store_url)
    token = await access.new_login_token()
    await access.close()
    return f"{url}/ui/monitoring/login?token={token}"


@pytest_asyncio.fixture
async def client(store_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=10) as one:
        yield one


async def logged_in(client: httpx.AsyncClient, store_url: str, url: str) -> None:
    path, _, token = (await login_link(store_url, url)).partition("?token=")
    assert (await client.post(path, data={"token": token})).status_code == 303


async def requests_shown(client: httpx.AsyncClient, url: str) -> int:
    rows = (await client.get(url + ENDPOINTS, params={"range": "15m"})).json()["endpoints"]
    return sum(row["requests"] for row in rows)


async def eventually(look: Callable[[], object], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not await look():  # type: ignore[misc]
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.2)


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL], ids=["hangs", "killed"])
async def test_a_service_that_answers_no_more_still_shows_what_it_did(
    shop: tuple[Started, str],
    serve: Callable[..., str],
    client: httpx.AsyncClient,
    store_url: str,
    how: signal.Signals,
) -> None:
    process, service = shop
    beside = serve("--service", "shop")
    await logged_in(client, store_url, beside)

    async def has_them() -> bool:
        return await requests_shown(client, beside) == 30

    await eventually(has_them)
    health = await client.get(f"{beside}/health")
    assert (health.status_code, health.json()["components"]) == (200, {"service": "operational"})
    assert "Nothing came" not in (await client.get(f"{beside}/ui/monitoring/cards/overview")).text

    process.send_signal(how)
    with pytest.raises(httpx.TransportError):
        await client.get(f"{service}/health", timeout=1)

    async def is_silent() -> bool:
        return (await client.get(f"{beside}/health")).status_code == 503

    await eventually(is_silent, 60)
    assert (await client.get(f"{beside}/health")).json()["components"] == {"service": "critical"}
    assert (await client.get(f"{beside}/health/ready")).status_code == 200
    metrics = await client.get(f"{beside}/metrics")
    if how is signal.SIGKILL:
        assert (metrics.status_code, "No worker of shop runs" in metrics.text) == (404, True)
    else:
        counted = re.search(r"http_server_request_duration_seconds_count\{.*\} (\S+)", metrics.text)
        assert counted and float(counted[1]) == 30
    overview = (await client.get(f"{beside}/ui/monitoring/cards/overview")).text
    assert re.search(r"Nothing came from shop since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, [^:]+ ago", overview)
    assert await requests_shown(client, beside) == 30


async def test_the_page_says_who_answers(
    shop: tuple[Started, str], serve: Callable[..., str], store_url: str, page: Page
) -> None:
    process, _ = shop
    process.send_signal(signal.SIGSTOP)
    await page.goto(await login_link(store_url, serve("--service", "shop")))
    await page.wait_for_url(f"**{PAGE}*")
    await page.wait_for_selector("body:not(:has([data-body][aria-busy]))")
    await expect(page.locator(".aside-note")).to_contain_text("watchglass serve")
    await expect(page.locator("#setup")).to_contain_text("watchglass doctor")
    await page.get_by_role("link", name="Cost of Watchglass").click()
    await expect(page.get_by_role("heading", name="Cost of Watchglass", level=1)).to_be_visible()
    await expect(page.locator("#table-logs")).to_be_visible()


async def test_without_a_name_it_shows_all_services(
    shop: tuple[Started, str], serve: Callable[..., str], client: httpx.AsyncClient, store_url: str
) -> None:
    beside = serve()
    await logged_in(client, store_url, beside)
    assert "<b>all services</b>" in (await client.get(beside + PAGE, params={"range": "15m"})).text

    async def has_them() -> bool:
        return await requests_shown(client, beside) == 30

    await eventually(has_them)


async def test_of_a_service_nobody_knows_it_says_so(
    serve: Callable[..., str], client: httpx.AsyncClient, store_url: str
) -> None:
    beside = serve("--service", "nobody")
    await logged_in(client, store_url, beside)
    answer = await client.get(f"{beside}/metrics")
    assert (answer.status_code, "No worker of nobody" in answer.text) == (404, True)
    assert "The store has no telemetry of nobody" in (await client.get(f"{beside}/ui/monitoring/cards/overview")).text
    health = await client.get(f"{beside}/health")
    assert (health.status_code, health.json()["components"]) == (200, {"telemetry": "degraded"})


async def test_under_a_prefix_and_closed_like_the_service(serve: Callable[..., str], client: httpx.AsyncClient) -> None:
    beside = serve(WATCHGLASS_PATH_PREFIX="/ops")
    assert (await client.get(f"{beside}/ops{PAGE}")).status_code == 303
    assert (await client.get(f"{beside}/ops/api/monitoring/advanced/summary")).status_code == 401
    assert (await client.get(f"{beside}{PAGE}")).status_code == 401


def test_a_store_that_does_not_answer_is_said_and_does_not_end_it(serve: Callable[..., str]) -> None:
    beside = serve(DATABASE_URL="postgresql://u:p@127.0.0.1:1/d")
    health = httpx.get(f"{beside}/health")
    assert (health.status_code, health.json()["components"]) == (200, {"telemetry": "degraded"})
    assert httpx.get(f"{beside}/health/ready").status_code == 503


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_within_a_second_and_quietly(store_url: str, number: signal.Signals) -> None:
    """With a browser's connection open and a question to a frozen store under way."""
    with started("serve", "--port", "0", DATABASE_URL=store_url) as process:
        assert process.stdout is not None
        address = re.search(r"http://[^/]+", process.stdout.readline())
        assert address
        with httpx.Client() as client:
            _until(lambda: client.get(f"{address[0]}/health").status_code < 600)
            process.stdout.readline()
            began = time.monotonic()
            process.send_signal(number)
            assert process.wait(10) == 0
            assert time.monotonic() - began < 1.5
        assert process.stdout.read() == ""


def test_a_first_start_prints_a_login_link_and_later_ones_how_to_get_one(store_url: str) -> None:
    with started("serve", "--port", "0", DATABASE_URL=store_url) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("The page of all services, from the store at ")
        assert re.match(
            r"Log in once with http://127\.0\.0\.1:\d+/ui/monitoring/login\?token=", process.stdout.readline()
        )
    with started("serve", "--port", "0", DATABASE_URL=store_url) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert re.match(
            r"For a login link: watchglass login --url http://127\.0\.0\.1:\d+\n", process.stdout.readline()
        )


def test_a_port_in_use_and_an_address_of_nobody_are_sentences(
    store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], free_port: int
) -> None:
    import socket

    monkeypatch.setenv("DATABASE_URL", store_url)
    with socket.create_server(("127.0.0.1", free_port)):
        assert main(["serve", "--port", str(free_port)]) == 2
    assert f"Port {free_port} is in use" in capsys.readouterr().err
    assert main(["serve", "--host", "192.0.2.1"]) == 2
    assert "Nothing can listen on 192.0.2.1" in capsys.readouterr().err
