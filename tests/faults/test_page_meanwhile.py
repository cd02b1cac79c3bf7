"""PostgreSQL stands still under a service whose page is open: the page says so, each part for itself, and recovers."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest

from support.past import browser, log_in
from support.pipelines import until
from support.service import Service
from support.silent import silent_server
from support.unruly import Unruly
from watchglass.api.app import create_app
from watchglass.api.context import Context
from watchglass.settings import Settings
from watchglass.store import silence
from watchglass.store.access import Access
from watchglass.store.database import Database
from watchglass.store.reader import Reader
from watchglass.ui.app import add_pages

PAGE = "/ui/monitoring/advanced"
CARDS = ("overview", "latency", "endpoints", "redis_memory", "redis", "slow_statements", "footprint")
PARTS = ("now", "statements", "indexes", "health")


def problem_of(answer: httpx.Response) -> str:
    """What a part says is wrong."""
    found = re.search(r'data-problem="([^"]+)"', answer.text)
    assert answer.status_code == 503 and found, answer.text
    return found[1]


async def test_one_question_waits_for_a_server_that_is_silent_and_every_card_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(silence, "SECONDS", 60.0)
    async with silent_server() as silent:
        settings = Settings(service_name="shop", app_database_url=silent.url)  # type: ignore[arg-type]
        database = Database(silent.url)
        context = Context(settings, Reader(database, service="shop"), Access(database))
        async with browser(create_app(context, add_pages), timeout=60.0) as client:
            await log_in(client, context)
            waited = silent.connections
            assert waited == 1, "for a link that any process knows"
            assert (await client.get(PAGE)).status_code == 200
            answers = await asyncio.gather(*(client.get(f"/ui/monitoring/cards/{name}") for name in CARDS))
            for answer in answers:
                assert "does not answer: nothing was heard from it in time. Telemetry is kept in memory" in problem_of(
                    answer
                )
            assert (await client.get("/ui/monitoring/postgresql")).status_code == 200
            now = await client.get("/ui/monitoring/parts/postgresql/now")
            assert "PostgreSQL is the problem: it does not answer." in now.text
            assert silent.connections == waited, "nobody waited for it again"


def test_a_page_is_there_while_the_database_stands_still_and_has_its_figures_after_it(
    server: Unruly, url: str, service: Service
) -> None:
    service.flush()
    with httpx.Client(base_url=service.url, timeout=60.0, follow_redirects=True) as client:
        log_in_to(client, url)
        assert client.get(f"{PAGE}?range=1h").status_code == 200
        assert client.get("/ui/monitoring/cards/overview").status_code == 200
        server.freeze()
        try:
            assert "Latency" in client.get(f"{PAGE}?range=1h").text
            for name in CARDS:
                assert "does not answer" in problem_of(client.get(f"/ui/monitoring/cards/{name}"))
        finally:
            server.thaw()
        until(lambda: client.get("/ui/monitoring/cards/overview").status_code == 200, 60)


def log_in_to(client: httpx.Client, url: str) -> None:
    """By a link from the store, as `watchglass login` gives one."""

    async def token() -> str:
        access = Access(url)
        try:
            return await access.new_login_token()
        finally:
            await access.close()

    answer = client.post(
        "/ui/monitoring/login", data={"token": asyncio.run(token())}, headers={"origin": str(client.base_url)}
    )
    assert answer.status_code == 200, answer.text
