"""The page in a real browser, over a real service: what a person sees, clicks and types."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from playwright.async_api import Locator, Page, expect

from watchglass.api import words

Shop = object
Open = Callable[..., Awaitable[Page]]

P95 = "#tile_api-p95"
FAR = "nobody:nothing@127.0.0.1:1"


async def value(figure: Locator) -> float:
    return float(await figure.locator("data").get_attribute("value") or "nan")


async def asked(page: Page, path: str) -> dict:  # type: ignore[type-arg]
    """What the API answers to this very page: same session, same range."""
    return await page.evaluate("async path => (await fetch(path + location.search)).json()", path)  # type: ignore[no-any-return]


async def test_a_link_logs_in_and_the_tiles_show_what_the_api_says(shop: Shop, history: None, opened: Open) -> None:
    """Over an hour that has passed: nothing is written to it between the two answers."""
    end = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=2)
    hour = urlencode({"start": (end - timedelta(hours=1)).isoformat(), "end": end.isoformat()})
    page = await opened(shop, f"?{hour}")
    tiles = (await asked(page, "/api/monitoring/advanced/summary"))["tiles"]
    for card, names in {"tile_api": ("p95", "rate", "errors"), "tile_system": ("cpu", "memory", "disk")}.items():
        for name in names:
            figure = page.locator(f"#{card}-{name}")
            assert await value(figure) == tiles[card]["figures"][name]["value"], name
    shown = (await page.inner_text(f"{P95} .value")).replace("\N{NO-BREAK SPACE}", " ")
    assert shown == words.duration(tiles["tile_api"]["figures"]["p95"]["value"])


async def test_a_used_link_does_not_log_in_again(
    shop: Shop, opened: Open, page: Page, page_problems: list[str]
) -> None:
    link = await shop.link()  # type: ignore[attr-defined]
    await page.goto(link)
    await page.wait_for_url("**/ui/monitoring/advanced*")
    await page.context.clear_cookies()
    await page.goto(link)
    await expect(page.locator("main")).to_contain_text("was used before")
    assert page_problems and all("401" in problem for problem in page_problems)
    page_problems.clear()


async def test_p95_rises_after_slow_requests(shop: Shop, opened: Open) -> None:
    await shop.ask("/books/1", 60)  # type: ignore[attr-defined]
    page = await opened(shop, "?range=15m")
    await page.wait_for_selector(f"{P95} data")
    before = await value(page.locator(P95))
    assert before > 0
    await shop.ask(f"/slow?seconds={before + 1}", 60)  # type: ignore[attr-defined]
    await page.wait_for_function(
        "limit => Number(document.querySelector('#tile_api-p95 data')?.value) > limit",
        arg=before + 0.97,
        timeout=20_000,
    )
    row = page.locator("#endpoints tbody tr", has_text="/slow").first
    await expect(row).to_contain_text(re.compile(r"\d\ss\b"))


async def test_a_range_is_chosen_in_place_and_back_undoes_it(shop: Shop, history: None, opened: Open) -> None:
    page = await opened(shop)
    await page.evaluate("window.same = true")
    requests = await value(page.locator("#tile_api-rate"))
    async with page.expect_response(lambda answer: "cards/overview?range=6h" in answer.url):
        await page.get_by_role("link", name="6h", exact=True).click()
    await expect(page).to_have_url(re.compile(r"\?range=6h$"))
    await expect(page.get_by_role("link", name="6h", exact=True)).to_have_attribute("aria-current", "true")
    async with page.expect_response(lambda answer: "cards/overview" in answer.url and "range=" not in answer.url):
        await page.go_back()
    await expect(page.get_by_role("link", name="1h", exact=True)).to_have_attribute("aria-current", "true")
    assert await page.evaluate("window.same")
    assert await value(page.locator("#tile_api-rate")) == pytest.approx(requests, rel=0.2)


async def test_stopping_fixes_the_window_in_the_address_and_asks_no_more(
    shop: Shop, history: None, opened: Open
) -> None:
    page = await opened(shop)
    await page.keyboard.press("l")
    await expect(page).to_have_url(re.compile(r"start=.*&end="))
    await expect(page.locator("[data-window]")).to_be_visible()
    await page.wait_for_load_state("networkidle")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    await asyncio.sleep(6)
    assert sent == []
    await page.get_by_text("Back to live").click()
    await expect(page.get_by_role("switch")).to_have_attribute("aria-checked", "true")
    await page.wait_for_timeout(6000)
    assert any("cards/overview" in url for url in sent)


async def test_a_hidden_tab_asks_for_nothing_until_it_is_looked_at(shop: Shop, history: None, opened: Open) -> None:
    page = await opened(shop)
    await page.evaluate("Object.defineProperty(document, 'hidden', { get: () => window.away, configurable: true })")
    await page.evaluate("window.away = true")
    await page.wait_for_load_state("networkidle")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    await asyncio.sleep(6)
    assert sent == []
    async with page.expect_request(lambda request: "cards/overview" in request.url, timeout=3000):
        await page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")


async def test_the_tab_s_title_counts_what_is_wrong(shop: Shop, opened: Open) -> None:
    page = await opened(shop, "?range=15m")
    await page.keyboard.press("l")
    await page.wait_for_load_state("networkidle")
    found = int(await page.get_attribute("[data-findings]", "data-findings") or 0)
    await expect(page).to_have_title(f"({found}) shop · Watchglass" if found else "shop · Watchglass")
    await page.evaluate("document.querySelector('[data-findings]').dataset.findings = 7")
    await page.evaluate("document.dispatchEvent(new CustomEvent('htmx:afterSwap', { bubbles: true }))")
    await expect(page).to_have_title("(7) shop · Watchglass")


async def test_when_the_service_is_away_the_old_figures_stay_and_say_so(
    shop: Shop, history: None, opened: Open, page_problems: list[str]
) -> None:
    page = await opened(shop)
    await page.wait_for_selector(f"{P95} data")
    await page.context.set_offline(True)
    await expect(page.locator("[data-notice]")).to_contain_text("The service does not answer.", timeout=15_000)
    await expect(page.locator("#latency [data-stale]")).to_contain_text("Figures of", timeout=15_000)
    assert await value(page.locator(P95)) > 0
    await page.context.set_offline(False)
    await expect(page.locator("[data-notice]")).to_be_hidden(timeout=15_000)
    await expect(page.locator("#latency [data-stale]")).to_be_hidden(timeout=15_000)
    await page.goto("about:blank")
    page_problems.clear()


async def test_the_chart_reads_out_switches_and_zooms(shop: Shop, history: None, opened: Open) -> None:
    page = await opened(shop)
    chart = page.locator("#latency-chart")
    await expect(chart.locator("canvas")).to_be_visible()
    await chart.hover(position={"x": 400, "y": 60})
    await expect(chart.locator(".readout")).to_contain_text("P95")
    await page.get_by_role("link", name="Top 5 endpoints").click()
    await expect(page.locator("#latency .legend")).to_contain_text("GET /books/{number}")
    await expect(page).to_have_url(re.compile("latency=top"))
    await chart.hover(position={"x": 350, "y": 60})
    await page.mouse.down()
    for x in (400, 500, 600):
        await chart.hover(position={"x": x, "y": 70}, force=True)
    await page.mouse.up()
    await expect(page).to_have_url(re.compile(r"latency=top&start=.*&end="))
    await expect(page.get_by_role("switch")).to_have_attribute("aria-checked", "false")


async def test_polling_keeps_focus_and_what_was_opened(shop: Shop, history: None, opened: Open) -> None:
    page = await opened(shop)
    await page.locator("#setup summary").first.click()
    await page.locator("#sort-p95").focus()
    async with page.expect_response(lambda answer: "cards/setup" in answer.url):
        pass
    async with page.expect_response(lambda answer: "cards/endpoints" in answer.url):
        pass
    await page.wait_for_timeout(300)
    assert await page.evaluate("document.activeElement.id") == "sort-p95"
    await expect(page.locator("#setup details").first).to_have_attribute("open", "")


async def test_keys_do_what_the_help_says(shop: Shop, history: None, opened: Open) -> None:
    page = await opened(shop)
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await page.keyboard.press("j")
    first = await page.evaluate("document.activeElement.id")
    await page.keyboard.press("j")
    assert first.startswith("endpoint-") and await page.evaluate("document.activeElement.id") != first
    await page.keyboard.press("k")
    assert await page.evaluate("document.activeElement.id") == first
    await page.keyboard.press("t")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(r"range=6h"))


async def test_enter_opens_a_statement(shop: Shop, history: None, opened: Open) -> None:
    page = await opened(shop)
    await page.locator("#slow_statements [data-row]").first.focus()
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(r"/ui/monitoring/statements/[0-9a-f]{16}"))


async def test_an_endpoint_opens_by_enter_and_is_part_of_the_address(shop: Shop, history: None, opened: Open) -> None:
    page = await opened(shop)
    row = page.locator("#endpoints [data-row]").first
    await row.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#endpoints .opened")).to_be_visible()
    await expect(page).to_have_url(re.compile("endpoint="))
    await row.locator("a").click()
    await expect(page.locator("#endpoints .opened")).to_have_count(0)
    await expect(page).not_to_have_url(re.compile("endpoint="))


async def test_the_order_of_endpoints_is_part_of_the_address(shop: Shop, history: None, opened: Open) -> None:
    page = await opened(shop, "?sort=requests")
    first = page.locator("#endpoints tbody tr").first
    await expect(first).to_contain_text("/books/{number}")
    await page.locator("#sort-p95").click()
    await expect(first).to_contain_text("/checkout")
    await expect(page).to_have_url(re.compile("sort=p95"))


async def test_a_theme_is_remembered(shop: Shop, history: None, opened: Open) -> None:
    page = await opened(shop)
    await page.locator("[data-theme-switch]").click()
    chosen = await page.evaluate("document.documentElement.dataset.theme")
    await page.reload()
    assert await page.evaluate("document.documentElement.dataset.theme") == chosen


async def test_a_command_is_copied(shop: Shop, opened: Open) -> None:
    page = await opened(shop)
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = page.locator("[data-copy]").first
    await button.click()
    await expect(button).to_contain_text("Copied")
    command = await page.locator("code[id]").first.inner_text()
    assert await page.evaluate("navigator.clipboard.readText()") == command


async def test_without_its_store_the_page_says_why_and_stays_usable(
    start: Callable[..., Shop], store_url: str, page: Page, page_problems: list[str]
) -> None:
    shop = start(store_url, database_url=f"postgresql://{FAR}/shop")
    from watchglass.wiring import house

    made = house()
    assert made is not None
    token = await made.context.tokens.new("ann", "admin")
    await page.goto(f"{shop.url}/ui/monitoring/login?token={token.text}")  # type: ignore[attr-defined]
    await page.wait_for_url("**/ui/monitoring/advanced*")
    await expect(page.locator("[data-notice]")).to_contain_text("127.0.0.1:1/shop does not answer")
    await expect(page.locator("[data-notice-here]")).to_contain_text("In this process alone, ")
    await expect(page.locator("#latency")).to_contain_text("No figures: the store does not answer.")
    await page.get_by_role("link", name="24h").click()
    await expect(page).to_have_url(re.compile("range=24h"))
    await expect(page.locator("#setup")).to_contain_text("finding")
    await page.goto("about:blank")
    assert page_problems and all("503" in problem for problem in page_problems)
    page_problems.clear()


async def test_the_public_status_needs_no_login(shop: Shop, page: Page) -> None:
    await page.goto(f"{shop.url}/ui/health")  # type: ignore[attr-defined]
    await expect(page.get_by_role("heading")).to_contain_text("Operational")
