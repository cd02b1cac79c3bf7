"""From a slow endpoint to the statement, its plan and the index in two clicks; then the index is made, and measured."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from fastapi import FastAPI
from playwright.async_api import Browser, Page, expect

from support.databases import execute
from support.pipelines import fetch, until
from support.readable import DANGLING, FAINT, TWICE, UNLABELLED, UNNAMED
from watchglass.analysis.fingerprints import of_statement

ORDERS = """
CREATE TABLE orders (id integer PRIMARY KEY, reference text NOT NULL, total integer NOT NULL);
INSERT INTO orders SELECT i, 'R' || i, i % 500 FROM generate_series(1, 60000) AS i;
ANALYZE orders;
"""
SLOW = "SELECT id, total FROM orders WHERE reference = $1"
PAGE = "/ui/monitoring/advanced"
STATEMENT = f"/ui/monitoring/statements/{of_statement(SLOW)}"
INDEX = "CREATE INDEX CONCURRENTLY ON public.orders (reference);"
LOADED = "body:not(:has([data-body][aria-busy]))"
CALLS = 20

Open = Callable[..., Awaitable[Page]]
Begin = Callable[..., Any]


def build(store_url: str) -> FastAPI:
    app = FastAPI()

    @app.get("/orders/{reference}")
    async def order(reference: str) -> int:
        connection = await asyncpg.connect(store_url)
        try:
            return len(await connection.fetch(SLOW, reference))
        finally:
            await connection.close()

    return app


@pytest.fixture
def begin(start: Callable[..., Any], store_url: str) -> Begin:
    """`begin(**settings)` serves a shop whose orders are found slowly."""
    execute(store_url, ORDERS)
    return partial(start, store_url, build(store_url), slow_statement_seconds=0.001)


@pytest_asyncio.fixture(loop_scope="session")
async def orders(begin: Begin, store_url: str) -> Any:
    """A shop that may run statements as another role, and whose slow statement has its plan."""
    return await with_plan(begin(explain_database_url=store_url))


async def with_plan(shop: Any) -> Any:
    await shop.ask("/orders/R7", CALLS)
    until(lambda: bool(fetch(shop.store_url, "SELECT FROM watchglass.plans")), seconds=60.0)
    return shop


@pytest_asyncio.fixture(loop_scope="session")
async def visit(page: Page) -> AsyncIterator[Open]:
    """`await visit(shop)` logs in and opens the page of the statement, once it has its content."""

    async def open_(shop: Any, query: str = "?range=15m") -> Page:
        await page.goto(await shop.link(STATEMENT + query))
        await page.wait_for_url(f"**{STATEMENT}*")
        await page.wait_for_selector(LOADED)
        return page

    yield open_


async def test_from_a_slow_endpoint_to_the_index_in_two_clicks_and_what_it_brings(orders: Any, page: Page) -> None:
    await page.goto(await orders.link(f"{PAGE}?range=15m"))
    await page.get_by_role("link", name="GET /orders/{reference}").click()
    await page.locator("#endpoints .opened").get_by_role("link", name=SLOW).click()

    await page.wait_for_url(f"**{STATEMENT}?range=15m")
    await expect(page.locator("#plan .says")).to_contain_text("A sequential scan of orders makes up")
    await expect(page.locator(".plan .reads-all")).to_contain_text(re.compile(r"Seq Scan\s*orders\s*reads all"))
    index = page.locator("#advice .index .command code")
    await expect(index).to_have_text(INDEX)
    await expect(page.locator("#statement-text")).to_have_text(SLOW)
    await expect(page.locator("#statement").get_by_role("link", name="GET /orders/{reference}")).to_be_visible()

    execute(orders.store_url, str(await index.text_content()))
    await page.reload()
    await expect(page.locator("#advice .built")).to_contain_text("the statement was not called since")
    await expect(index).to_have_count(0)
    measured = re.compile(r"P95 was .+ before the index, and is .+ since, of \d+ calls")
    for _ in range(60):
        await orders.ask("/orders/R8", CALLS)
        await page.reload()
        await page.wait_for_selector(LOADED)
        if measured.search(await page.locator("#advice").inner_text()):
            break
        await page.wait_for_timeout(1_000)
    await expect(page.locator("#advice .built h3")).to_contain_text(measured)
    await expect(page.locator("#advice .built .pair")).to_contain_text("P95 since")


async def test_a_slow_statement_on_the_page_of_everything_leads_to_its_page(orders: Any, page: Page) -> None:
    await page.goto(await orders.link(f"{PAGE}?range=15m"))
    await page.locator("#slow_statements").get_by_role("link", name=SLOW).click()
    await page.wait_for_url(f"**{STATEMENT}?range=15m")
    await page.locator("#ran tbody a").first.click()
    await page.wait_for_url(re.compile(r"/ui/monitoring/traces/[0-9a-f]{32}"))
    await page.locator(".row.span", has_text="SELECT orders").locator("summary").click()
    await page.get_by_role("link", name="Its plan and advice").click()
    await page.wait_for_url(f"**{STATEMENT}?start=*")


async def test_an_admin_has_it_run_after_a_second_thought(orders: Any, visit: Open) -> None:
    page = await visit(orders)
    await expect(page.locator("#plan")).not_to_contain_text("Rows that came")
    run = page.get_by_role("button", name="Run it now")
    await expect(run).to_be_hidden()
    await page.get_by_text("EXPLAIN ANALYZE", exact=True).click()
    await expect(page.locator(".run")).to_contain_text("in a transaction that is rolled back")
    await run.click()
    await page.wait_for_url(re.compile(rf"{STATEMENT}\?.*plan=\d+"))
    await expect(page.locator("#plan")).to_contain_text("Executed by EXPLAIN ANALYZE")
    await expect(page.locator(".plan .worst")).to_contain_text("59,999 rows read and thrown away")
    assert fetch(orders.store_url, "SELECT FROM watchglass.audit WHERE action = 'explain analyze'")
    earlier = page.locator("#plan .list tr", has_text="with parameters").get_by_role("link")
    await earlier.click()
    await expect(page.locator("#plan")).to_contain_text("Planned with the parameters of an execution")
    await page.go_back()
    await expect(page.locator("#plan")).to_contain_text("Executed by EXPLAIN ANALYZE")


async def test_without_a_role_that_may_only_read_it_says_how_to_make_one(begin: Begin, visit: Open) -> None:
    page = await visit(await with_plan(begin()))
    await expect(page.locator(".runs")).to_contain_text("needs a role that may only read")
    await expect(page.locator(".runs code")).to_have_text("watchglass migrate --explain-role watchglass_explain")
    await expect(page.get_by_role("button", name="Run it now")).to_have_count(0)


async def test_everything_is_copied_and_reached_without_a_mouse(orders: Any, visit: Open, page: Page) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await visit(orders)
    for wanted in ("caller-", "index-", "step-"):
        await page.keyboard.press("j")
        assert str(await page.evaluate("document.activeElement.id")).startswith(wanted)
    copied = "navigator.clipboard.readText()"
    await page.get_by_role("button", name="Copy as JSON").press("Enter")
    await expect(page.get_by_role("button", name="Copied as JSON")).to_be_visible()
    assert '"Node Type": "Seq Scan"' in await page.evaluate(copied)
    await page.get_by_role("button", name="Copy as text").press("Enter")
    await expect(page.get_by_role("button", name="Copied as text")).to_be_visible()
    assert (await page.evaluate(copied)).startswith("Seq Scan on orders")
    await page.locator("#advice .command button").press("Enter")
    await expect(page.locator("#advice .command button")).to_have_text("Copied")
    assert await page.evaluate(copied) == INDEX


async def test_what_was_opened_stays_open_and_a_range_shows_another_window(orders: Any, visit: Open) -> None:
    page = await visit(orders)
    await page.get_by_text("As text", exact=True).click()
    await page.get_by_text("EXPLAIN ANALYZE", exact=True).click()
    async with page.expect_response(re.compile(r"/parts/statements/\w+/plan")):
        pass
    await page.wait_for_timeout(300)
    await expect(page.locator("#plan-as-text")).to_be_visible()
    await expect(page.get_by_role("button", name="Run it now")).to_be_visible()
    await page.get_by_role("link", name="6h").click()
    await expect(page).to_have_url(re.compile("range=6h"))
    await expect(page.locator("#statement-chart canvas")).to_be_visible()


async def test_without_scripts_it_is_all_there(orders: Any, browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=False)
    try:
        page = await context.new_page()
        await page.goto(await orders.link(f"{STATEMENT}?range=15m"))
        await page.get_by_role("button", name="Log in").click()
        await page.wait_for_url(re.compile(rf"{STATEMENT}\?.*whole=1"))
        await expect(page.locator("#advice .index code")).to_have_text(INDEX)
        await expect(page.locator(".plan .reads-all")).to_contain_text("Seq Scan")
        await expect(page.locator("#figures")).to_contain_text("As the service saw it")
        await expect(page.locator("#ran tbody tr").first).to_be_visible()
        assert await page.locator("[data-copy]:visible, .bone:visible").count() == 0
        await page.get_by_text("EXPLAIN ANALYZE", exact=True).click()
        await page.get_by_role("button", name="Run it now").click()
        await page.wait_for_url(re.compile(r"plan=\d+"))
        await page.wait_for_url(re.compile(r"whole=1"))
        await expect(page.locator("#plan")).to_contain_text("Executed by EXPLAIN ANALYZE")
    finally:
        await context.close()


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_everyone_can_read_it(orders: Any, visit: Open, page: Page, scheme: str) -> None:
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    await visit(orders)
    await page.evaluate("document.querySelectorAll('details').forEach(one => (one.open = true))")
    for nothing in (FAINT, UNNAMED, TWICE, DANGLING, UNLABELLED):
        assert await page.evaluate(nothing) == []


@pytest.mark.parametrize("width", [390, 720, 1440])
async def test_nothing_leaves_the_screen_sideways(orders: Any, visit: Open, page: Page, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 800})
    await visit(orders)
    await page.evaluate("document.querySelectorAll('details').forEach(one => (one.open = true))")
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
