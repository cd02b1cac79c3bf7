"""Traces are found by all that is known of them, in order, and without reading what cannot be meant."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from support.log_lines import fill
from support.partitions import add_partition, this_hour
from support.traces import BOOKS, Writing, child, kept, log, statement
from watchglass import sql
from watchglass.analysis.fingerprints import of_statement
from watchglass.analysis.windows import Window
from watchglass.errors import QueryTooSlow
from watchglass.records import Trace
from watchglass.store import traces
from watchglass.store.database import Database
from watchglass.store.logs import Place
from watchglass.store.traces import Wanted

NOW = time.time()
HOUR = Window(NOW - 3600, NOW)
HOURS = 6
Write = Callable[..., Awaitable[None]]


@pytest.fixture
async def database(store_url: str) -> AsyncIterator[Database]:
    opened = Database(store_url)
    yield opened
    await opened.close()


@pytest.fixture
async def past(store_url: str) -> None:
    """The store has partitions for hours that have passed."""
    connection, now = await asyncpg.connect(store_url), this_hour()
    for hours in range(2, HOURS + 2):
        for parent in ("logs", "traces"):
            await add_partition(connection, parent, now - timedelta(hours=hours))
    await connection.close()


@pytest.fixture
async def write(store_url: str, past: None) -> AsyncIterator[Write]:
    """`write(trace, ..., service=)` as one batch of that service's process."""
    processes: dict[str, Writing] = {}

    async def batch(*written: Trace, service: str = "shop", **more: Any) -> None:
        process = processes.setdefault(service, Writing(store_url, service))
        await process.write(*written, **more)

    yield batch
    for process in processes.values():
        await process.close()


def names(found: traces.Found) -> list[str]:
    return [row["name"] for row in found.rows]


async def test_traces_come_newest_first_with_what_is_known_of_their_process(database: Database, write: Write) -> None:
    await write(kept(NOW - 30, child("q", 0, 0.01, statement()), route="/a"), kept(NOW - 20, route="/b"))
    await write(kept(NOW - 25, route="/c"), service="bank")
    found = await traces.find(database, Wanted(), HOUR, 10)
    assert names(found) == ["GET /b", "GET /c", "GET /a"]
    assert [row["service_name"] for row in found.rows] == ["shop", "bank", "shop"]
    assert [(row["spans"], row["statements"]) for row in found.rows] == [(1, 0), (1, 0), (2, 1)]
    assert found.older is None and found.reached is None


LONG = "/" + "x" * 300
FILTERS = [
    (Wanted(service="bank"), ["bank"]),
    (Wanted(service="nobody"), []),
    (Wanted(method="POST"), ["post"]),
    (Wanted(method="GET", route="/slow"), ["slow"]),
    (Wanted(route=LONG), ["long"]),
    (Wanted(route=LONG[:200]), []),
    (Wanted(unmatched=True), ["unmatched"]),
    (Wanted(lowest_status=404, highest_status=404), ["unmatched"]),
    (Wanted(lowest_status=500), ["failed"]),
    (Wanted(errors=True), ["failed", "raised"]),
    (Wanted(error_type="shop.Gone"), ["raised"]),
    (Wanted(error_group="abcd"), ["raised"]),
    (Wanted(statements=[of_statement(BOOKS)]), ["books"]),
    (Wanted(statements=["0" * 16, of_statement(BOOKS)]), ["books"]),
    (Wanted(statements=[]), []),
    (Wanted(reason="slow"), ["slow"]),
    (Wanted(min_duration=2.0), ["slow"]),
    (Wanted(max_duration=0.01), ["fast"]),
    (Wanted(method="GET", min_duration=0.05, max_duration=0.15, errors=True), ["failed", "raised"]),
]


