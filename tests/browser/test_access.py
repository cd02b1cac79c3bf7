"""Everyone can read the page: in both themes, on a phone, enlarged, by keyboard and with a screen reader, printed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Page, expect

from support.readable import DANGLING, FAINT, TWICE, UNLABELLED, UNNAMED

Open = Callable[..., Awaitable[Page]]

FOCUSED = """() => { const e = document.activeElement;
  return e === document.body ? ['', ''] : [e.id || e.textContent.trim(), getComputedStyle(e).outlineStyle] }"""


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_every_text_stands_out_from_what_is_behind_it(
    shop: object, history: None, opened: Open, page: Page, scheme: str
) -> None:
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    await opened(shop)
    assert await page.evaluate(FAINT) == []


async def test_everything_has_a_name_and_ids_are_unique(shop: object, history: None, opened: Open) -> None:
    page = await opened(shop, "?latency=top")
    assert await page.evaluate(UNNAMED) == []
    assert await page.evaluate(TWICE) == []
    assert await page.evaluate(DANGLING) == []
    assert await page.evaluate(UNLABELLED) == []


async def test_the_page_has_its_landmarks_and_headings_in_order(shop: object, history: None, opened: Open) -> None:
    page = await opened(shop)
    for role in ("banner", "main", "contentinfo"):
        await expect(page.get_by_role(role)).to_have_count(1)  # type: ignore[arg-type]
    levels = await page.eval_on_selector_all(
        "h1, h2, h3", "all => all.filter(e => !e.closest('dialog')).map(e => e.tagName)"
    )
    assert levels[0] == "H1" and levels.count("H1") == 1 and "H3" not in levels
    assert await page.get_attribute("html", "lang") == "en"


@pytest.mark.parametrize(("width", "height"), [(390, 844), (720, 450), (1440, 900)], ids=["phone", "twice", "desk"])
async def test_nothing_leaves_the_screen_sideways(
    shop: object, history: None, opened: Open, page: Page, width: int, height: int
) -> None:
    """A window of 1440 at 200 % zoom is one of 720."""
    await page.set_viewport_size({"width": width, "height": height})
    await opened(shop)
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    cut = await page.evaluate(
        """() => [...document.querySelectorAll('.card, .bar > *, .figure > *')].filter(e => e.checkVisibility()
           && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.className)"""
    )
    assert cut == []


async def test_the_keyboard_reaches_everything_and_one_sees_where_it_is(
    shop: object, history: None, opened: Open
) -> None:
    page = await opened(shop)
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to the figures"
    seen = set()
    for _ in range(60):
        await page.keyboard.press("Tab")
        name, outline = await page.evaluate(FOCUSED)
        if name:
            seen.add(name)
            assert outline != "none", name
    assert {"latency-top", "sort-p95", "15m"} <= seen


async def test_who_asks_for_no_motion_gets_none(shop: object, history: None, opened: Open, page: Page) -> None:
    await page.emulate_media(reduced_motion="reduce")
    await opened(shop)
    moving = await page.evaluate("document.getAnimations().filter(one => one.playState === 'running').length")
    assert moving == 0


async def test_printed_it_is_light_and_without_controls(shop: object, history: None, opened: Open, page: Page) -> None:
    await opened(shop)
    await page.emulate_media(media="print")
    await expect(page.get_by_role("switch")).to_be_hidden()
    await expect(page.locator("#tile_api-p95 .value")).to_be_visible()
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
