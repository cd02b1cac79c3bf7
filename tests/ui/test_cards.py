"""The cards show what the API answers, in the reader's words, and say what is missing."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import pytest

from support.past import Process, request
from watchglass import meters
from watchglass.analysis.fingerprints import of_statement
from watchglass.api.context import Context
from watchglass.instrumentation.recorder import Recorder
from watchglass.jobs.doctor.findings import Finding

HOUR = 3600.0
Fragment = Callable[..., Awaitable[str]]


def text_of(fragment: str) -> str:
    """What a person reads, spaces folded."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", fragment)).split())


def calm(recorder: Recorder) -> None:
    request(recorder, "/search", 0.1, times=30)
    request(recorder, "/books/{id}", 0.02, times=60)


def busy(recorder: Recorder) -> None:
    request(recorder, "/search", 0.4, times=27)
    request(recorder, "/search", 0.4, "500", "KeyError", times=3)
    request(recorder, "/books/{id}", 0.02, times=60)


async def two_hours(process: Process, now: float, before: object = calm, after: object = calm) -> None:
    await process.live(now - 2 * HOUR, now - HOUR, before)  # type: ignore[arg-type]
    await process.live(now - HOUR, now, after)  # type: ignore[arg-type]


def figure(fragment: str, name: str) -> str:
    found = re.search(rf'<div class="figure[^"]*" id="{name}".*?(?=<div class="figure|</section>|$)', fragment, re.S)
    assert found is not None, name
    return found[0]


async def test_a_quiet_hour_is_a_grey_page(process: Process, now: float, fragment: Fragment) -> None:
    await two_hours(process, now)
    overview = await fragment("overview")
    assert "Quiet: no figure is over its limit or notably worse than an hour ago." in text_of(overview)
    assert "data-level" not in overview and "level-" not in overview


async def test_a_worse_hour_is_said_first_and_shown_in_colour_sign_and_word(
    process: Process, now: float, fragment: Fragment
) -> None:
    await two_hours(process, now, after=busy)
    overview = await fragment("overview")
    said = re.search(r'<p class="says level-warning">(.*?)</p>', overview, re.S)
    assert said is not None
    assert text_of(said[1]) == "warning: API P95 400 ms, 4 times an hour ago (was 100 ms)"
    p95 = figure(overview, "tile_api-p95")
    assert 'data-level="warning"' in p95 and "#i-warning" in p95 and "4 times an hour ago" in text_of(p95)
    errors = figure(overview, "tile_api-errors")
    assert 'data-level="warning"' in errors and "over 1 %" in text_of(errors)


async def test_a_tile_shows_the_api_s_own_figures(
    process: Process, now: float, fragment: Fragment, client: httpx.AsyncClient
) -> None:
    await two_hours(process, now, after=busy)
    answer = (await client.get("/api/monitoring/cards/tile_api")).json()["figures"]
    overview = await fragment("overview")
    for name in ("p95", "rate", "errors"):
        shown = re.search(r'<data value="([^"]+)">', figure(overview, f"tile_api-{name}"))
        assert shown is not None
        assert float(shown[1]) == answer[name]["value"]
    assert "5,400 requests" in text_of(figure(overview, "tile_api-p95"))


async def test_before_any_data_there_are_no_zeros_that_look_like_health(fragment: Fragment) -> None:
    overview = await fragment("overview")
    assert "Not enough data yet" in text_of(overview)
    assert "<data" not in overview
    assert "No requests in this window." in text_of(overview) or "No telemetry in this window." in text_of(overview)
    assert "No requests in this window." in text_of(await fragment("latency"))


async def test_what_is_missing_comes_with_the_command_to_copy(fragment: Fragment) -> None:
    card = await fragment("redis_memory")
    assert "No Redis is known to Watchglass." in text_of(card)
    copied = re.search(r'<code id="([^"]+)" tabindex="0">([^<]+)</code>', card)
    assert copied is not None and html.unescape(copied[2]).startswith("export REDIS_URL=")
    assert f'data-copy="{copied[1]}"' in card


async def test_latency_is_drawn_from_the_answer(
    process: Process, now: float, fragment: Fragment, client: httpx.AsyncClient
) -> None:
    await two_hours(process, now, after=busy)
    answer = (await client.get("/api/monitoring/cards/latency")).json()
    drawn = chart(await fragment("latency"))
    assert [line["name"] for line in drawn["lines"]] == ["P99", "P95", "P50"]
    assert [value for _, value in drawn["lines"][1]["values"]] == answer["all"]["p95"]
    assert [time for time, _ in drawn["lines"][1]["values"]] == [time * 1000 for time in answer["times"]]
    assert drawn["samples"] == answer["all"]["samples"]