@pytest.mark.parametrize(("wanted", "expected"), FILTERS, ids=lambda value: str(value)[:60])
async def test_each_filter_keeps_what_it_says(
    database: Database, write: Write, wanted: Wanted, expected: list[str]
) -> None:
    written = {
        "post": kept(NOW - 10, method="POST"),
        "slow": kept(NOW - 11, route="/slow", seconds=2.5, reason="slow"),
        "long": kept(NOW - 12, route=LONG),
        "unmatched": kept(NOW - 13, route=None, status=404),
        "failed": kept(NOW - 14, status=500, error="500"),
        "raised": kept(NOW - 15, error="shop.Gone", error_group="abcd"),
        "books": kept(NOW - 16, child("q", 0, 0.01, statement())),
        "fast": kept(NOW - 17, seconds=0.001),
    }
    await write(*written.values())
    written["bank"] = kept(NOW - 18)
    await write(written["bank"], service="bank")
    by_id = {trace.root.trace_id: name for name, trace in written.items()}
    found = await traces.find(database, wanted, HOUR, 20)
    assert [by_id[int.from_bytes(row["trace_id"])] for row in found.rows] == expected


async def test_a_window_begins_with_its_start_and_ends_before_its_end(database: Database, write: Write) -> None:
    whole = int(NOW) - 100
    await write(kept(whole, route="/start"), kept(whole + 10, route="/end"))
    assert names(await traces.find(database, Wanted(), Window(whole, whole + 10), 10)) == ["GET /start"]


async def test_pages_follow_each_other_without_gap_or_repeat_also_among_traces_of_one_moment(
    database: Database, write: Write
) -> None:
    await write(*(kept(NOW - 60, route=f"/{number}") for number in range(7)))
    await write(*(kept(NOW - 60, route=f"/{number}") for number in range(7, 11)), service="bank")
    await write(*(kept(NOW - 7200 - number, route=f"/old{number}") for number in range(5)))
    window, place, found = Window(NOW - 10_000, NOW), None, []
    while True:
        page = await traces.find(database, Wanted(), window, 3, place)
        assert len(page.rows) <= 3
        found += names(page)
        if page.older is None:
            break
        place = Place.parse(str(page.older))
    assert len(found) == len(set(found)) == 16
    assert found[11:] == [f"GET /old{number}" for number in range(5)]


async def test_when_time_is_up_the_answer_says_from_where_to_go_on(database: Database, write: Write) -> None:
    await write(kept(NOW - 60, route="/new"), kept(NOW - 10_000, route="/old"))
    window = Window(NOW - 12_000, NOW)

    class Slow(Database):
        """Takes its time for every stretch after the first."""

        asked = 0

        async def fetch(self, *arguments: Any, **more: Any) -> Any:
            self.asked += 1
            if self.asked > 1:
                raise QueryTooSlow(seconds="1")
            return await super().fetch(*arguments, **more)

    slow = Slow(database.dsn)
    page = await traces.find(slow, Wanted(), window, 10, seconds=0.2)
    await slow.close()
    assert names(page) == ["GET /new"]
    assert page.reached is not None and page.older == Place.at(page.reached)
    rest = await traces.find(database, Wanted(), window, 10, page.older)
    assert names(rest) == ["GET /old"] and rest.older is None


