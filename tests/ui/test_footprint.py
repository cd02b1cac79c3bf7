"""The page behind the footer's line says what Watchglass costs, and colours only what was lost."""

from __future__ import annotations

import html
import re

import httpx
import pytest

from support.past import Act, Process, browser, log_in, request
from watchglass import meters
from watchglass.api.app import create_app
from watchglass.api.context import Context
from watchglass.instrumentation.recorder import Recorder
from watchglass.ui.app import add_pages

PAGE = "/ui/monitoring/footprint"


def usual(recorder: Recorder) -> None:
    request(recorder, "/search", 0.1, times=10)
    recorder.counter(meters.WATCHGLASS_ROWS_WRITTEN, ("metrics",)).add(120)
    recorder.counter(meters.WATCHGLASS_CPU_TIME, ("export",)).add(0.6)
    recorder.histogram(meters.WATCHGLASS_FLUSH_DURATION, ("metrics",)).record(0.02)
    recorder.histogram(meters.WATCHGLASS_QUERY_DURATION, ("sizes",)).record(0.004)
    recorder.histogram(meters.WATCHGLASS_QUERY_DURATION, ("instances",)).record(0.001)
    recorder.gauge(meters.WATCHGLASS_SERIES).set(77)
    recorder.gauge(meters.WATCHGLASS_SPOOL_USAGE).set(4096)


def lossy(recorder: Recorder) -> None:
    usual(recorder)
    recorder.counter(meters.WATCHGLASS_DROPPED, ("logs", "queue_full")).add(3)
    recorder.counter(meters.WATCHGLASS_ERRORS, ("exporters.<cycle>",)).add(1)


async def an_hour(process: Process, now: float, act: Act) -> None:
    """`act` once a minute; the hour before, which counts for nothing here, is told in one go."""
    await process.flush(now - 3600)
    await process.live(now - 3600, now, act)


async def content(client: httpx.AsyncClient, **query: str) -> str:
    answer = await client.get(f"{PAGE}/content", params={"range": "1h", **query})
    assert answer.status_code == 200, answer.text
    return answer.text


def text_of(fragment: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", fragment)).split())


async def test_the_line_of_the_footer_leads_to_the_page_and_back(client: httpx.AsyncClient) -> None:
    line = (await client.get("/ui/monitoring/cards/footprint", params={"range": "6h"})).text
    assert f'href="{PAGE}?range=6h"' in line
    page = (await client.get(PAGE, params={"range": "6h"})).text
    assert '<h1>Cost of Watchglass</h1><a href="/ui/monitoring/advanced?range=6h"' in page


async def test_a_quiet_hour_is_grey_and_has_every_figure(
    client: httpx.AsyncClient, process: Process, now: float
) -> None:
    await an_hour(process, now, usual)
    card = await content(client)
    assert "Nothing was dropped, and nothing of Watchglass failed" in text_of(card)
    assert "level-" not in card and "data-level" not in card
    said = text_of(card)
    assert "it writes 2 rows/s, its threads take 1 % of a CPU." in said
    for figure in ("77", "2/s", "4 kB", "60 ms", "20 ms"):
        assert figure in re.sub(r" (?=/)", "", said), figure
    assert re.search(r"sizes 80 % 60 4 ms 4 ms", said) and re.search(r"instances 20 % 60", said)
    assert "logs log lines" in said and "None in this window." in said


async def test_what_was_lost_comes_first_in_amber(client: httpx.AsyncClient, process: Process, now: float) -> None:
    await an_hour(process, now, lossy)
    card = await content(client)
    assert "warning: 180 records dropped, 60 own errors in this window." in text_of(card)
    assert "logs the queue was full 180" in text_of(card)
    assert "in exporters.&lt;cycle&gt;" in card and 'data-findings="1"' in card


async def test_json_has_what_the_page_shows(client: httpx.AsyncClient, process: Process, now: float) -> None:
    await an_hour(process, now, lossy)
    answer = (await client.get("/api/monitoring/footprint", params={"range": "1h"})).json()
    assert answer["losses"] == [
        {"what": "logs", "why": "queue_full", "count": 180},
        {"what": "errors", "why": "exporters.<cycle>", "count": 60},
    ]
    assert {one["name"]: one["calls"] for one in answer["statements"]} == {"sizes": 60, "instances": 60}
    assert answer["figures"]["cpu_request"]["value"] == pytest.approx(0.06)
    assert answer["figures"]["stored"]["value"] == sum(table["bytes"] for table in answer["tables"]) > 0


async def test_before_any_data_nothing_looks_like_a_measured_zero(client: httpx.AsyncClient) -> None:
    card = await content(client)
    assert "Nobody looked at a page in this window" in card
    assert "Watchglass wrote nothing about itself in this window." in card
    assert "<data value" not in card.replace(re.search(r'id="footprint_kept-stored".*?</div>', card, re.S)[0], "")  # type: ignore[index]


async def test_without_a_store_it_says_what_to_set(client: httpx.AsyncClient, context: Context) -> None:
    bare = Context(context.settings, access=context.access)
    async with browser(create_app(bare, add_pages)) as other:
        await log_in(other, bare)
        assert (await other.get(PAGE)).status_code == 200
        answer = await other.get(f"{PAGE}/content")
    assert answer.status_code == 503 and "Set DATABASE_URL" in html.unescape(answer.text)


async def test_a_range_that_does_not_exist_is_explained(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{PAGE}/content", params={"range": "2h"})
    assert answer.status_code == 422 and "is not a time range" in answer.text


async def test_it_is_closed_like_every_page(stranger: httpx.AsyncClient) -> None:
    assert (await stranger.get(PAGE)).status_code == 303
    assert (await stranger.get(f"{PAGE}/content", headers={"hx-request": "true"})).status_code == 401
    assert (await stranger.get("/api/monitoring/footprint")).status_code == 401


@pytest.mark.parametrize(("range", "form"), [("1h", "clock"), ("6h", "clock"), ("24h", "day"), ("30d", "day")])
async def test_a_window_of_a_day_and_more_says_the_day_it_ends(
    client: httpx.AsyncClient, range: str, form: str
) -> None:
    for path in (f"{PAGE}/content", "/ui/monitoring/cards/overview"):
        answer = await client.get(path, params={"range": range})
        assert re.findall(r'data-form="(\w+)"', answer.text) == ["day", form]
