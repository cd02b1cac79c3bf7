"""What comes from outside (routes, statements, cache types) is text on the page, whatever it says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from html.parser import HTMLParser

import pytest

from support.past import Process, request
from watchglass import meters
from watchglass.instrumentation.recorder import Recorder

EVIL = """/</template></div><script>alert(1)</script><img src=x onerror=alert(2)>'"`{{7*7}}\\u2028"""


class Elements(HTMLParser):
    """The elements and attributes that a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


def evil(recorder: Recorder) -> None:
    request(recorder, EVIL, 2.0, "500", EVIL, method=EVIL)
    values = ("postgresql", EVIL, EVIL, EVIL, None, EVIL)
    recorder.histogram(meters.DB_CLIENT_OPERATION_DURATION, values).record(3.0)
    recorder.counter(meters.CACHE_LOOKUPS, (EVIL, "hit")).add()
    recorder.gauge(meters.REDIS_MEMORY_USED).set(1.0)


@pytest.mark.parametrize(
    ("card", "query"),
    [
        ("overview", {}),
        ("latency", {"latency": "top", "percentile": EVIL}),
        ("endpoints", {"sort": EVIL, "endpoints": EVIL}),
        ("slow_statements", {}),
        ("redis", {}),
    ],
)
async def test_hostile_names_stay_text(
    process: Process, now: float, fragment: Callable[..., Awaitable[str]], card: str, query: dict[str, str]
) -> None:
    await process.live(now - 600, now, evil)
    text = await fragment(card, **query)
    seen = Elements()
    seen.feed(text)
    assert not seen.names & {"script", "img", "template", "iframe"}
    assert not {name for name in seen.attributes if name.startswith("on")}
    assert "49" not in text or "{{7*7}}" in text
    if card != "overview":
        assert "alert(1)" in text
