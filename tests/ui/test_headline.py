"""The sentence on top: what is in the requests' way comes before the figures that suffer from it."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Awaitable, Callable, Sequence

from support.databases import execute
from support.locking import TABLE, session
from support.past import Process, request
from watchglass import meters
from watchglass.api import overview
from watchglass.api.answers import Pressing
from watchglass.api.asking import Asked
from watchglass.api.context import Context
from watchglass.instrumentation.recorder import Recorder
from watchglass.ui import cards
from watchglass.ui.cards import headline
from watchglass.ui.cards.headline import UNKNOWN, Headline

HOUR = 3600.0
LOCKED = Pressing(what="locks", sentence="2 sessions wait", pid=42, seconds=2.0)
LONG_LOCKED = LOCKED.model_copy(update={"seconds": 9.0})
CROWDED = Pressing(what="connections", sentence="80 of 97 connections are used", share=0.82)
FULL = CROWDED.model_copy(update={"share": 0.97})
POOL = Pressing(what="pool", sentence="16 requests wait for a connection", waiting=16)
REDIS = Pressing(what="redis", sentence="Redis at cache:6379 cannot be used")
AWAY = Pressing(what="away", sentence="PostgreSQL at db:5432/shop does not answer")
STORED = "Telemetry is not being stored."

Fragment = Callable[..., Awaitable[str]]


def calm(recorder: Recorder) -> None:
    request(recorder, "/search", 0.1, times=30)
    recorder.gauge(meters.POSTGRESQL_BACKENDS, ("idle",)).set(10)
    recorder.gauge(meters.POSTGRESQL_CONNECTION_MAX).set(100)


def failing(recorder: Recorder) -> None:
    calm(recorder)
    request(recorder, "/search", 0.1, "500", "KeyError", times=30)
    recorder.gauge(meters.POSTGRESQL_BACKENDS, ("idle",)).set(97)


async def view(
    context: Context, process: Process, pressing: Sequence[Pressing] | None, problem: str | None = None
) -> Headline:
    """Over an hour in which half of the requests fail, and PostgreSQL's connections are over their limit."""
    now = context.clock()
    await process.live(now - 2 * HOUR, now - HOUR, calm)
    await process.live(now - HOUR, now, failing)

    async def nothing() -> list[Pressing]:
        return []

    answer = await overview.summary(Asked.of(context, {}), nothing)
    tiles = [cards.VIEWS[name][0](tile, {}, context.settings) for name, tile in answer.tiles.items()]
    return headline.view(tiles, problem, pressing)  # type: ignore[arg-type]


def links(found: Headline) -> list[str]:
    return [found.link, *(one.link for one in found.evidence)]


async def test_a_lock_that_is_long_waited_for_comes_before_the_requests_that_fail_of_it(
    context: Context, process: Process
) -> None:
    found = await view(context, process, [LONG_LOCKED])
    assert (found.level, found.sentence) == ("critical", "2 sessions wait")
    assert links(found) == ["postgresql#lock-42", "#tile_api-errors", "#tile_postgresql-connections"]
    assert found.count == 3 and not found.unknown


async def test_a_short_wait_comes_after_what_is_critical(context: Context, process: Process) -> None:
    assert links(await view(context, process, [LOCKED]))[-1] == "postgresql#lock-42"


async def test_what_postgresql_says_now_of_its_connections_is_said_in_place_of_what_was_last_read(
    context: Context, process: Process
) -> None:
    assert links(await view(context, process, [LONG_LOCKED, FULL])) == [
        *("postgresql#lock-42", "postgresql#connections", "#tile_api-errors")
    ]


async def test_connections_have_the_limits_of_the_tile(context: Context, process: Process) -> None:
    found = await view(context, process, [CROWDED])
    assert [one.level for one in found.evidence if one.link == "postgresql#connections"] == ["warning"]


async def test_a_database_that_is_away_comes_first(context: Context, process: Process) -> None:
    assert links(await view(context, process, [AWAY], STORED))[:3] == ["postgresql#now", "", "#tile_api-errors"]


async def test_a_pool_that_is_used_up_comes_before_the_errors_it_makes(context: Context, process: Process) -> None:
    found = await view(context, process, [POOL])
    assert (found.level, found.sentence) == ("critical", "16 requests wait for a connection")
    assert links(found)[:2] == ["postgresql#pools", "#tile_api-errors"]


async def test_a_redis_that_does_not_answer_comes_before_the_errors_it_makes(
    context: Context, process: Process
) -> None:
    assert links(await view(context, process, [REDIS]))[:2] == ["#setup", "#tile_api-errors"]


async def test_old_figures_are_said_to_be_old_before_them(context: Context, process: Process) -> None:
    found = await view(context, process, [LOCKED], STORED)
    assert (found.level, found.sentence, found.link) == ("critical", STORED, "")


async def test_what_nobody_knows_is_no_quiet(context: Context, process: Process) -> None:
    assert (await view(context, process, None)).unknown == UNKNOWN
    assert headline.view([], None, None).unknown == UNKNOWN


async def test_a_real_lock_leads_to_where_it_is_ended(
    process: Process, now: float, fragment: Fragment, store_url: str
) -> None:
    execute(store_url, *TABLE)
    await process.live(now - HOUR, now, calm)
    async with session(store_url, "BEGIN", "LOCK TABLE orders") as holder, session(store_url) as waiter:
        waits = asyncio.create_task(waiter.execute("SELECT count(*) FROM orders"))
        said = None
        async with asyncio.timeout(60):
            while said is None:
                await asyncio.sleep(0.5)
                overview = await fragment("overview", range="6h")
                said = re.search(r'<p class="says level-critical">.*?<a href="([^"]+)">([^<]+)</a>', overview, re.S)
        pid = holder.get_server_pid()
        await holder.execute("COMMIT")
        await waits
    assert html.unescape(said[1]) == f"/ui/monitoring/postgresql?range=6h#lock-{pid}"
    assert said[2].startswith(f"1 session waits for a lock that session {pid} (psql) holds, for ")
    assert 'data-findings="1"' in overview
