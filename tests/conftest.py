"""Fixtures: real servers on free ports, a fresh database per test, a browser, and a clean environment.

Servers start when the first test asks for them and end with the test process, however it ends. Nothing is shared by two
test processes, so that they may run at the same time.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis
from playwright.async_api import Browser, Page, expect

from support.browsing import chromium, watch
from support.databases import fresh_database, run
from support.installations import installation_of
from support.programs import need
from support.prometheus import Prometheus
from support.serving import Served
from watchglass import guard
from watchglass.demo.servers import PostgreSQL, Redis
from watchglass.demo.servers.process import free_port as find_free_port


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with a browser run on the session's loop, on which their one browser lives."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let what a test has logged pass from a test process to the one that reports, lone surrogates and all."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the developer's shell reaches a test, and no test finds what another has left on disk."""
    for name in os.environ:
        if name.startswith(("WATCHGLASS_", "OTEL_")) or name in ("DATABASE_URL", "REDIS_URL"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("WATCHGLASS_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture(autouse=True)
def strict_guard(clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Watchglass swallows in production is raised; a test about swallowing sets `guard.strict` to False."""
    monkeypatch.setattr(guard, "strict", True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--postgresql", metavar="WHICH", help="run on this major version, or on the one in this folder")


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> Iterator[PostgreSQL]:
    """One PostgreSQL for the session; `superuser_url` is the superuser's, `url` that of the ordinary role app."""
    wanted = pytestconfig.getoption("--postgresql")
    with PostgreSQL(installation=installation_of(wanted) if wanted else None) as server:
        yield server


@pytest.fixture
def database_url(postgres_server: PostgreSQL) -> Iterator[str]:
    """A fresh database, owned by an ordinary role; it has pg_stat_statements and nothing of Watchglass."""
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_template(postgres_server: PostgreSQL) -> Iterator[str]:
    """The name of a database that has the schema of Watchglass, to be copied."""
    from watchglass.store.migrations import migrate

    with fresh_database(postgres_server) as url:
        run(migrate(url))
        yield url.rpartition("/")[2]


@pytest.fixture
def store_url(postgres_server: PostgreSQL, migrated_template: str) -> Iterator[str]:
    """A fresh database that already has the schema of Watchglass."""
    with fresh_database(postgres_server, migrated_template) as url:
        yield url


@pytest.fixture
async def connection(store_url: str) -> AsyncIterator[Any]:
    """A connection to that database, as Watchglass makes its own."""
    from watchglass.store.connection import connect

    opened = await connect(store_url)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """One Redis or Valkey for the session."""
    with Redis() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: Redis) -> str:
    """The session's Redis, emptied, its counters at zero."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        client.config_resetstat()
    return redis_server.url


@pytest.fixture
def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    return find_free_port()


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """`serve(app, **uvicorn options)` serves the application until the test ends and returns its base URL."""
    with ExitStack() as stack:

        def start(app: Any, **options: Any) -> str:
            served = Served(app, **options)
            stack.callback(served.stop)
            return served.start()

        yield start


@pytest.fixture
def prometheus() -> Iterator[Callable[..., Prometheus]]:
    """`prometheus(url, ..., interval="1s", token=None)` scrapes these base URLs and answers `.query(promql)`."""
    binary = need("prometheus", package="prometheus")
    with ExitStack() as stack:

        def start(*targets: str, interval: str = "1s", token: str | None = None) -> Prometheus:
            return stack.enter_context(Prometheus(binary, targets, interval, token))

        yield start


@pytest.fixture(scope="session")
def promtool() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`promtool("check", "metrics", input=text)` runs promtool and returns what it said."""
    binary = need("promtool", package="prometheus")

    def call(*arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        command: Sequence[str] = [binary, *arguments]
        return subprocess.run(command, input=input, capture_output=True, text=True, timeout=60, check=False)

    return call


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for the session."""
    async with chromium(need("chromium", "chromium-browser", "google-chrome", package="chromium")) as launched:
        yield launched


expect.set_options(timeout=30_000)


@pytest.fixture
def page_problems() -> list[str]:
    """What went wrong on the page so far; a test that expects a problem removes it."""
    return []


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, page_problems: list[str]) -> AsyncIterator[Page]:
    """A page of a fresh browser profile; the test fails if its console has an error or it asks another host."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(30_000)
    opened = await context.new_page()
    watch(opened, page_problems)
    yield opened
    await context.close()
    assert page_problems == []
