"""The page on Watchglass's own cost in a real browser."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Page, expect

from support.readable import DANGLING, FAINT, TWICE, UNLABELLED, UNNAMED

Open = Callable[..., Awaitable[Page]]
LOADED = "body:not(:has([data-body][aria-busy]))"


async def settled(page: Page) -> None:
    """Every card has its content, and none asks: to leave then breaks nothing off."""
    await page.wait_for_selector(LOADED, timeout=30_000)
    await page.wait_for_selector("body:not(:has(.htmx-request))", timeout=30_000)


async def opened_cost(page: Page) -> Page:
    await settled(page)
    await page.get_by_role("link", name="Cost of Watchglass").click()
    await page.wait_for_url("**/ui/monitoring/footprint*")
    await settled(page)
    return page


async def test_the_footer_leads_there_with_the_range_and_the_page_leads_back(
    shop: object, history: None, opened: Open
) -> None:
    page = await opened_cost(await opened(shop, "?range=6h"))
    await expect(page.get_by_role("heading", level=1)).to_have_text("Cost of Watchglass")
    await expect(page.locator("#table-logs")).to_be_visible()
    await expect(page.locator("#footprint_kept-stored data")).to_be_visible()
    await page.get_by_role("link", name="24h").click()
    await page.wait_for_url("**/ui/monitoring/footprint?range=24h")
    await settled(page)
    await page.get_by_role("link", name="Back to").click()
    await page.wait_for_url("**/ui/monitoring/advanced?range=24h")
    await settled(page)


async def test_the_page_s_own_questions_are_on_it(shop: object, opened: Open) -> None:
    page = await opened_cost(await opened(shop, "?range=15m"))
    await expect(page.locator("#own-sizes")).to_be_visible(timeout=30_000)


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_everyone_can_read_it(shop: object, history: None, opened: Open, page: Page, scheme: str) -> None:
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    await opened_cost(await opened(shop))
    for nothing in (FAINT, UNNAMED, TWICE, DANGLING, UNLABELLED):
        assert await page.evaluate(nothing) == []


@pytest.mark.parametrize("width", [390, 720, 1440])
async def test_nothing_leaves_the_screen_sideways(
    shop: object, history: None, opened: Open, page: Page, width: int
) -> None:
    await page.set_viewport_size({"width": width, "height": 844})
    await opened_cost(await opened(shop))
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
