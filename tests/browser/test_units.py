"""A duration reads the same on an axis, drawn by the browser, as in a sentence, written by Python."""

from __future__ import annotations

import base64
from pathlib import Path

from playwright.async_api import Page

import watchglass.ui
from watchglass.api import words

SOURCE = Path(watchglass.ui.__file__).parent / "assets" / "src" / "units.js"

SECONDS = [
    *(0, 1.3e-6, 8.5e-5, 0.000123, 0.000994, 0.00123, 0.0085, 0.0123, 0.085, 0.1234, 0.31, 0.9949, 0.9951, 1.0, 1.26),
    *(12.4, 99.4, 99.6, 150, 840, 5969, 5971, 7200, 172_799, 172_801, 1e6),
]


async def test_the_browser_writes_durations_like_the_api(page: Page) -> None:
    code = base64.b64encode(SOURCE.read_bytes()).decode()
    written = await page.evaluate(
        """async ([code, all]) => {
             const { duration } = await import(`data:text/javascript;base64,${code}`);
             return all.map(duration);
           }""",
        [code, SECONDS],
    )
    assert written == [words.duration(seconds) for seconds in SECONDS]