def chart(fragment: str) -> Any:
    found = re.search(r'data-chart="([^"]+)"', fragment)
    assert found is not None
    return json.loads(html.unescape(found[1]))


async def test_latency_of_the_top_endpoints_is_one_line_each(process: Process, now: float, fragment: Fragment) -> None:
    await two_hours(process, now)
    drawn = chart(await fragment("latency", latency="top", percentile="p50"))
    assert [line["name"] for line in drawn["lines"]] == ["GET /search", "GET /books/{id}"]
    assert len({line["id"] for line in drawn["lines"]}) == 2


async def test_endpoints_come_in_the_order_of_the_address(process: Process, now: float, fragment: Fragment) -> None:
    await two_hours(process, now, after=busy)

    async def order(**query: str) -> list[str]:
        card = await fragment("endpoints", **query)
        return re.findall(r'title="(GET [^"]+)"', card)

    assert await order() == ["GET /search", "GET /books/{id}"]
    assert await order(sort="requests") == ["GET /books/{id}", "GET /search"]
    assert await order(sort="no such order") == ["GET /search", "GET /books/{id}"]
    card = await fragment("endpoints", sort="requests")
    assert re.search(r'<th scope="col" aria-sort="descending"><a id="sort-requests"', card)


async def test_an_endpoint_that_fails_often_is_marked(process: Process, now: float, fragment: Fragment) -> None:
    await two_hours(process, now, after=busy)
    card = await fragment("endpoints")
    row = re.search(r'<tr id="endpoint-[^"]+".*?/search.*?</tr>', card, re.S)
    assert row is not None
    assert re.search(r'data-label="Errors" data-level="critical".*?10 ?.*?%', row[0], re.S)
    assert re.search(r'data-label="P95" data-level="warning".*?4.*?times', row[0], re.S)


async def test_the_budget_of_an_endpoint_is_a_bar_with_its_shares_in_words(
    process: Process, now: float, fragment: Fragment
) -> None:
    def act(recorder: Recorder) -> None:
        calm(recorder)
        for component, seconds in (("own_code", 0.9), ("postgresql", 2.1)):
            values = ("GET", "/search", component, None, None, None, None)
            recorder.counter(meters.HTTP_SERVER_BUDGET, values).add(seconds)

    await two_hours(process, now, after=act)
    card = await fragment("endpoints")
    row = re.search(r'<tr id="endpoint-[^"]+".*?/search.*?</tr>', card, re.S)
    assert row is not None
    assert 'aria-label="70 % PostgreSQL, 30 % own code"' in row[0]
    assert re.findall(r'<rect class="of-(\w+)" x="([\d.]+)%" width="([\d.]+)%"', row[0]) == [
        ("own_code", "0.0", "30.0"),
        ("postgresql", "30.0", "70.0"),
    ]
    other = re.search(r'<tr id="endpoint-[^"]+".*?/books.*?</tr>', card[row.end() :], re.S)
    assert other is not None and "No budget was recorded" in other[0]
    assert "own code PostgreSQL" in text_of(card)


async def test_an_endpoint_opens_to_what_its_time_goes_to(process: Process, now: float, fragment: Fragment) -> None:
    texts = [f"SELECT {number} FROM books" for number in range(7)]

    def act(recorder: Recorder) -> None:
        calm(recorder)
        spent = {("own_code", None, None): 0.6, ("loop_lag", None, None): 0.3}
        spent |= {("postgresql", text, None): 0.3 - number / 100 for number, text in enumerate(texts)}
        for (component, text, cache_type), seconds in {**spent, ("redis", None, "search"): 0.21}.items():
            values = ("GET", "/search", component, text and "SELECT books", text, cache_type, None)
            recorder.counter(meters.HTTP_SERVER_BUDGET, values).add(seconds)

    await two_hours(process, now, after=act)
    closed = await fragment("endpoints")
    found = re.search(r'data-state="endpoint=([^"]+)" aria-expanded="false"[^>]*>.*?/search', closed, re.S)
    assert found is not None and "budget-" not in closed
    card = await fragment("endpoints", endpoint=found[1])
    assert f'id="budget-{found[1]}"' in card
    assert 'data-state="endpoint=" aria-expanded="true"' in card
    opened = text_of(card[card.index('id="budget-') :])
    assert "A request of GET /search takes 100 ms on average: 63 % PostgreSQL, 20 % own code, 10 % event-loop" in opened
    assert "PostgreSQL 63 % 63 ms" in opened and "SELECT 0 FROM books 10 % 10 ms" in opened
    assert "SELECT 4 FROM books" in opened and "SELECT 5 FROM books" not in opened and "and 2 more" in opened
    assert "Event-loop lag 10 % 10 ms estimated" in opened and "search 7 % 7 ms" in opened
    for strange in ("x", "~", found[1] + "x"):
        assert 'class="opened"' not in await fragment("endpoints", endpoint=strange)


