"""Traces in a real browser: from a slow endpoint to what took its time, and the way there from everywhere."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from support.readable import DANGLING, FAINT, TWICE, UNLABELLED, UNNAMED
from support.traces import BOOKS, Writing, child, kept, log, statement
from watchglass.analysis.fingerprints import of_statement
from watchglass.records import ErrorCount, Trace

TRACES = "/ui/monitoring/traces"
PATIENCE = 30_000
LOADED = "body:not(:has([data-body][aria-busy]))"

Open = Callable[..., Awaitable[Page]]

EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>\u202e\x1b[2J"


@pytest_asyncio.fixture(loop_scope="session")
async def writing(store_url: str) -> AsyncIterator[Writing]:
    """Another process of the shop, whose traces the test writes."""
    made = Writing(store_url)
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def visit(page: Page) -> AsyncIterator[Open]:
    """`await visit(shop, "/traces?status=500")` logs in and opens a page of ours once it has its content."""

    async def open_(shop: Any, path: str) -> Page:
        await page.goto(await shop.link(f"/ui/monitoring{path}"))
        await page.wait_for_url(f"**/ui/monitoring{path.partition('?')[0]}*")
        await page.wait_for_selector(LOADED, timeout=PATIENCE)
        return page

    yield open_


def order(now: float, evil: str = "") -> Trace:
    """A request that asks for 26 books one after another, below a span of its own."""
    loading = child("load books", 0.01, 0.6, kind="internal")
    books = [
        child("SELECT books", 0.02 + number * 0.02, 0.039 + number * 0.02, statement(), parent_id=loading.span_id)
        for number in range(26)
    ]
    redis = {"db.system.name": "redis", "db.query.text": "GET book:{id}"}
    cached = child("GET", 0.7, 0.71, {**redis, "watchglass.cache.type": "book", "watchglass.cache.result": "miss"})
    last = child(f"render {evil}", 0.8, 0.85, {"note": evil} if evil else {}, kind="internal")
    trace = kept(now, loading, *books, cached, last, seconds=0.9, route="/orders/{id}", status=500, error="ValueError")
    return replace(trace, reason="error", error_group="ab12")


def address(trace: Trace) -> str:
    return f"/traces/{trace.root.trace_id:032x}"


def row(page: Page, text: str) -> Locator:
    return page.locator(".rows-of-trace .row", has_text=text)


async def names(page: Page) -> list[str]:
    return [" ".join(text.split()) for text in await page.locator(".rows-of-trace .row .what").all_inner_texts()]


async def test_from_a_slow_endpoint_to_its_waterfall_in_two_clicks(shop: Any, opened: Open) -> None:
    await shop.ask("/slow", 3)
    page = await opened(shop, "?range=15m")
    await expect(page.get_by_role("link", name="GET /slow")).to_be_visible(timeout=PATIENCE)
    await page.get_by_role("link", name="GET /slow").click()
    await page.locator(".examples a[href*='/traces/']").first.click(timeout=PATIENCE)
    await page.wait_for_url(re.compile(r"/ui/monitoring/traces/[0-9a-f]{32}"))
    await expect(page.locator(".row.span", has_text="GET /slow")).to_be_visible(timeout=PATIENCE)
    await expect(page.locator(".waterfall .says")).to_contain_text("Took 4")


async def test_the_traces_below_an_endpoint_stay_while_the_page_lives(shop: Any, opened: Open) -> None:
    await shop.ask("/slow", 3)
    page = await opened(shop, "?range=15m")
    await page.get_by_role("link", name="GET /slow").click(timeout=PATIENCE)
    await expect(page.locator(".examples tbody tr").first).to_be_visible(timeout=PATIENCE)
    async with page.expect_response(re.compile("cards/endpoints"), timeout=PATIENCE):
        pass
    await page.wait_for_timeout(300)
    await expect(page.locator(".examples tbody tr").first).to_be_visible()


async def test_similar_statements_are_said_folded_and_opened(shop: Any, writing: Writing, visit: Open) -> None:
    trace = order(time.time() - 30)
    await writing.write(trace)
    page = await visit(shop, address(trace))
    await expect(page.locator(".finding-line")).to_contain_text("take 55 % of this request")
    assert len(await names(page)) == 5
    await page.locator("#g0 a").click()
    await page.wait_for_url("**open=g0*")
    await expect(row(page, "SELECT books")).to_have_count(26, timeout=PATIENCE)
    await page.go_back()
    await expect(row(page, "SELECT books")).to_have_count(0, timeout=PATIENCE)
    await expect(page.locator(".row.on-path rect.critical").first).to_be_attached()


async def test_log_lines_are_among_the_spans_and_lead_to_the_log(shop: Any, writing: Writing, visit: Open) -> None:
    now = time.time() - 30
    trace = order(now)
    lines = [log(now + 0.65, "no price found", trace), log(now + 0.87, "order failed", trace)]
    lines[1] = replace(lines[1], severity=17, level="ERROR", exception="Traceback\nValueError: no price")
    await writing.write(trace, logs=lines)
    page = await visit(shop, address(trace))
    wanted = ("GET /orders", "load books", "26 similar", "no price found", "GET", "render", "order failed")
    for name, text in zip(await names(page), wanted, strict=True):
        assert text in name
    await row(page, "order failed").locator("summary").click()
    await expect(row(page, "order failed").locator(".details")).to_contain_text("ValueError: no price")
    await expect(row(page, "order failed")).to_have_class(re.compile("is-critical"))
    await page.get_by_role("link", name="Its lines in the log").click()
    await page.wait_for_url(f"**/ui/monitoring/logs?*trace_id={trace.root.trace_id:032x}")
    await expect(page.locator(".line", has_text="order failed")).to_be_visible(timeout=PATIENCE)


async def test_a_statement_opens_and_leads_to_other_traces_with_it(shop: Any, writing: Writing, visit: Open) -> None:
    now = time.time() - 30
    trace = kept(now, child("SELECT books", 0.01, 0.05, statement()), seconds=0.1)
    await writing.write(trace, kept(now - 1, route="/other"))
    page = await visit(shop, address(trace))
    await row(page, "SELECT books").locator("summary").click()
    await expect(row(page, "SELECT books").locator("pre")).to_have_text(BOOKS)
    await row(page, "SELECT books").get_by_role("link", name="Traces with this statement").click()
    await page.wait_for_url(f"**{TRACES}?statement={of_statement(BOOKS)}")
    await expect(page.locator("#traces tbody tr")).to_have_count(1, timeout=PATIENCE)


async def test_everything_works_by_keyboard(shop: Any, writing: Writing, visit: Open) -> None:
    trace = order(time.time() - 30)
    await writing.write(trace)
    page = await visit(shop, "/traces")
    await expect(page.locator("#traces tbody tr")).to_have_count(1, timeout=PATIENCE)
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**{address(trace)}*")
    await expect(page.locator("#g0")).to_be_visible(timeout=PATIENCE)
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(row(page, "load books").locator(".details")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(row(page, "load books").locator(".details")).to_be_hidden()
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator("#g0")).to_have_count(0, timeout=PATIENCE)
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("#g0")).to_be_visible(timeout=PATIENCE)


async def test_the_search_is_in_the_address(shop: Any, writing: Writing, visit: Open) -> None:
    now = time.time() - 30
    await writing.write(order(now), kept(now, route="/fast", seconds=0.01), kept(now, route="/gone", status=404))
    page = await visit(shop, "/traces")
    found = page.locator("#traces tbody tr")
    await expect(found).to_have_count(3, timeout=PATIENCE)
    await page.keyboard.press("/")
    await page.keyboard.type("GET /fast")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**endpoint=GET*")
    await expect(found).to_have_count(1, timeout=PATIENCE)
    await page.get_by_label("Endpoint").fill("")
    await page.get_by_label("Longer than").fill("500 ms")
    await page.get_by_label("Longer than").press("Enter")
    await page.wait_for_url("**min_duration=500+ms*")
    await expect(found).to_contain_text(["/orders/{id}"], timeout=PATIENCE)
    await page.reload()
    await expect(page.get_by_label("Longer than")).to_have_value("500 ms")
    await page.get_by_label("Errors only").check()
    await page.wait_for_url("**error=true*")
    await page.go_back()
    await expect(page.get_by_label("Errors only")).not_to_be_checked()


async def test_errors_of_the_tile_lead_to_their_groups_and_an_example(
    shop: Any, writing: Writing, history: None, opened: Open
) -> None:
    now = time.time() - 30
    trace = order(now)
    stack = 'File "shop.py", line 3, in price\nValueError: no price'
    counted = ErrorCount("ab12", "ValueError", "shop:price", "no price", stack, now - 300, now, 7)
    await writing.write(trace, errors=[counted])
    page = await opened(shop)
    await page.locator("#tile_api").get_by_role("link", name="Errors").click()
    await page.wait_for_url(f"**{TRACES}?*view=errors*")
    group = page.locator("#errors tbody tr")
    await expect(group).to_have_count(1, timeout=PATIENCE)
    await group.locator("summary").click()
    await expect(group.locator("pre")).to_contain_text("line 3, in price")
    await group.get_by_role("link", name="Example").click()
    await page.wait_for_url(f"**{address(trace)}*")


async def test_a_point_of_the_chart_leads_to_the_traces_of_its_slot(shop: Any, history: None, opened: Open) -> None:
    page = await opened(shop)
    canvas = page.locator("#latency-chart canvas")
    await expect(canvas).to_be_visible(timeout=PATIENCE)
    box = await canvas.bounding_box()
    assert box is not None
    for part in range(2, 20):
        await canvas.click(position={"x": box["width"] / 2, "y": box["height"] * part / 22})
        if "/traces?" in page.url:
            break
    await page.wait_for_url(re.compile(r"/ui/monitoring/traces\?start=[^&]+&end=[^&]+&min_duration=0\.\d+"))
    await page.wait_for_selector(LOADED, timeout=PATIENCE)
    assert await page.get_by_label("Longer than").input_value() != ""


async def test_a_slow_statement_leads_to_its_traces(shop: Any, history: None, opened: Open) -> None:
    page = await opened(shop)
    await page.locator("#slow_statements").get_by_label("Traces with this statement").first.click()
    await page.wait_for_url(re.compile(r"/ui/monitoring/traces\?.*statement=[0-9a-f]{16}"))


async def test_a_large_trace_stays_usable(shop: Any, writing: Writing, visit: Open) -> None:
    steps = [child(f"step {number}", number / 1000, (number + 0.9) / 1000, kind="internal") for number in range(900)]
    trace = kept(time.time() - 30, *steps, seconds=1.0)
    await writing.write(trace)
    page = await visit(shop, address(trace))
    await expect(page.locator(".rows-of-trace .row")).to_have_count(300)
    await page.locator("#more-rows").click()
    await expect(page.locator(".rows-of-trace .row")).to_have_count(600, timeout=PATIENCE)


async def test_the_black_box_is_frozen_and_read(shop: Any, visit: Open) -> None:
    await shop.ask("/slow", 2)
    await shop.says("just before")
    page = await visit(shop, "/incidents")
    await page.get_by_label("What it is about").fill("why so slow")
    await page.get_by_role("button", name="Freeze now").click()
    await page.wait_for_url(re.compile(r"/ui/monitoring/incidents/\w+"))
    await expect(page.get_by_role("heading", name="why so slow")).to_be_visible(timeout=PATIENCE)
    timeline = page.get_by_role("list", name="Requests and log lines")
    await expect(timeline.locator(".line", has_text="GET /slow").first).to_be_visible()
    await expect(timeline.locator(".line", has_text="just before").first).to_be_visible()
    await expect(page.locator(".thread", has_text="watchglass-export").first).to_be_visible()
    await page.get_by_role("link", name="All incidents").click()
    await expect(page.get_by_role("link", name="why so slow")).to_be_visible(timeout=PATIENCE)


async def test_nothing_hostile_runs_or_hides(shop: Any, writing: Writing, visit: Open) -> None:
    now = time.time() - 30
    trace = order(now, EVIL)
    line = replace(log(now + 0.1, EVIL, trace), logger=EVIL, fields={EVIL: EVIL}, exception=EVIL)
    await writing.write(trace, logs=[line], errors=[ErrorCount("ab12", EVIL, EVIL, EVIL, EVIL, now, now, 1)])
    for path in (address(trace), "/traces?view=errors"):
        page = await visit(shop, path)
        await page.evaluate("document.querySelectorAll('details').forEach(one => (one.open = true))")
        await page.wait_for_timeout(200)
        assert "owned" not in await page.title()
        assert await page.locator("main :is(img, script)").count() == 0
        shown = await page.locator("main").inner_text()
        assert "<img src=x" in shown and "\u202e" not in shown and "\x1b" not in shown


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_everyone_can_read_it(shop: Any, writing: Writing, visit: Open, page: Page, scheme: str) -> None:
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    now = time.time() - 30
    trace = order(now)
    line = replace(log(now + 0.1, "look", trace), severity=13, level="WARNING")
    await writing.write(trace, logs=[line], errors=[ErrorCount("ab12", "E", "f", "m", "s", now, now, 1)])
    for path in (address(trace) + "?open=g0", "/traces", "/traces?view=errors", "/incidents"):
        await visit(shop, path)
        for nothing in (FAINT, UNNAMED, TWICE, DANGLING, UNLABELLED):
            assert await page.evaluate(nothing) == [], path


@pytest.mark.parametrize("width", [390, 720, 1440])
async def test_nothing_leaves_the_screen_sideways(
    shop: Any, writing: Writing, visit: Open, page: Page, width: int
) -> None:
    await page.set_viewport_size({"width": width, "height": 800})
    now = time.time() - 30
    long = "x" * 300
    trace = order(now, long)
    lines = [log(now + 0.1, long, trace)]
    await writing.write(trace, logs=lines, errors=[ErrorCount("ab12", long, long, long, long, now, now, 1)])
    for path in (address(trace), "/traces", "/traces?view=errors", "/incidents"):
        await visit(shop, path)
        await page.evaluate("document.querySelectorAll('details').forEach(one => (one.open = true))")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
