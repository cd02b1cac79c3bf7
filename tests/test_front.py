"""The page's side of a process, which nobody has come to yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
from fastapi import FastAPI

import watchglass
from support.past import browser, log_in
from support.pipelines import until
from support.proxy import Proxy
from watchglass import wiring
from watchglass.api.app import create_app
from watchglass.api.context import Context
from watchglass.settings import Settings
from watchglass.store.access import Access
from watchglass.store.database import Database
from watchglass.store.reader import Reader

PAGE = "/ui/monitoring/advanced"


async def logged_in_elsewhere(settings: Settings) -> dict[str, str]:
    """The cookies of somebody who logged in at another process of the service."""
    database = Database(settings.store_dsn or "")
    context = Context(settings, Reader(database, service=settings.service), Access(database))
    async with browser(create_app(context)) as client:
        await log_in(client, context)
        cookies = dict(client.cookies)
    await database.close()
    return cookies


async def test_who_logged_in_at_another_process_is_let_in_while_the_store_is_away(
    store_url: str, serve: Callable[..., str]
) -> None:
    settings = Settings(service_name="shop", app_database_url=store_url)
    cookies = await logged_in_elsewhere(settings)
    with Proxy(store_url) as proxy:
        app = FastAPI()
        watchglass.observe(app, Settings(service_name="shop", app_database_url=proxy.url))
        try:
            base = serve(app)
            house = wiring.house()
            assert house is not None
            await asyncio.to_thread(until, lambda: house.front.sessions.ended.is_known)
            proxy.cut()
            async with httpx.AsyncClient(base_url=base, cookies=cookies, timeout=60) as client:
                answer = await client.get(PAGE)
            assert (answer.status_code, "<h1" in answer.text) == (200, True)
        finally:
            proxy.mend()
            watchglass.unobserve(app)