async def test_a_link_carries_on_what_the_address_says(process: Process, now: float, fragment: Fragment) -> None:
    await two_hours(process, now)
    card = await fragment("endpoints", range="6h", compare="1d", sort="p95")
    assert 'href="?range=6h&amp;compare=1d&amp;sort=requests"' in card


async def test_statements_are_listed_and_lead_to_their_pages(process: Process, now: float, fragment: Fragment) -> None:
    text = "SELECT * FROM books WHERE title = $1"

    def query(recorder: Recorder) -> None:
        values = ("postgresql", "SELECT", "SELECT books", text, None, None)
        recorder.histogram(meters.DB_CLIENT_OPERATION_DURATION, values).record(1.5)

    await two_hours(process, now, query, query)
    card = await fragment("slow_statements", compare="1d")
    assert f'/ui/monitoring/statements/{of_statement(text)}?compare=1d">{text}</a>' in card
    assert re.search(r'data-label="Over 1\ss">60</td>', card)


async def test_redis_memory_is_a_level_under_its_limit(process: Process, now: float, fragment: Fragment) -> None:
    def read(recorder: Recorder) -> None:
        recorder.gauge(meters.REDIS_MEMORY_USED).set(90.0)
        recorder.gauge(meters.REDIS_MEMORY_MAX).set(100.0)
        recorder.counter(meters.CACHE_LOOKUPS, ("search_results", "hit")).add(6)
        recorder.counter(meters.CACHE_LOOKUPS, ("search_results", "miss")).add(4)

    await two_hours(process, now, read, read)
    card = await fragment("redis_memory")
    assert '<rect class="level" y="8" width="90.0%"' in card
    assert '<figure class="tank-figure" data-level="critical">' in card
    types = await fragment("redis")
    assert "search_results" in types and 'data-level="warning"' in types and "240" in types


async def test_findings_show_the_worst_first_and_what_to_do(context: Context, fragment: Fragment) -> None:
    async def found() -> list[Finding]:
        return [
            Finding("FastAPI", "ok", "FastAPI answers."),
            Finding("pg_stat_statements", "missing", "It is not installed.", "Install it:", "CREATE EXTENSION x;"),
            Finding("PostgreSQL", "error", "It does not answer."),
        ]

    context.findings = found
    card = await fragment("setup")
    assert card.index("It does not answer.") < card.index("<details") < card.index("It is not installed.")
    assert "CREATE EXTENSION x;" in card and "1 in order" in text_of(card)
    assert "level-critical" in card


@pytest.mark.parametrize("name", ["overview", "latency", "endpoints", "redis_memory"])
async def test_a_range_that_does_not_exist_is_explained(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"/ui/monitoring/cards/{name}", params={"range": "<b>2h</b>"})
    assert answer.status_code == 422
    assert "is not a time range" in answer.text and "<b>" not in answer.text


async def test_what_keeps_telemetry_from_being_stored_comes_first(context: Context, fragment: Fragment) -> None:
    class Status:
        state, message = "forbidden", "The role app may not create the schema watchglass."

    context.status = lambda: Status  # type: ignore[assignment, return-value]
    overview = await fragment("overview")
    assert "critical: Telemetry is not being stored. The role app may not create" in text_of(overview)


async def test_a_missing_schema_that_the_role_may_not_make_is_explained_by_that(
    context: Context, client: httpx.AsyncClient, store_url: str
) -> None:
    class Status:
        state, message = "forbidden", "The role app may not create the schema watchglass."

    connection = await asyncpg.connect(store_url)
    await connection.execute("ALTER SCHEMA watchglass RENAME TO elsewhere")
    await connection.close()
    answer = await client.get("/ui/monitoring/cards/overview")
    assert (answer.status_code, "Run `watchglass migrate` with the URL of a role that may" in answer.text) == (
        503,
        True,
    )
    context.status = lambda: Status  # type: ignore[assignment, return-value]
    answer = await client.get("/ui/monitoring/cards/overview")
    assert (answer.status_code, Status.message in answer.text) == (503, True)


async def test_a_process_that_does_not_look_has_nothing_that_is_right(fragment: Fragment) -> None:
    card = await fragment("setup")
    assert "Nothing is wrong" not in card and "watchglass doctor" in card
