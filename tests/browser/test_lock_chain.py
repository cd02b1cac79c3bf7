"""A service hangs because a session holds a lock: the page of everything says so first, and leads to where it ends."""

from __future__ import annotations

import asyncio
import re

import httpx
from playwright.async_api import Page, expect

from support.locking import audited, requests
from support.service import Service
from watchglass.store.access import Access

PAGE = "/ui/monitoring/advanced"
PATIENCE = 60_000


async def link(dsn: str, service: Service) -> str:
    access = Access(dsn)
    token = await access.new_login_token()
    await access.close()
    return f"{service.url}/ui/monitoring/login?{httpx.QueryParams({'token': token, 'next': PAGE})}"


async def test_from_the_sentence_on_top_it_is_ended_in_two_clicks(service: Service, dsn: str, page: Page) -> None:
    begun = (service, "POST", "/orders/1"), (service, "POST", "/moves/2/1"), (service, "PUT", "/orders/2")
    async with requests(*begun) as tasks:
        await page.goto(await link(dsn, service))
        await page.wait_for_url(f"**{PAGE}*")
        says = page.locator(".headline .says")
        told = re.compile(
            r"critical: 2 sessions wait for a lock that POST /orders/\{order\} holds, the longest for .+; "
            r"session \d+ has been idle in its transaction for "
        )
        await expect(says).to_contain_text(told, timeout=PATIENCE)
        assert re.match(r"\(\d+\) ", await page.title()), "a tab among many says it"
        await says.get_by_role("link").click()
        await page.wait_for_url(re.compile(r"/ui/monitoring/postgresql\?range=15m#lock-\d+$"))
        holder = page.locator(f"[id='{page.url.partition('#')[2]}']")
        await holder.get_by_role("link", name="Terminate").click(timeout=PATIENCE)
        await page.get_by_role("button", name="Terminate").click()
        freed = await asyncio.wait_for(asyncio.gather(*tasks[1:]), 60)
        assert [one.status_code for one in freed] == [200, 200]
        await page.goto(service.url + PAGE)
        await expect(says).not_to_contain_text("for a lock", timeout=PATIENCE)
        await expect(says).to_be_visible()
    assert [action for _, action, *_ in audited(dsn)] == ["terminate session"]