async def test_the_kept_traces_of_an_endpoint_are_counted_up_to_a_limit(
    database: Database, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(*(kept(NOW - number) for number in range(1, 6)), kept(NOW - 1, route=None), kept(NOW - 9000))
    assert await traces.count(database, Wanted(method="GET", route="/books/{id}"), HOUR) == 5
    assert await traces.count(database, Wanted(unmatched=True, service="shop"), HOUR) == 1
    assert await traces.count(database, Wanted(service="bank"), HOUR) == 0
    monkeypatch.setattr(traces, "MOST_COUNTED", 3)
    assert await traces.count(database, Wanted(route="/books/{id}"), HOUR) == 3


async def test_a_trace_has_its_parts_of_all_services_and_hours(
    database: Database, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace_id = 2**100 + 7
    key = trace_id.to_bytes(16)
    await write(kept(NOW - 100, trace_id=trace_id), kept(NOW - 99))
    await write(kept(NOW - 8000, trace_id=trace_id), service="bank")
    rows = await traces.parts(database, key)
    assert [(row["service_name"], row["parts"]) for row in rows] == [("bank", 2), ("shop", 2)]
    assert await traces.parts(database, b"\0" * 16) == []
    monkeypatch.setattr(traces, "MOST_PARTS", 1)
    assert len(await traces.parts(database, key)) == 1
    monkeypatch.setattr(traces, "MOST_BYTES", 0)
    assert [row["service_name"] for row in await traces.parts(database, key)] == ["bank"], (
        "the first one is always read"
    )


async def test_spans_that_find_no_room_in_a_document_are_counted(database: Database, write: Write) -> None:
    trace = kept(NOW - 10, *(child("q", 0, 0.01) for _ in range(1_200)), dropped_spans=5)
    await write(trace)
    [row] = await traces.parts(database, trace.root.trace_id.to_bytes(16))
    assert (len(json.loads(row["spans"])), row["dropped_spans"]) == (1_000, 206)


async def test_log_lines_of_a_trace_come_by_time_and_bounded(
    database: Database, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = kept(NOW - 100)
    lines = [log(NOW - 100 + number, f"m{number}", trace) for number in (3, 1, 2)]
    await write(trace, logs=[*lines, log(NOW - 99, "other"), log(NOW - 5000, "long ago", trace)])
    key = trace.root.trace_id.to_bytes(16)
    found = await traces.lines(database, key, Window(NOW - 200, NOW))
    assert [row["message"] for row in found] == ["m1", "m2", "m3"]
    assert found[0]["service_name"] == "shop" and found[0]["trace_kept"] is True
    everything = await traces.lines(database, key, kept=False)
    assert [row["message"] for row in everything] == ["long ago", "m1", "m2", "m3"]
    assert everything[0]["trace_kept"] is False
    monkeypatch.setattr(traces, "MOST_LINES", 2)
    assert len(await traces.lines(database, key)) == 3, "one more says that there are more"


async def test_statements_are_found_by_a_part_of_their_text(database: Database, store_url: str) -> None:
    connection = await asyncpg.connect(store_url)
    for number, text in enumerate([BOOKS, "DELETE FROM Books", "SELECT 100% FROM a_b"]):
        await connection.execute(
            "INSERT INTO watchglass.series (id, name, kind, unit, attributes) VALUES ($1, $2, 'histogram', 's', $3)",
            number,
            "db.client.operation.duration",
            json.dumps({"db.query.text": text}),
        )
    await connection.close()
    assert await traces.statements_with(database, "books") == ["DELETE FROM Books", BOOKS]
    assert await traces.statements_with(database, "%") == ["SELECT 100% FROM a_b"]
    assert await traces.statements_with(database, "a_b") == ["SELECT 100% FROM a_b"]
    assert await traces.statements_with(database, "\x00\ud800'; --") == []


# What PostgreSQL makes of a search in a store of six hours.

EACH = 3_000


@pytest.fixture
async def filled(store_url: str, past: None) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A store with thousands of traces an hour, as many endpoints, groups and statements as a service has."""
    connection = await asyncpg.connect(store_url)
    try:
        await _fill(connection)
        yield connection
    finally:
        await connection.close()


async def _fill(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    await connection.execute(
        """
        INSERT INTO watchglass.traces (
            time, sequence, duration, instance_id, position, status, dropped_spans, trace_id, span_id, name, route,
            method, error_type, reason, spans, error_group, statements
        )
        SELECT
            now() - make_interval(hours => hour, secs => n * 3600.0 / $2), n, (n % 1000) / 100.0, 1, hour, 200, 0,
            decode(md5(hour || '-' || n), 'hex'), '\\x0102030405060708', 'GET', '/r' || n % 300, 'GET',
            CASE WHEN n % 50 = 0 THEN 'E' END, 'random', '[]',
            CASE WHEN n % 50 = 0 THEN 'group' || n % 20 END, ARRAY['s' || n % 500, 'all']
        FROM generate_series(0, $1 - 1) AS hour, generate_series(1, $2) AS n
        """,
        HOURS,
        EACH,
    )
    await connection.execute("ANALYZE watchglass.traces")


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


async def plan_of(connection: Any, name: str, *arguments: Any) -> list[dict[str, Any]]:
    """What reads partitions of traces and logs that are worth an index: small ones are read as they are."""
    rows = await connection.fetch(f"EXPLAIN (FORMAT JSON) {sql.load('traces')[name]}", *arguments)
    small = await connection.fetch("SELECT relname FROM pg_class WHERE reltuples < 1000")
    names = {row["relname"] for row in small}
    found = nodes(json.loads(rows[0][0])[0]["Plan"])
    return [node for node in found if node.get("Relation Name", node.get("Index Name")) not in names]


async def explained(connection: Any, wanted: Wanted, hours: float = HOURS) -> list[dict[str, Any]]:
    end = datetime.now(UTC)
    arguments = (end - timedelta(hours=hours), end, *traces._arguments(wanted), *(None,) * 4, 51)
    return await plan_of(connection, "find_traces", *arguments)


def scans(plan: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [node for node in plan if node.get("Relation Name", "").startswith(("traces_", "logs_"))]


def indexes(plan: list[dict[str, Any]]) -> set[str]:
    """The indexes of partitions, by what comes after the partition's name."""
    names = {node["Index Name"] for node in plan if "Index Name" in node}
    return {name.split("_", 2)[-1] for name in names if name.startswith(("traces_", "logs_"))}


async def test_only_partitions_of_the_window_are_read(filled: Any) -> None:
    for hours, most in ((0.5, 2), (HOURS - 1.5, HOURS)):
        read = {node["Relation Name"] for node in scans(await explained(filled, Wanted(), hours))}
        assert most - 2 <= len(read) <= most


async def test_a_page_is_read_by_time_from_its_newest_partition(filled: Any) -> None:
    plan = await explained(filled, Wanted())
    assert {node["Node Type"] for node in scans(plan)} == {"Index Scan"} and indexes(plan) == {"time_idx"}
    assert not [node for node in plan if node["Node Type"] == "Sort"], "what comes in order is not sorted"


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (Wanted(error_group="group7"), "error_group"),
        (Wanted(statements=["s77"]), "statements"),
        (Wanted(min_duration=9.989), "duration"),
        (Wanted(route="/r77"), "left"),
        (Wanted(method="GET", route="/nothing"), "left"),
    ],
    ids=["error group", "statement", "duration", "route", "endpoint"],
)
async def test_what_is_rare_is_found_by_its_own_index(filled: Any, wanted: Wanted, index: str) -> None:
    plan = await explained(filled, wanted)
    assert scans(plan) and "Seq Scan" not in {node["Node Type"] for node in scans(plan)}
    assert all(name.startswith(index) for name in indexes(plan)), indexes(plan)


async def test_a_trace_is_looked_up_by_its_id(filled: Any) -> None:
    plan = await plan_of(filled, "trace_parts", b"\1" * 16, 100, 2**20)
    assert len(scans(plan)) >= HOURS and {node["Node Type"] for node in scans(plan)} == {"Index Scan"}
    assert indexes(plan) == {"trace_id_idx"}


async def test_log_lines_of_a_trace_are_looked_up_by_its_id(filled: Any) -> None:
    await fill(filled, this_hour() - timedelta(hours=1), 2000)
    await filled.execute("ANALYZE watchglass.logs")
    plan = await plan_of(filled, "trace_logs", b"\1" * 16, None, None, 10, True)
    assert scans(plan) and "Seq Scan" not in {node["Node Type"] for node in scans(plan)}
    assert indexes(plan) == {"trace_id_idx"}


def test_what_is_wanted_names_an_endpoint_or_not() -> None:
    assert not Wanted(service="shop", errors=True).of_endpoint
    assert all(replace(Wanted(), **one).of_endpoint for one in ({"route": "/"}, {"method": "GET"}, {"unmatched": True}))
