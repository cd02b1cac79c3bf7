"""Log lines are found by whatever one asks, page by page, each exactly once, and by an index where there is one."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from support.log_lines import add_processes, fill
from support.partitions import this_hour
from support.rows import trace
from watchglass import sql
from watchglass.errors import QueryTooSlow
from watchglass.records import Batch, Instance
from watchglass.store.connection import transaction
from watchglass.store.database import Database
from watchglass.store.logs import LogFilter, LogSearch, Place
from watchglass.store.spans import Spans
from watchglass.store.writer import Writer

LINES = 1000
HOUR = this_hour()
HOURS = [HOUR - timedelta(hours=hours) for hours in (3, 2, 1)]
START, END = HOURS[0], HOUR


@pytest.fixture
async def connection(store_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A store with three hours of lines of two services."""
    connection = await asyncpg.connect(store_url)
    await add_processes(connection, "shop", "mail")
    for hour in HOURS:
        await fill(connection, hour, LINES)
    yield connection
    await connection.close()


@pytest.fixture
async def search(connection: object, store_url: str) -> AsyncIterator[LogSearch]:
    database = Database(store_url)
    yield LogSearch(database)
    await database.close()


async def all_before(search: LogSearch, asked: LogFilter, limit: int = 400) -> list[Any]:
    found, place = [], None
    while True:
        page = await search.before(asked, START, END, limit, place)
        found += [Place.of(row) for row in page.rows]
        assert page.complete
        if not page.more:
            return found
        assert len(page.rows) == limit
        place = Place.of(page.rows[-1])


async def all_after(search: LogSearch, asked: LogFilter, limit: int = 400) -> list[Any]:
    found, place = [], None
    while True:
        page = await search.after(asked, START, END, limit, place)
        found += [Place.of(row) for row in page.rows]
        if not page.more:
            return found
        place = Place.of(page.rows[-1])


FILTERS = {
    "all": (LogFilter(), "true"),
    "warnings": (LogFilter(severity=13), "severity >= 13"),
    "errors": (LogFilter(severity=17), "severity >= 17"),
    "a service": (LogFilter(service="mail"), "instance_id = 2"),
    "a process": (LogFilter(instance="process-1"), "instance_id = 1"),
    "a logger": (LogFilter(logger="shop.payment"), "logger = 'shop.payment'"),
    "text of the message": (LogFilter(text="TOOK 99"), "message ~ 'took 99'"),
    "text of the exception": (LogFilter(text="keyerror"), "exception IS NOT NULL"),
    "several": (
        LogFilter(severity=13, service="mail", text="took 4"),
        "severity >= 13 AND instance_id = 2 AND message ~ 'took 4'",
    ),
}


@pytest.mark.parametrize("name", FILTERS)
async def test_pages_in_both_directions_have_every_line_once_in_order(
    connection: asyncpg.Connection[asyncpg.Record], search: LogSearch, name: str
) -> None:
    asked, condition = FILTERS[name]
    rows = await connection.fetch(
        f"SELECT * FROM watchglass.logs WHERE {condition} ORDER BY (time, instance_id, sequence, position) DESC"
    )
    assert len(rows) > 2
    expected = [Place.of(dict(row)) for row in rows]
    assert await all_before(search, asked) == expected
    assert await all_after(search, asked) == expected[::-1]


async def test_lines_of_one_moment_are_paged_by_process_and_order(
    connection: asyncpg.Connection[asyncpg.Record], search: LogSearch
) -> None:
    await connection.execute("UPDATE watchglass.logs SET time = $1 WHERE time >= $1", HOURS[2])
    found = await all_before(search, LogFilter(), 250)
    assert len(set(found)) == len(found) == 3 * LINES
    assert found == sorted(found, reverse=True)


async def test_lines_that_come_while_someone_pages_shift_nothing(
    connection: asyncpg.Connection[asyncpg.Record], search: LogSearch
) -> None:
    first = await search.before(LogFilter(), START, END, 10)
    await fill(connection, HOUR, 50)
    second = await search.before(LogFilter(), START, END + timedelta(hours=1), 10, Place.of(first.rows[-1]))
    newer = await search.after(LogFilter(), START, END, 20, Place.of(second.rows[-1]))
    assert [*second.rows[-2::-1], *first.rows[::-1]] == newer.rows
    assert newer.more is False


