"""The log in a real browser: lines as they come, a pause, filters, the way to a trace, and nothing that runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from support.readable import DANGLING, FAINT, TWICE, UNLABELLED, UNNAMED

LOGS = "/ui/monitoring/logs"
PATIENCE = 30_000

KEEP_SOURCES = """
window.EventSource = class extends EventSource {
    constructor(...args) { super(...args); (window.sources ??= []).push(this); }
};
"""

Open = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(loop_scope="session")
async def log(page: Page) -> AsyncIterator[Open]:
    """`await log(shop, "?level=ERROR")` logs in and opens the log once it is live, or shows its window."""

    async def open_(shop: Any, query: str = "") -> Page:
        await page.goto(await shop.link(LOGS + query))
        await page.wait_for_url(f"**{LOGS}*")
        await page.wait_for_selector(".log:is([data-state=live], [data-state=fixed])", timeout=PATIENCE)
        return page

    yield open_


def line(page: Page, text: str) -> Any:
    return page.locator(".line", has_text=text)


async def messages(page: Page, holding: str) -> list[str]:
    texts = await page.locator(".line .message").all_inner_texts()
    return [text.split(" ")[0] for text in texts if holding in text]


async def test_lines_appear_as_they_are_logged_in_their_order(shop: Any, log: Open) -> None:
    page = await log(shop)
    await shop.says(*(f"live-{number}" for number in range(20)))
    await expect(line(page, "live-19")).to_be_visible(timeout=PATIENCE)
    assert await messages(page, "live-") == [f"live-{number}" for number in range(20)]


async def test_what_was_logged_before_is_there_too(shop: Any, log: Open) -> None:
    await shop.says("before-1", "before-2")
    page = await log(shop)
    await expect(line(page, "before-2")).to_be_visible(timeout=PATIENCE)
    assert await messages(page, "before-") == ["before-1", "before-2"]


async def test_a_pause_loses_nothing(shop: Any, log: Open) -> None:
    page = await log(shop)
    await shop.says("seen")
    await expect(line(page, "seen")).to_be_visible(timeout=PATIENCE)
    await page.keyboard.press("p")
    await expect(page.locator("[data-part=state]")).to_have_text("Paused")
    await shop.says(*(f"held-{number}" for number in range(7)))
    await expect(page.locator("[data-part=newest]")).to_contain_text("new lines", timeout=PATIENCE)
    assert await messages(page, "held-") == []
    await page.get_by_role("button", name="Go on").click()
    await expect(line(page, "held-6")).to_be_visible(timeout=PATIENCE)
    assert await messages(page, "held-") == [f"held-{number}" for number in range(7)]


async def test_who_reads_further_up_is_not_moved_and_comes_back_to_the_newest(shop: Any, log: Open) -> None:
    await shop.says(*(f"old-{number}" for number in range(150)))
    page = await log(shop)
    await expect(line(page, "old-149")).to_be_visible(timeout=PATIENCE)
    await page.locator("[data-part=list]").evaluate("list => list.scrollTo(0, list.scrollHeight / 2)")
    await page.wait_for_timeout(300)
    where = await page.locator("[data-part=list]").evaluate("list => list.scrollTop")
    await shop.says(*(f"new-{number}" for number in range(30)))
    await expect(page.locator("[data-part=newest]")).to_contain_text("new lines", timeout=PATIENCE)
    assert await page.locator("[data-part=list]").evaluate("list => list.scrollTop") == where
    await page.locator("[data-part=newest]").click()
    await expect(line(page, "new-29")).to_be_visible(timeout=PATIENCE)


async def test_filters_are_in_the_address_and_hold_for_stored_and_live_lines(shop: Any, log: Open) -> None:
    await shop.says({"message": "stored failure", "level": "ERROR"}, "stored calm")
    page = await log(shop)
    await expect(line(page, "stored calm")).to_be_visible(timeout=PATIENCE)
    await page.get_by_label("Level").select_option("ERROR")
    await page.wait_for_url("**level=ERROR*")
    await expect(line(page, "stored calm")).to_have_count(0)
    await page.wait_for_selector(".log[data-state=live]", timeout=PATIENCE)
    await shop.says("live calm", {"message": "live failure", "level": "ERROR"})
    await expect(line(page, "live failure")).to_be_visible(timeout=PATIENCE)
    await expect(line(page, "stored failure")).to_be_visible()
    await expect(line(page, "calm")).to_have_count(0)
    await page.reload()
    await expect(line(page, "stored failure")).to_be_visible(timeout=PATIENCE)
    await expect(page.get_by_label("Level")).to_have_value("ERROR")
    assert "level=ERROR" in (await page.get_by_role("link", name="CSV").get_attribute("href") or "")
    await page.go_back()
    await expect(line(page, "stored calm")).to_be_visible(timeout=PATIENCE)


async def test_typing_searches_the_text(shop: Any, log: Open) -> None:
    await shop.says("order 12 shipped", "order 13 lost")
    page = await log(shop)
    await expect(line(page, "order 12")).to_be_visible(timeout=PATIENCE)
    await page.keyboard.press("/")
    await page.keyboard.type("LOST")
    await page.wait_for_url("**text=LOST*")
    await expect(line(page, "order 13")).to_be_visible(timeout=PATIENCE)
    await expect(line(page, "order 12")).to_have_count(0)


async def test_a_trace_id_filters_the_log_and_the_sign_beside_it_opens_the_trace(shop: Any, log: Open) -> None:
    trace = await shop.says("first of two", "second of two")
    await shop.says("of another")
    page = await log(shop)
    await expect(line(page, "of another")).to_be_visible(timeout=PATIENCE)
    await page.get_by_role("button", name="Trace ids").click()
    await line(page, "first of two").get_by_text(trace).click()
    await page.wait_for_url(f"**trace_id={trace}*")
    await expect(line(page, "second of two")).to_be_visible(timeout=PATIENCE)
    await expect(line(page, "of another")).to_have_count(0)
    opens = line(page, "first of two").get_by_role("link", name=f"Trace {trace}", exact=True)
    assert (await opens.get_attribute("href") or "").endswith(f"/ui/monitoring/traces/{trace}")


async def test_a_line_opens_and_shows_its_fields_and_its_exception_by_keyboard(shop: Any, log: Open) -> None:
    await shop.says({"message": "parcel lost", "level": "WARNING", "fields": {"parcel": 77, "route": {"leg": 2}}})
    page = await log(shop)
    await expect(line(page, "parcel lost")).to_be_visible(timeout=PATIENCE)
    await line(page, "parcel lost").focus()
    await page.keyboard.press("Enter")
    details = line(page, "parcel lost").locator(".details")
    await expect(details).to_contain_text("parcel")
    await expect(details).to_contain_text('{"leg":2}')
    await expect(details).to_contain_text("shop.orders")


async def test_nothing_that_is_logged_runs_or_hides(shop: Any, log: Open) -> None:
    bad = "<img src=x onerror=\"document.title='owned'\"> \x1b[2J\u202egnp.exe\nsecond line"
    await shop.says(
        {"message": bad, "logger": "<b>bold</b>", "fields": {"<i>": "<script>document.title='owned'</script>"}}
    )
    page = await log(shop)
    row = page.locator(".line", has_text="gnp.exe")
    await expect(row).to_be_visible(timeout=PATIENCE)
    await row.locator("[data-open]").click()
    assert await page.title() != "owned"
    assert await page.locator(".line :is(img, b, i, script)").count() == 0
    shown = await row.locator(".message").inner_text()
    assert "\x1b" not in shown and "\u202e" not in shown and r"\x1b[2J" in shown and r"gnp.exe\nsecond" in shown


async def test_history_comes_while_scrolling_and_the_document_stays_small(shop: Any, log: Open) -> None:
    for start in range(0, 900, 300):
        await shop.says(*(f"number-{number:04}" for number in range(start, start + 300)))
    page = await log(shop)
    await expect(line(page, "number-0899")).to_be_visible(timeout=PATIENCE)
    for _ in range(200):
        await page.locator("[data-part=list]").evaluate("list => list.scrollTo(0, 0)")
        await page.wait_for_timeout(100)
        assert await page.locator(".line").count() < 200
        if await line(page, "number-0000").count():
            break
    await expect(line(page, "number-0000")).to_be_visible()


async def test_a_fixed_window_is_not_followed(shop: Any, log: Open) -> None:
    page = await log(shop, "?start=2026-01-01T00:00:00Z&end=2026-01-01T01:00:00Z")
    await expect(page.locator("[data-part=state]")).to_have_text("A fixed window")
    await expect(page.locator("[data-part=empty]")).to_contain_text("No log lines", timeout=PATIENCE)


async def test_the_page_of_everything_shows_the_last_lines_and_leads_to_the_log(shop: Any, opened: Open) -> None:
    page = await opened(shop, "?range=15m")
    await page.wait_for_selector("#log[data-state=live]", timeout=PATIENCE)
    await shop.says(*(f"card-{number}" for number in range(12)))
    await expect(line(page, "card-11")).to_be_visible(timeout=PATIENCE)
    assert await page.locator("#log .line").count() <= 8
    await page.get_by_role("link", name="Open the log").click()
    await page.wait_for_url(f"**{LOGS}?range=15m")
    await expect(line(page, "card-0")).to_have_count(1, timeout=PATIENCE)


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_everyone_can_read_it(shop: Any, log: Open, page: Page, scheme: str) -> None:
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    await shop.says("calm", {"message": "warned", "level": "WARNING"}, {"message": "failed", "level": "ERROR"})
    await log(shop)
    await expect(line(page, "failed")).to_be_visible(timeout=PATIENCE)
    await line(page, "failed").locator("[data-open]").click()
    for nothing in (FAINT, UNNAMED, TWICE, DANGLING, UNLABELLED):
        assert await page.evaluate(nothing) == []


@pytest.mark.parametrize("width", [390, 720, 1440])
async def test_nothing_leaves_the_screen_sideways(shop: Any, log: Open, page: Page, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 800})
    await shop.says("a" * 300, {"message": "b" * 3000, "level": "ERROR"})
    await log(shop)
    await expect(line(page, "bbb")).to_be_visible(timeout=PATIENCE)
    await asyncio.sleep(0.2)
    assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_a_broken_connection_moves_nobody_and_loses_nothing(shop: Any, log: Open, page: Page) -> None:
    await page.add_init_script(KEEP_SOURCES)
    await shop.says(*(f"old-{number}" for number in range(250)))
    await log(shop)
    await expect(line(page, "old-249")).to_be_visible(timeout=PATIENCE)
    await page.locator("[data-part=list]").evaluate("list => list.scrollTo(0, list.scrollHeight / 2)")
    await page.wait_for_timeout(300)
    await page.keyboard.press("p")
    where = await page.locator("[data-part=list]").evaluate("list => list.scrollTop")
    await page.evaluate("sources.at(-1).dispatchEvent(new Event('error'))")
    await shop.says("while it was broken")
    await expect(page.locator("[data-part=newest]")).to_contain_text("new line", timeout=PATIENCE)
    assert await page.evaluate("sources.length") >= 2
    assert await page.locator("[data-part=list]").evaluate("list => list.scrollTop") == where
    await page.locator("[data-part=newest]").click()
    await expect(line(page, "while it was broken")).to_have_count(1, timeout=PATIENCE)


async def test_what_was_skipped_is_one_row_that_says_how_much(shop: Any, log: Open, page: Page) -> None:
    await page.add_init_script(KEEP_SOURCES)
    await shop.says("before the gap")
    await log(shop)
    await expect(line(page, "before the gap")).to_be_visible(timeout=PATIENCE)
    skipped = "data => sources.at(-1).dispatchEvent(new MessageEvent('skipped', { data }))"
    await page.evaluate(skipped, '{"count":3}')
    await expect(line(page, "3 lines skipped")).to_be_visible()
    await page.evaluate(skipped, '{"count":4}')
    await expect(line(page, "7 lines skipped")).to_be_visible()
    await shop.says("after the gap")
    await expect(line(page, "after the gap")).to_be_visible(timeout=PATIENCE)
    await page.evaluate(skipped, '{"count":0,"at_least":true}')
    await expect(line(page, "Lines may be missing here")).to_be_visible()
    assert await page.locator(".line.gap").count() == 2
    await shop.says("after the other gap")
    await expect(line(page, "after the other gap")).to_be_visible(timeout=PATIENCE)


async def test_a_search_that_had_no_time_to_find_anything_goes_on_by_itself(shop: Any, log: Open, page: Page) -> None:
    await shop.says("far back")
    asked: list[str] = []

    async def found_nothing_yet(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) > 1:
            return await route.continue_()
        answer = await (await route.fetch()).json()
        tomorrow = f"{(int(time.time()) + 86_400) * 1_000_000}_0_0_0"
        search = {**answer["search"], "complete": False, "note": "Searched as far as there was time."}
        await route.fulfill(json={**answer, "records": [], "older": tomorrow, "search": search})

    await page.route("**/api/monitoring/logs?*", found_nothing_yet)
    await log(shop, "?text=far")
    await expect(line(page, "far back")).to_be_visible(timeout=PATIENCE)
    assert len(asked) == 2 and "before=" in asked[1]
