"""PostgreSQL's page in a real browser: a real lock chain, who holds it, and ending it, without a script as well."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from support.databases import execute
from support.locking import audited, requests, session
from support.readable import DANGLING, FAINT, TWICE, UNLABELLED, UNNAMED
from support.service import Service
from watchglass.store.access import Access

PAGE = "/ui/monitoring/postgresql"
PATIENCE = 60_000
LOADED = "body:not(:has([data-body][aria-busy]))"

Open = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(loop_scope="session")
async def visit(dsn: str, service: Service, page: Page) -> AsyncIterator[Open]:
    """`await visit("?sort=p95")` logs in, opens the page and waits until each part has its content."""

    async def open_(query: str = "", on: Page = page, path: str = PAGE) -> Page:
        await on.goto(await link(dsn, service, path + query))
        await on.wait_for_url(f"**{path}*")
        await on.wait_for_selector(LOADED, timeout=PATIENCE)
        return on

    yield open_


async def link(dsn: str, service: Service, wanted: str) -> str:
    """A one-time login link that leads there."""
    access = Access(dsn)
    token = await access.new_login_token()
    await access.close()
    return f"{service.url}/ui/monitoring/login?{httpx.QueryParams({'token': token, 'next': wanted})}"


@asynccontextmanager
async def chain(service: Service) -> AsyncIterator[list[asyncio.Task[httpx.Response]]]:
    """A request that holds a row, one that waits for it and holds another, and one that waits for that."""
    begun = (service, "POST", "/orders/1"), (service, "POST", "/moves/2/1"), (service, "PUT", "/orders/2")
    async with requests(*begun) as tasks:
        yield tasks


async def shown(page: Page) -> None:
    """Wait until the tree has the chain, with the requests that are in it."""
    whole = page.locator("#locks .tree > li > ul > li > ul > li")
    await expect(whole).to_contain_text("PUT /orders/{order}", timeout=PATIENCE)
    await expect(root(page)).to_contain_text("POST /orders/{order}", timeout=PATIENCE)


def root(page: Page) -> Any:
    return page.locator("#locks .tree > li > .session").first


async def test_a_lock_chain_names_the_endpoint_that_holds_it_and_leads_there(service: Service, visit: Open) -> None:
    async with chain(service):
        page = await visit()
        await shown(page)
        await expect(root(page)).to_contain_text("holds up 2 sessions")
        await expect(page.locator(".headline .says")).to_contain_text(
            re.compile(r"2 sessions wait for locks of session \d+ \(POST /orders/\{order\}\), the longest for"),
            timeout=PATIENCE,
        )
        await page.locator(".headline .says a").click()
        await page.wait_for_url(re.compile(r"#lock-\d+$"))
        trace = root(page).locator("a.to-trace")
        await expect(trace).to_have_attribute("href", re.compile(r"/ui/monitoring/traces/[0-9a-f]{32}"))
        await root(page).get_by_role("link", name="POST /orders/{order}").click()
        await page.wait_for_url(re.compile(r"/ui/monitoring/advanced\?.*endpoint="))
        await page.go_back()
        await shown(page)
        await root(page).locator("a.to-trace").click()
        await page.wait_for_url(re.compile(r"/ui/monitoring/traces/[0-9a-f]{32}"))
        await page.wait_for_selector(LOADED, timeout=PATIENCE)
        await expect(page.locator("main")).to_contain_text("POST /orders/{order}", timeout=PATIENCE)


@pytest.mark.parametrize("script", [True, False])
async def test_an_admin_frees_those_that_wait(
    service: Service, dsn: str, visit: Open, browser: Browser, script: bool
) -> None:
    context = await browser.new_context(java_script_enabled=script)
    page = await context.new_page()
    async with chain(service) as tasks:
        await page.goto(await link(dsn, service, PAGE))
        if not script:
            await page.get_by_role("button", name="Log in").click()
        await page.wait_for_url(f"**{PAGE}*")
        for _ in range(60):
            if await root(page).get_by_role("link", name="Terminate").count():
                break
            await page.wait_for_timeout(500)
            await page.reload()
        await root(page).get_by_role("link", name="Terminate").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(r"Terminate session \d+\?"))
        await expect(page.locator("main")).to_contain_text("2 sessions wait because of it.")
        assert not any(task.done() for task in tasks)
        await page.get_by_role("button", name="Terminate").click()
        await page.wait_for_url(re.compile(rf"{PAGE}\?done=terminate&pid=\d+"))
        await expect(page.get_by_role("status").first).to_contain_text("was terminated.")
        freed = await asyncio.wait_for(asyncio.gather(*tasks[1:]), 60)
        assert [one.status_code for one in freed] == [200, 200]
    await context.close()
    assert [action for _, action, *_ in audited(dsn)] == ["terminate session"]


async def test_what_was_left_is_left(service: Service, visit: Open) -> None:
    async with chain(service) as tasks:
        page = await visit()
        await shown(page)
        for key in ("Enter", "Escape"):
            await root(page).get_by_role("link", name="Terminate").click()
            await page.get_by_role("link", name="Leave it").press(key)
            await page.wait_for_url(f"**{PAGE}*#now")
            await shown(page)
        assert not any(task.done() for task in tasks)


async def test_the_page_follows_what_happens_and_what_is_open_stays(dsn: str, visit: Open) -> None:
    page = await visit()
    await expect(page.locator("#idle-in-transaction")).to_contain_text("None.")
    async with session(dsn, "BEGIN", "SELECT count(*) FROM orders", name="nightly job") as idle:
        entry = page.locator(f"#idle-in-transaction-{idle.get_server_pid()}")
        await expect(entry).to_contain_text("nightly job", timeout=PATIENCE)
        await entry.locator("summary").click()
        async with page.expect_response(re.compile("parts/postgresql/now"), timeout=PATIENCE):
            pass
        await page.wait_for_timeout(300)
        await expect(entry.locator("pre")).to_be_visible()
    await expect(entry).to_have_count(0, timeout=PATIENCE)


async def test_it_is_read_by_keyboard(dsn: str, visit: Open) -> None:
    async with session(dsn, "BEGIN", "SELECT count(*) FROM orders") as idle:
        page = await visit()
        entry = page.locator(f"#idle-in-transaction-{idle.get_server_pid()}")
        await expect(entry).to_be_visible(timeout=PATIENCE)
        await page.keyboard.press("/")
        await expect(page.get_by_label("Find")).to_be_focused()
        await page.keyboard.press("Escape")
        for _ in range(20):
            await page.keyboard.press("j")
            if await entry.evaluate("one => one === document.activeElement"):
                break
        await page.keyboard.press("Enter")
        await expect(entry.locator("pre")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(entry.locator("pre")).to_be_hidden()


async def test_statements_are_found_sorted_and_opened(service: Service, visit: Open) -> None:
    async with httpx.AsyncClient(base_url=service.url) as client:
        for order in (3, 4, 5):
            await client.put(f"/orders/{order}")
        await client.post("/control/flush")
    page = await visit("?range=15m")
    rows = page.locator("#statements-part tbody tr")
    await expect(rows.first).to_be_visible(timeout=PATIENCE)
    await page.get_by_role("link", name="Calls", exact=True).click()
    await page.wait_for_url("**sort=calls*")
    await expect(page.locator("[aria-sort]")).to_have_text("Calls", timeout=PATIENCE)
    await page.get_by_label("Find").fill("no such statement")
    await page.get_by_label("Find").press("Enter")
    await expect(page.locator("#statements-part")).to_contain_text(
        "No statement of this window fits.", timeout=PATIENCE
    )
    await page.get_by_label("Find").fill("PUT /orders")
    await page.get_by_label("Find").press("Enter")
    await expect(rows).to_have_count(1, timeout=PATIENCE)
    await page.get_by_role("heading", level=1).click()
    await page.go_back()
    await expect(page.get_by_label("Find")).to_have_value("no such statement")
    await page.go_forward()
    await expect(rows).to_have_count(1, timeout=PATIENCE)
    await rows.locator("a.opens").click()
    await page.wait_for_url(re.compile(r"/ui/monitoring/statements/[0-9a-f]{16}\?range=15m"))


async def test_a_change_of_the_filter_leaves_dear_questions_alone(visit: Open) -> None:
    page = await visit()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.partition("?")[0].rpartition("/")[2]))
    async with page.expect_response(re.compile("parts/postgresql/statements"), timeout=PATIENCE):
        await page.get_by_label("Only those").select_option("errors")
    assert "statements" in asked and not {"advice", "indexes", "health"} & set(asked)


async def test_what_failed_is_asked_for_again_soon(
    dsn: str, service: Service, page: Page, page_problems: list[str]
) -> None:
    part = "**/parts/postgresql/advice*"  # which is asked for every five minutes
    body = '<p class="sentence" data-problem="It is away.">It is away.</p>'
    await page.route(part, lambda route: route.fulfill(status=503, content_type="text/html", body=body))
    await page.goto(await link(dsn, service, PAGE))
    await page.wait_for_url(f"**{PAGE}*")
    notice = page.locator("[data-notice]")
    await expect(notice).to_contain_text("It is away.", timeout=PATIENCE)
    await page.unroute(part)
    await expect(notice).to_be_hidden(timeout=2 * PATIENCE)
    await expect(page.locator("#advice")).not_to_contain_text("It is away.", timeout=PATIENCE)
    assert page_problems and all("503" in one for one in page_problems)
    page_problems.clear()


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_everyone_can_read_it(service: Service, visit: Open, page: Page, scheme: str) -> None:
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    async with chain(service):
        await visit()
        await shown(page)
        for nothing in (FAINT, UNNAMED, TWICE, DANGLING, UNLABELLED):
            assert await page.evaluate(nothing) == []
        await root(page).get_by_role("link", name="Terminate").click()
        await page.wait_for_url("**/terminate?*")
        for nothing in (FAINT, UNNAMED, TWICE, DANGLING, UNLABELLED):
            assert await page.evaluate(nothing) == []


@pytest.mark.parametrize("width", [400, 720, 1440])
async def test_nothing_leaves_the_screen_sideways(
    service: Service, dsn: str, visit: Open, page: Page, width: int
) -> None:
    await page.set_viewport_size({"width": width, "height": 800})
    long = "x" * 60
    execute(dsn, f"CREATE TABLE {long} (id int)", *(f"CREATE INDEX {long[:50]}_{n} ON {long} (id)" for n in range(2)))
    async with chain(service), session(dsn, "BEGIN", f"SELECT id AS {long} FROM {long}", name=long):
        await visit()
        await shown(page)
        await page.evaluate("document.querySelectorAll('details').forEach(one => (one.open = true))")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        await root(page).get_by_role("link", name="Terminate").click()
        await page.wait_for_url("**/terminate?*")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_a_link_leads_here_from_every_page(visit: Open) -> None:
    page = await visit(path="/ui/monitoring/traces", query="?range=6h")
    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="PostgreSQL").click()
    await page.wait_for_url(f"**{PAGE}?range=6h")
    await page.wait_for_selector(LOADED, timeout=PATIENCE)
    await expect(page.get_by_role("heading", level=1)).to_have_text("PostgreSQL")