async def test_a_trace_is_found_whole_over_the_hours(
    search: LogSearch, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    [row] = await connection.fetch(
        "SELECT trace_id FROM watchglass.logs WHERE trace_id IS NOT NULL ORDER BY time LIMIT 1"
    )
    await connection.execute(
        "UPDATE watchglass.logs SET trace_id = $1 WHERE time > $2 AND position = 50", row["trace_id"], HOURS[2]
    )
    asked = LogFilter(trace_id=row["trace_id"])
    found = await all_before(search, asked, 7)
    assert len(found) == 10 + LINES // 100
    assert await all_after(search, asked, 7) == found[::-1]
    assert await all_before(search, LogFilter(trace_id=row["trace_id"], text="no such text")) == []


async def test_a_line_says_of_which_process_it_is_and_whether_its_trace_was_kept(store_url: str) -> None:
    kept = trace()
    trace_id = f"{kept.root.trace_id:032x}"
    writer = Writer(store_url, Instance("shop", "", "1.0", "me", "host-a", 1, HOUR.timestamp()))
    await writer.open()
    from support.rows import line

    await writer.write(
        Batch(1, logs=[line("kept", trace_id=trace_id), line("other", trace_id="ab" * 16), line()], traces=[kept])
    )
    await writer.close()
    database = Database(store_url)
    page = await LogSearch(database).before(LogFilter(), START, END + timedelta(hours=2), 10)
    await database.close()
    assert {row["message"]: row["trace_kept"] for row in page.rows} == {"kept": True, "other": False, "m": False}
    assert {(row["service_name"], row["service_instance_id"], row["host_name"]) for row in page.rows} == {
        ("shop", "me", "host-a")
    }


async def test_lines_of_processes_that_are_forgotten_are_still_found(
    search: LogSearch, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    await connection.execute("DELETE FROM watchglass.instances")
    page = await search.before(LogFilter(), START, END, 5)
    assert len(page.rows) == 5 and page.rows[0]["service_name"] is None
    assert not (await search.before(LogFilter(service="shop"), START, END, 5)).rows


@pytest.mark.parametrize("text", ["100%", "a_b", "c\\d", "'; DROP TABLE watchglass.logs; --", "\x00here"])
async def test_text_is_looked_for_as_it_is(
    search: LogSearch, connection: asyncpg.Connection[asyncpg.Record], text: str
) -> None:
    for position, message in enumerate((f"it says {text}".replace("\x00", ""), "1000 axb cxd")):
        await connection.execute(
            "INSERT INTO watchglass.logs VALUES ($1, 999, 1, $2, 9, 'INFO', 'l', $3, '{}')", HOURS[2], position, message
        )
    page = await search.before(LogFilter(text=text), START, END, 10)
    assert [row["message"] for row in page.rows] == [f"it says {text}".replace("\x00", "")]


async def test_a_search_line_by_line_says_how_far_it_got_and_goes_on(
    search: LogSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where there is so much that the time is up before the window's start."""
    monkeypatch.setattr(Spans, "done", _one_span(Spans.done))
    asked = LogFilter(text="no such text")
    page = await search.before(asked, START, END, 10)
    assert (page.rows, page.more, page.complete, page.indexed) == ([], False, False, False)
    assert START < page.reached < END
    again = await search.before(asked, START, END, 10, Place.at(page.reached))
    assert again.reached < page.reached
    monkeypatch.undo()
    whole = await search.before(asked, START, END, 10, Place.at(again.reached))
    assert whole.complete and whole.reached == START


def _one_span(done: Any) -> Any:
    def and_no_more(spans: Spans, seconds: float) -> None:
        done(spans, seconds)
        spans.next = lambda: None  # type: ignore[method-assign]

    return and_no_more


async def test_a_span_that_takes_too_long_is_tried_narrower(search: LogSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    widths: list[timedelta] = []
    fetch = LogSearch._fetch

    async def slow(
        self: LogSearch, query: str, criteria: Any, span: tuple[datetime, datetime], limit: int, seconds: float
    ) -> Any:
        widths.append(span[1] - span[0])
        if span[1] - span[0] > timedelta(seconds=10):
            raise QueryTooSlow(seconds="1")
        return await fetch(self, query, criteria, span, limit, seconds)

    monkeypatch.setattr(LogSearch, "_fetch", slow)
    page = await search.before(LogFilter(), START, END, 5)
    assert len(page.rows) == 5
    assert widths[:4] == [timedelta(hours=1) / 8**tries for tries in range(4)]


async def test_what_is_too_slow_however_narrow_is_said(search: LogSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(*_: Any) -> Any:
        raise QueryTooSlow(seconds="1")

    monkeypatch.setattr(LogSearch, "_fetch", slow)
    with pytest.raises(QueryTooSlow):
        await search.before(LogFilter(), START, END, 5)


async def test_a_search_does_not_hold_up_other_questions(store_url: str) -> None:
    database = Database(store_url)
    other = database.beside("watchglass searcher")
    assert database.beside("watchglass searcher") is other
    await other.fetch("SELECT 1")
    async with other._lock:
        assert len(await database.fetch("SELECT 1")) == 1
    await database.close()
    assert not other._is_open()


def test_a_place_is_text_and_back() -> None:
    place = Place(HOUR + timedelta(microseconds=3), 2, 2**40, 7)
    assert Place.parse(str(place)) == place
    assert Place.parse(str(Place.at(HOUR))) == (HOUR, 0, 0, 0)


@pytest.mark.parametrize(
    "text", ["", "1_2_3", "1_2_3_4_5", "1_2_3_x", "-1_2_3_4", "9" * 19 + "_1_1_1", "1_2147483648_1_1", "1_1_1_\u0663"]
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Place.parse(text)


# Plans: with as many lines as make a difference, statistics included.


def names_of(plan: Any) -> set[str]:
    """The indexes and tables that a plan reads."""
    found = {plan[key] for key in ("Index Name", "Relation Name") if key in plan}
    assert not (plan["Node Type"] == "Seq Scan" and plan["Relation Name"].startswith("logs_"))
    return found.union(*(names_of(child) for child in plan.get("Plans", ())))


@pytest.fixture
async def large(store_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(store_url)
    await add_processes(connection, *(["shop"] * 40), "mail")
    for hour in HOURS:
        await fill(connection, hour, 8_000, processes=40)
        await connection.execute(
            "INSERT INTO watchglass.logs SELECT time, sequence, 41, position, severity, level, logger, message, fields"
            " FROM watchglass.logs WHERE time >= $1 ORDER BY time LIMIT 5",
            hour,
        )
    await connection.execute("ANALYZE watchglass.logs")
    yield connection
    await connection.close()


SERVED = {
    "time": ({}, "time"),
    "warnings": ({"severity": 13}, "(warnings|time_idx1)"),
    "errors": ({"severity": 17}, "(errors|time_idx2)"),
    "logger": ({"logger": "shop.payment"}, "(left|logger)"),
    "rare process": ({"writers": [41]}, "(instance_id_time|instance)"),
}


@pytest.mark.parametrize("name", ("logs_before", "logs_after"))
@pytest.mark.parametrize("served", SERVED)
async def test_an_index_serves_the_filter_and_other_hours_are_not_read(
    large: asyncpg.Connection[asyncpg.Record], served: str, name: str
) -> None:
    criteria, index = SERVED[served]
    plan = await _plan(large, name, HOURS[1], HOURS[2], None, **criteria)
    used = names_of(plan)
    tables = {one for one in used if re.fullmatch(r"logs_\d+", one)}
    assert tables == {f"logs_{HOURS[1]:%Y%m%d%H}"}
    [found] = [one for one in used if one not in tables and one.startswith("logs_")]
    assert re.search(index, found)


async def test_a_trace_is_found_by_its_index_before_there_are_statistics(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    for name in ("logs_of_trace_before", "logs_of_trace_after"):
        used = names_of(await _plan(connection, name, HOURS[0], HOUR, b"1" * 16))
        assert len([one for one in used if "trace_id" in one]) == 3


async def _plan(
    connection: asyncpg.Connection[asyncpg.Record],
    name: str,
    start: datetime,
    end: datetime,
    trace_id: bytes | None,
    severity: int | None = None,
    writers: list[int] | None = None,
    logger: str | None = None,
) -> Any:
    of_trace = () if trace_id is None else (trace_id,)
    async with transaction(connection, seconds=5.0):
        text = await connection.fetchval(
            f"EXPLAIN (FORMAT JSON) {sql.load('logs')[name]}",
            start,
            end,
            *(None,) * 4,
            severity,
            writers,
            logger,
            None,
            *of_trace,
            101,
        )
    return json.loads(text)[0]["Plan"]
