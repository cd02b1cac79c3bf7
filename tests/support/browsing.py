"""A real Chromium, and what goes wrong on a page that a person would only see in its console."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright

# Chromium otherwise looks for updates and for its makers' hosts at every start.
FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]


@asynccontextmanager
async def chromium(binary: str) -> AsyncIterator[Browser]:
    """A headless Chromium; without its sandbox for root, which it refuses otherwise."""
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=binary, args=flags)
        try:
            yield browser
        finally:
            await browser.close()


def watch(page: Page, problems: list[str]) -> None:
    """Note errors of the console, exceptions, and requests to any other host than this machine."""

    def console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            problems.append(f"console {message.type}: {message.text}")

    def request(sent: Request) -> None:
        if urlsplit(sent.url).hostname not in ("127.0.0.1", "localhost", None):
            problems.append(f"request to another host: {sent.url}")

    page.on("console", console)
    page.on("pageerror", lambda error: problems.append(f"exception: {error}"))
    page.on("request", request)
