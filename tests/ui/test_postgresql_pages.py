"""PostgreSQL's page on a real server: each part answers for itself, without a script too, and admins end sessions."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from html.parser import HTMLParser

import asyncpg
import httpx
import pytest
import pytest_asyncio

from support.databases import execute
from support.locking import TABLE, audited, session
from support.past import Process, browser, log_in, request
from watchglass import meters
from watchglass.analysis.fingerprints import of_statement
from watchglass.api.app import create_app
from watchglass.api.context import Context
from watchglass.instrumentation.recorder import Recorder
from watchglass.settings import Settings
from watchglass.ui import postgresql_pages
from watchglass.ui.app import add_pages

PAGE = "/ui/monitoring/postgresql"
PARTS = "/ui/monitoring/parts/postgresql"
EVIL = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\u202e"
TEXT = "SELECT * FROM orders WHERE note = $1"

Part = Callable[..., Awaitable[str]]


class Texts(HTMLParser):
    """The texts that a browser shows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = ""
        self.feed(text)

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def seen(text: str) -> str:
    """The text of a page, its white space as one blank."""
    return " ".join(Texts(text).text.split())


@pytest.fixture
def part(client: httpx.AsyncClient) -> Part:
    """`await part("now", range="6h")` is the HTML of a part of the page."""

    async def ask(name: str, **query: str) -> str:
        answer = await client.get(f"{PARTS}/{name}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.text

    return ask


@pytest_asyncio.fixture
async def viewer(context: Context) -> AsyncIterator[httpx.AsyncClient]:
    """A browser of somebody who may only look."""
    async with browser(create_app(context, add_pages)) as made:
        await log_in(made, context, "viewer")
        yield made


@pytest_asyncio.fixture
async def shop(store_url: str) -> str:
    """The shop's database, with a table of orders."""
    execute(store_url, *TABLE)
    return store_url


async def waiting(client: httpx.AsyncClient) -> str:
    """The part Now once somebody waits for a lock."""
    for _ in range(300):
        text = (await client.get(f"{PARTS}/now")).text
        if 'id="locks"' in text:
            return text
        await asyncio.sleep(0.1)
    raise AssertionError(text)


def called(recorder: Recorder, text: str = TEXT, seconds: float = 0.2, error: str | None = None) -> None:
    values = ("postgresql", "SELECT", "SELECT orders", text, None, error)
    recorder.histogram(meters.DB_CLIENT_OPERATION_DURATION, values).record(seconds)


async def test_the_page_comes_with_its_content(
    client: httpx.AsyncClient, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PATIENCE", "BESIDE"):
        monkeypatch.setattr(postgresql_pages, name, 60.0)  # however busy the machine is
    text = (await client.get(PAGE)).text
    assert 'aria-current="page">PostgreSQL' in text
    assert re.search(r"PostgreSQL (is not the problem|needs attention now)", seen(text))
    for words in ("Connections", "Idle in transaction", "Pools of the service", "Unused", "Wraparound", "Statements"):
        assert words.lower() in seen(text).lower(), words
    assert "needs JavaScript" not in text
    assert not re.search(r"\sstyle\s*=|\son\w+\s*=\s*[\"']", text)


async def test_advice_is_waited_for_on_demand(client: httpx.AsyncClient, shop: str) -> None:
    assert "whole=1" in (await client.get(PAGE)).text
    whole = (await client.get(PAGE, params={"whole": "1"})).text
    assert "whole=1" not in whole and "aria-busy" not in whole


async def test_a_question_that_is_slow_leaves_the_others_alone(client: httpx.AsyncClient, shop: str) -> None:
    await client.get(PAGE)
    async with session(shop, "BEGIN", "LOCK TABLE watchglass.series IN ACCESS EXCLUSIVE MODE"):
        answer = await asyncio.wait_for(client.get(PAGE), 30)
    busy = re.findall(r'data-card="postgresql_(\w+)".*?data-body class="contents"( aria-busy)?', answer.text, re.S)
    assert answer.status_code == 200
    assert {name for name, waits in busy if waits} >= {"statements", "advice"}
    assert "Connections" in answer.text and "Unused" in answer.text
    assert len(busy) == 5
    assert "No statements were recorded" in (await client.get(f"{PARTS}/statements")).text


async def test_without_postgresql_each_part_says_so(store_url: str, context: Context, free_port: int) -> None:
    nowhere = f"postgresql://app@127.0.0.1:{free_port}/shop"
    settings = Settings(service_name="shop", app_database_url=nowhere, database_url=store_url)
    away = replace(context, settings=settings)
    async with browser(create_app(away, add_pages)) as client:
        await log_in(client, away)
        text = seen((await client.get(PAGE, params={"whole": "1"})).text)
    assert "PostgreSQL is the problem: it does not answer." in text
    assert "No statements were recorded in this window." in text
    assert text.count("Nothing to show: ") == 1 and "not known" in text


async def test_without_a_store_the_page_still_says_what_is_missing(context: Context, store_url: str) -> None:
    lost = replace(context, reader=None)
    async with browser(create_app(lost, add_pages)) as client:
        await log_in(client, lost)
        answer = await client.get(PAGE, params={"whole": "1"})
    assert answer.status_code == 200
    assert seen(answer.text).count("Nothing to show: ") == 4
    assert "Not known whether PostgreSQL is the problem" in seen(answer.text)


async def test_a_lock_names_who_holds_it_and_what_is_missing_is_said(client: httpx.AsyncClient, shop: str) -> None:
    async with (
        session(shop, "BEGIN", "UPDATE orders SET n = 1 WHERE id = 1", name="nightly job"),
        session(shop, name="web") as other,
    ):
        task = asyncio.create_task(other.execute("UPDATE orders SET n = 2 WHERE id = 1"))
        text = await waiting(client)
        await asyncio.sleep(1.2)
        later = (await client.get(f"{PARTS}/now")).text
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    tree = text[text.index('id="locks"') :]
    assert "nightly job" in seen(tree) and "holds up 1 session" in seen(tree)
    assert re.search(r"has waited .+ for ShareLock on row of table orders", seen(tree))
    assert re.search(r"1 session waits for locks of session \d+ \(nightly job\), the longest for", seen(later))
    assert "GRANT pg_monitor TO app;" in seen(text)


async def test_what_comes_from_outside_stays_text(client: httpx.AsyncClient, shop: str, part: Part) -> None:
    async with session(shop, "BEGIN", f'SELECT 1 AS "{EVIL[:40]}"', name=EVIL[:60].replace("\u202e", "")):
        text = await part("now")
    assert "<script" not in text and "<img" not in text and "\u202e" not in text
    assert "&lt;script&gt;" in text


async def test_a_viewer_has_nothing_to_press(viewer: httpx.AsyncClient, client: httpx.AsyncClient, shop: str) -> None:
    async with session(shop, "BEGIN") as idle:
        pid = idle.get_server_pid()
        assert f"/sessions/{pid}/terminate" in (await client.get(f"{PARTS}/now")).text
        text = (await viewer.get(f"{PARTS}/now")).text
        assert f"pid {pid}" in seen(text) and "/sessions/" not in text
        asked = await viewer.get(f"{PAGE}/sessions/{pid}/terminate", params={"backend_start": "2026-01-01T00:00:00Z"})
        assert asked.status_code == 403 and "needs the role admin" in asked.text


def address(text: str, pid: int, action: str) -> str:
    found = re.search(rf'href="(/[^"]*/sessions/{pid}/{action}[^"]*)"', text)
    assert found is not None, text
    return found[1].replace("&amp;", "&")


def fields(text: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(csrf_token|backend_start|confirm)" value="([^"]*)"', text))


async def test_an_admin_terminates_in_two_steps_and_is_written_down(client: httpx.AsyncClient, shop: str) -> None:
    async with session(shop, "BEGIN", "UPDATE orders SET n = 1 WHERE id = 1", name="nightly job") as idle:
        pid = idle.get_server_pid()
        async with session(shop, name="web") as other:
            task = asyncio.create_task(other.execute("UPDATE orders SET n = 2 WHERE id = 1"))
            path = address(await waiting(client), pid, "terminate")
            asks = await client.get(path)
            assert f"Terminate session {pid}?" in seen(asks.text) and "1 session waits" in seen(asks.text)
            ranges = re.findall(r'<a href="(\?[^"]*range=6h[^"]*)" data-state', asks.text)
            assert len(ranges) == 1 and "backend_start=" in ranges[0]
            assert not idle.is_closed()
            post = path.partition("?")[0]
            unguarded = await client.post(post, data=fields(asks.text) | {"csrf_token": "x"})
            unconfirmed = await client.post(post, data=fields(asks.text) | {"confirm": ""})
            assert (unguarded.status_code, unconfirmed.status_code) == (403, 422)
            assert not idle.is_closed()
            done = await client.post(post, data=fields(asks.text))
            assert (done.status_code, done.headers["location"]) == (303, f"{PAGE}?done=terminate&pid={pid}#now")
            await asyncio.wait_for(task, 30)
            assert f"Session {pid} was terminated." in (await client.get(done.headers["location"])).text
            again = await client.post(post, data=fields(asks.text))
            assert again.status_code == 409 and "There is no session" in again.text
    assert [(who, action, target) for who, action, target, _ in audited(shop)][:1] == [
        ("ann", "terminate session", str(pid))
    ]


async def test_a_statement_is_cancelled_and_its_session_stays(client: httpx.AsyncClient, shop: str) -> None:
    async with session(shop, name="report") as running:
        task = asyncio.create_task(running.execute("SELECT pg_sleep(120)"))
        pid = running.get_server_pid()
        for _ in range(300):
            text = (await client.get(f"{PARTS}/now")).text
            if f"/sessions/{pid}/cancel" in text:
                break
            await asyncio.sleep(0.1)
        path = address(text, pid, "cancel")
        asks = (await client.get(path)).text
        done = await client.post(path.partition("?")[0], data=fields(asks))
        assert done.status_code == 303
        with pytest.raises(asyncpg.QueryCanceledError):
            await asyncio.wait_for(task, 30)
        assert await running.fetchval("SELECT 1") == 1


async def test_what_is_not_there_any_more_is_not_ended(client: httpx.AsyncClient, shop: str) -> None:
    async with session(shop, "BEGIN") as idle:
        path = f"{PAGE}/sessions/{idle.get_server_pid()}/terminate"
        other = await client.get(path, params={"backend_start": "2026-01-01T00:00:00+00:00"})
        assert other.status_code == 404 and "not there any more" in other.text
        lacking = await client.get(path)
        assert lacking.status_code == 422
        assert (await client.get(path.replace("terminate", "kill"))).status_code == 404
        assert (await client.get(f"{PAGE}/sessions/99999999999/terminate")).status_code == 404


@pytest.mark.parametrize(("done", "pid"), [("drop", "7"), ("terminate", "<b>7"), ("terminate", "")])
async def test_the_address_makes_nobody_believe_anything(client: httpx.AsyncClient, done: str, pid: str) -> None:
    assert 'class="done"' not in (await client.get(PAGE, params={"done": done, "pid": pid})).text


async def test_statements_lead_to_their_page_with_marks(
    part: Part, process: Process, now: float, store_url: str
) -> None:
    def act(recorder: Recorder) -> None:
        request(recorder, "/orders", 0.3)
        called(recorder)
        called(recorder, "SELECT 2", 0.001, "57014")
        values = ("GET", "/orders", "postgresql", "SELECT orders", TEXT)
        recorder.counter(meters.HTTP_SERVER_BUDGET, values).add(0.2)

    await process.live(now - 1800, now, act, every=300)
    mine = of_statement(TEXT)
    execute(
        store_url,
        "INSERT INTO watchglass.plan_events VALUES"
        f" (to_timestamp({now - 60}), 'shop', '{mine}', 'a', 'b', 'A sequential scan, before an index scan.')",
        "INSERT INTO watchglass.advice (service_name, id, fingerprint, statement, verified)"
        f" VALUES ('shop', 'x', '{mine}', 'CREATE INDEX', true)",
    )
    text = await part("statements", range="1h")
    rows = re.findall(r"<tr id=.*?</tr>", text, re.S)
    assert len(rows) == 2 and f'href="/ui/monitoring/statements/{mine}?range=1h"' in rows[0]
    assert "GET /orders" in seen(rows[0]) and "plan changed" in seen(rows[0]) and "index advised" in seen(rows[0])
    assert 'title="A sequential scan, before an index scan."' in rows[0]
    assert "plan changed" not in rows[1] and 'data-level="critical"' in rows[1]
    assert re.search(r'aria-sort="descending"><a [^>]*data-state="sort="', text)
    only = await part("statements", range="1h", only="errors", sort="calls")
    assert "1 of 2 statements fit." in only and mine not in only
    assert "No statement of this window fits." in await part("statements", range="1h", find="nothing")


async def test_without_pg_stat_statements_the_page_says_how_to_get_it(
    part: Part, process: Process, now: float, store_url: str
) -> None:
    command = "CREATE EXTENSION pg_stat_statements;"
    fact = {"problem": "The extension is not created.", "remedy": "As a superuser:", "command": command}
    value = json.dumps(fact).replace("'", "''")
    execute(store_url, f"INSERT INTO watchglass.facts VALUES ('shop', 'statements', '{value}', to_timestamp({now}))")
    assert command in await part("statements")
    await process.live(now - 1800, now, called, every=300)
    text = seen(await part("statements"))
    assert "The extension is not created. What is listed was measured by the service's client." in text
    assert command in text and TEXT in text


async def test_superfluous_indexes_come_with_the_statement_and_the_age_of_the_statistics(part: Part, shop: str) -> None:
    execute(shop, "CREATE INDEX one ON orders (n)", "CREATE INDEX two ON orders (n, note)")
    text = await part("indexes")
    assert "DROP INDEX CONCURRENTLY public.one" in text and "two begins with the same keys." in seen(text)
    assert "Scans are counted since" in seen(text) and "less than a week" in seen(text)


async def test_health_has_every_check_with_its_sign_and_the_manual(part: Part, shop: str) -> None:
    text = await part("health")
    checks = re.findall(r'<article class="check is-(\w+)".*?</article>', text, re.S)
    assert len(checks) == 9 and set(checks) <= {"good", "attention", "bad", "unknown"}
    assert text.count("https://www.postgresql.org/docs/") == 9


async def test_the_one_page_leads_here(client: httpx.AsyncClient) -> None:
    text = (await client.get("/ui/monitoring/cards/overview", params={"range": "6h"})).text
    assert f'<a href="{PAGE}?range=6h">PostgreSQL</a>' in text


async def test_a_stranger_sees_nothing(stranger: httpx.AsyncClient) -> None:
    assert (await stranger.get(PAGE)).status_code == 303
    for path in (f"{PARTS}/now", f"{PAGE}/sessions/1/terminate"):
        assert (await stranger.get(path, headers={"hx-request": "true"})).status_code == 401
    assert (await stranger.post(f"{PAGE}/sessions/1/terminate")).status_code in (401, 403)
