"""Stored log lines: a page at a time, with what is known of the search, and all of them as a file."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

import watchglass
from support.databases import execute
from support.log_lines import add_processes, fill
from support.partitions import steady_hour
from support.past import browser, log_in
from support.rows import line, trace
from watchglass.api import log_export
from watchglass.api.app import create_app
from watchglass.api.asking import Asked
from watchglass.api.context import Context
from watchglass.api.log_export import export
from watchglass.api.logs import SEARCHER
from watchglass.demo.servers import PostgreSQL
from watchglass.records import Batch, Instance, LogRecord
from watchglass.store.database import Database
from watchglass.store.logs import LogFilter, LogSearch
from watchglass.store.spans import Spans
from watchglass.store.writer import Writer

LOGS = "/api/monitoring/logs"
EXPORT = f"{LOGS}/export"


@pytest.fixture
def now() -> float:
    """The present: lines are stored with their times."""
    return time.time()


@pytest_asyncio.fixture
async def filled(connection: Any) -> int:
    """Lines of the last half hour, of shop and of mail; how many of them are shop's."""
    await add_processes(connection, "shop", "mail")
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=30)
    await fill(connection, begin.replace(minute=0, second=0), 0)
    await connection.execute("SET timezone = 'UTC'")
    from support import log_lines

    await connection.execute(log_lines._FILL, begin, 1200, timedelta(minutes=25), 2, 0)
    count: int = await connection.fetchval("SELECT count(*) FROM watchglass.logs WHERE instance_id = 1")
    return count


async def write(store_url: str, *lines: LogRecord, service: str = "shop") -> None:
    writer = Writer(store_url, Instance(service, "", "1.0", "writer", "host-a", 1, time.time() - 60))
    await writer.open()
    await writer.write(Batch(1, logs=lines))
    await writer.close()


async def get(api: httpx.AsyncClient, **query: object) -> dict[str, Any]:
    answer = await api.get(LOGS, params={key: str(value) for key, value in query.items()})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_pages_lead_through_all_lines_of_the_service_and_back(filled: int, api: httpx.AsyncClient) -> None:
    page = await get(api, limit=250)
    assert page["newer"] is None
    pages = [page]
    while page["older"]:
        page = await get(api, limit=250, before=page["older"])
        pages.append(page)
    lines = [one for page in pages for one in page["records"]]
    assert len({one["id"] for one in lines}) == len(lines) == filled
    assert [one["time"] for one in lines] == sorted((one["time"] for one in lines), reverse=True)
    assert {one["service"] for one in lines} == {"shop"}
    back = await get(api, limit=250, after=pages[-1]["newer"])
    assert back["records"] == pages[-2]["records"]
    assert (await get(api, limit=250, before=back["older"]))["records"] == pages[-1]["records"]
    assert (await get(api, limit=500, after=pages[1]["newer"]))["newer"] is None


async def test_a_line_says_all_that_is_known_of_it(store_url: str, api: httpx.AsyncClient) -> None:
    at = time.time_ns() // 1000 * 1000
    ids = {"trace_id": "ab" * 16, "span_id": "cd" * 8}
    await write(
        store_url, line("boom", time_ns=at, severity=17, level="ERROR", fields={"a": [1]}, exception="E", **ids)
    )
    answer = await get(api, level="error")
    [found] = answer["records"]
    assert found == {
        **{"severity": 17, "level": "ERROR", "logger": "shop", "message": "boom", "fields": {"a": [1]}, **ids},
        **{"service": "shop", "instance": "writer", "host": "host-a", "exception": "E", "trace_kept": False},
        "id": found["id"],
        "time": datetime.fromtimestamp(at // 1000 / 1e6, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
    }
    assert answer["sentence"].startswith("1 log line that match")
    assert (answer["card"], answer["missing"], answer["dropped"]) == ("logs", None, 0)
    assert answer["search"] == {"how": "index", "scanned_from": None, "complete": True, "note": ""}


@pytest.mark.parametrize(
    ("query", "condition"),
    [
        ({"level": "WARNING"}, "severity >= 13"),
        ({"level": "warning", "logger": "shop.search"}, "severity >= 13 AND logger = 'shop.search'"),
        ({"logger": "shop.payment"}, "logger = 'shop.payment'"),
        ({"text": "TOOK 99"}, "message LIKE '%took 99%'"),
        ({"text": "keyerror"}, "exception IS NOT NULL"),
        ({"instance": "process-1"}, "true"),
        ({"level": "", "text": "", "before": ""}, "true"),
    ],
)
async def test_filters_are_those_of_the_url(
    filled: int, api: httpx.AsyncClient, connection: Any, query: dict[str, str], condition: str
) -> None:
    expected = await connection.fetchval(
        f"SELECT least(count(*), 500) FROM watchglass.logs WHERE instance_id = 1 AND {condition}"
    )
    assert len((await get(api, limit=500, **query))["records"]) == expected > 0


async def test_another_service_is_shown_when_it_is_asked_for(filled: int, api: httpx.AsyncClient) -> None:
    assert {one["service"] for one in (await get(api, service="mail"))["records"]} == {"mail"}
    nothing = await get(api, service="unheard of")
    assert (nothing["records"], nothing["older"]) == ([], None)
    assert nothing["sentence"] == "No log lines in this window."


async def test_the_window_is_kept_to(filled: int, api: httpx.AsyncClient, now: float) -> None:
    start, end = (datetime.fromtimestamp(now - 60 * minutes, UTC) for minutes in (20, 10))
    found = await get(api, limit=500, start=start.isoformat(), end=end.isoformat())
    times = [datetime.fromisoformat(one["time"]) for one in found["records"]]
    assert times and start - timedelta(seconds=10) <= min(times) and max(times) < end


async def test_a_line_of_a_clock_that_is_ahead_is_seen_at_once(store_url: str, api: httpx.AsyncClient) -> None:
    await write(store_url, line("from the future", time_ns=time.time_ns() + 60_000_000_000))
    assert [one["message"] for one in (await get(api))["records"]] == ["from the future"]


async def test_a_line_says_whether_its_trace_was_kept(store_url: str, api: httpx.AsyncClient) -> None:
    kept = trace()
    writer = Writer(store_url, Instance("shop", "", "1.0", "writer", "host-a", 1, time.time() - 60))
    await writer.open()
    lines = [line("kept", trace_id=f"{kept.root.trace_id:032x}"), line("not", trace_id="12" * 16)]
    await writer.write(Batch(1, logs=lines, traces=[kept]))
    await writer.close()
    assert {one["message"]: one["trace_kept"] for one in (await get(api))["records"]} == {"kept": True, "not": False}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"level": "LOUD"}, "level"),
        ({"limit": "0"}, "limit"),
        ({"limit": "501"}, "limit"),
        ({"before": "nonsense"}, "before: no cursor that an answer has given"),
        ({"after": "1_2_3"}, "after: no cursor that an answer has given"),
        ({"before": "1_1_1_1", "after": "1_1_1_1"}, "cannot be asked at once"),
        ({"trace_id": "xyz"}, "trace_id"),
        ({"text": "x" * 501}, "text"),
        ({"range": "1y"}, "time range"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_a_sentence(
    api: httpx.AsyncClient, query: dict[str, str], said: str
) -> None:
    for path in (LOGS,) if {"limit", "before", "after"} & query.keys() else (LOGS, EXPORT):
        answer = await api.get(path, params=query)
        assert answer.status_code == 422
        assert said in answer.json()["error"]
    assert (await api.get(EXPORT, params={"format": "xml"})).status_code == 422


async def test_nobody_reads_logs_without_a_login(context: Callable[..., Context]) -> None:
    async with browser(create_app(context())) as client:
        for path in (LOGS, EXPORT):
            assert (await client.get(path)).status_code == 401


async def test_a_search_that_did_not_get_to_the_end_says_so_and_goes_on(
    filled: int, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Spans, "next", _three_spans(Spans.next))
    first = await get(api, text="no such text")
    search = first["search"]
    assert (search["how"], search["complete"], first["records"]) == ("scan", False, [])
    assert "go on to search further" in search["note"] and search["note"] in first["sentence"]
    second = await get(api, text="no such text", before=first["older"])
    assert second["search"]["scanned_from"] < search["scanned_from"]
    monkeypatch.undo()
    last = await get(api, text="no such text", before=second["older"])
    assert (last["search"]["complete"], last["older"]) == (True, None)


def _three_spans(following: Any) -> Any:
    """As if the time were up after three spans."""

    def limited(spans: Spans) -> Any:
        taken: int = getattr(spans, "taken", 0)
        spans.taken = taken + 1  # type: ignore[attr-defined]
        return following(spans) if taken < 3 else None

    return limited


async def test_lines_that_went_for_the_limit_in_bytes_are_spoken_of(
    filled: int, api: httpx.AsyncClient, connection: Any, now: float
) -> None:
    await connection.execute(
        "INSERT INTO watchglass.trimmed VALUES ('logs', to_timestamp($1::float8), 2147483648, 5, 1, now())", now - 7200
    )
    assert (await get(api))["reach"] is None, "the window begins after that"
    answer = await get(api, range="24h")
    since = datetime.fromtimestamp(now - 7200, UTC)
    assert f"Logs reach back to {since:%a %d %b %H:%M:%S} UTC, because 2 GB is their limit." in answer["sentence"]
    assert datetime.fromisoformat(answer["reach"]) == since.replace(
        microsecond=datetime.fromisoformat(answer["reach"]).microsecond
    )


async def test_a_window_that_is_longer_than_lines_are_kept_is_spoken_of(filled: int, api: httpx.AsyncClient) -> None:
    assert (await get(api, range="30d"))["sentence"].endswith("Logs are kept for 7 days.")
    assert "kept" not in (await get(api, range="7d"))["sentence"]


async def test_the_cost_says_how_far_back_the_limit_lets_a_table_reach(
    context: Callable[..., Context], connection: Any, now: float
) -> None:
    made = context(retention_logs_bytes=16 * 1024**2)
    async with browser(create_app(made)) as client:
        await log_in(client, made)
        assert await _held(client) == {"logs": "log lines", "traces": "traces that were kept"}
        await connection.execute(
            "INSERT INTO watchglass.trimmed SELECT name, to_timestamp($1::float8), 33554432, 5, 1, now()"
            " FROM unnest(ARRAY['logs', 'traces']) AS name",
            now - 7200,
        )
        await connection.execute(
            "UPDATE watchglass.trimmed SET until = until - interval '8 days' WHERE name = 'traces'"
        )
        since = f"{datetime.fromtimestamp(now - 7200, UTC):%a %d %b %H:%M} UTC"
        assert await _held(client) == {
            "logs": f"log lines; back to {since}, for 32 MB is the limit",
            "traces": "traces that were kept",
        }
        await fill(connection, steady_hour(), 24_000, padding=1_500)
        assert (await _held(client))["logs"].endswith(
            "; more than the limit of 32 MB until the hour that is written ends"
        )


async def _held(client: httpx.AsyncClient) -> dict[str, str]:
    tables = (await client.get("/api/monitoring/footprint")).json()["tables"]
    return {one["name"]: one["holds"] for one in tables if one["name"] in ("logs", "traces")}


async def test_lines_that_were_lost_are_counted(process: Any, api: httpx.AsyncClient, now: float) -> None:
    from watchglass.meters import WATCHGLASS_DROPPED

    one = process(now - 600)
    one.recorder.counter(WATCHGLASS_DROPPED, ("logs", "queue_full")).add(3)
    one.recorder.counter(WATCHGLASS_DROPPED, ("traces", "queue_full")).add(9)
    await one.flush(now - 60)
    assert (await get(api))["dropped"] == 3


# Export.


async def test_a_file_has_every_line_that_matches(
    filled: int, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_export, "CHUNK", 70)
    document = await api.get(EXPORT, params={"format": "json"})
    assert document.headers["content-type"] == "application/json"
    assert document.headers["content-disposition"].startswith('attachment; filename="logs-')
    found = document.json()
    assert (found["complete"], found["error"], len(found["records"])) == (True, None, filled)
    assert found["records"][:100] == (await get(api))["records"]
    table = await api.get(EXPORT, params={"format": "csv"})
    assert table.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(table.text, newline="")))
    assert [row["id"] for row in rows] == [one["id"] for one in found["records"]]
    assert json.loads(rows[0]["fields"]) == {"n": 1}
    some = (await api.get(EXPORT, params={"format": "json", "level": "WARNING"})).json()["records"]
    assert {one["level"] for one in some} == {"WARNING", "ERROR"}


async def test_a_file_of_nothing_is_a_file(api: httpx.AsyncClient) -> None:
    assert (await api.get(EXPORT, params={"format": "json"})).json()["records"] == []
    assert len((await api.get(EXPORT)).text.splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r\n=1", "\uff1d1", "\x00=1", "\x1b[31m=1"]
)
async def test_no_cell_is_a_formula_or_moves_a_cursor(store_url: str, api: httpx.AsyncClient, text: str) -> None:
    await write(store_url, line(text, logger=text, exception=text, fields={text: text}))
    [row] = csv.DictReader(io.StringIO((await api.get(EXPORT)).text, newline=""))
    for cell in row.values():
        assert cell.isprintable() or set(cell) & set("\t\n")
        assert not cell.lstrip().startswith(("=", "+", "-", "@", "\uff1d"))
    assert "\x1b" not in row["message"]


async def test_a_file_is_made_piece_by_piece(
    filled: int, context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_export, "CHUNK", 100)
    asked = Asked.of(context(), {"range": "1h"})
    pieces = [piece async for piece in await export(asked, LogFilter(service="shop"), "csv")]
    assert max(len(list(csv.reader(io.StringIO(piece, newline="")))) for piece in pieces) == 100


async def test_no_search_waits_for_an_export(filled: int, context: Callable[..., Context], connection: Any) -> None:
    pieces = await export(Asked.of(context(), {"range": "1h"}), LogFilter(service="shop"), "csv")
    rows = await connection.fetch("SELECT application_name FROM pg_stat_activity WHERE datname = current_database()")
    names = {row["application_name"] for row in rows}
    assert log_export.EXPORTER in names
    assert SEARCHER not in names
    assert len([piece async for piece in pieces]) > 1


@pytest.mark.parametrize("form", ["csv", "json"])
async def test_a_file_says_where_the_store_went_away(
    filled: int,
    context: Callable[..., Context],
    postgres_server: PostgreSQL,
    store_url: str,
    monkeypatch: pytest.MonkeyPatch,
    form: Any,
) -> None:
    monkeypatch.setattr(log_export, "CHUNK", 100)
    name = store_url.rpartition("/")[2]
    pieces = await export(Asked.of(context(), {"range": "1h"}), LogFilter(service="shop"), form)
    text = await anext(pieces) + await anext(pieces) + await anext(pieces)
    execute(
        postgres_server.superuser_url,
        f"ALTER DATABASE {name} CONNECTION LIMIT 0",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
    )
    text += "".join([piece async for piece in pieces])
    if form == "json":
        found = json.loads(text)
        assert found["complete"] is False
        assert "PostgreSQL at 127.0.0.1" in found["error"]
        assert 100 <= len(found["records"]) < filled
    else:
        *rows, last = csv.reader(io.StringIO(text, newline=""))
        assert last[0].startswith("# This file ends too early. PostgreSQL")
        assert 100 < len(rows) < filled


async def test_an_export_that_cannot_begin_is_an_error_and_no_file(
    context: Callable[..., Context], postgres_server: PostgreSQL, store_url: str
) -> None:
    made = context()
    async with browser(create_app(made)) as client:
        await log_in(client, made)
        name = store_url.rpartition("/")[2]
        await made.reader.close()  # type: ignore[union-attr]
        execute(postgres_server.superuser_url, f"ALTER DATABASE {name} CONNECTION LIMIT 0")
        answer = await client.get(EXPORT)
        assert answer.status_code == 503
        assert "PostgreSQL" in answer.json()["error"]


# Hostile lines, the whole way from a logger.

HOSTILE = [
    "one line\nINFO shop forged line\r\n2026-01-01 ERROR forged too",
    "\x1b[2J\x1b[31mred\x1b]0;title\x07 \x9b1m",
    "a\x00b",
    "x" * 9_000,
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "invalid \udcff\udc80 bytes",
    "\u202egnp.exe \u2028 \ufeff",
]


async def test_any_text_that_is_stored_comes_back_as_it_is(store_url: str, api: httpx.AsyncClient) -> None:
    await write(store_url, *(line(text, fields={text: text}, exception=text) for text in HOSTILE))
    lines = (await get(api))["records"][::-1]
    assert len(lines) == len(HOSTILE)
    for one, text in zip(lines, HOSTILE, strict=True):
        expected = text.replace("\x00", "").encode("utf-8", "backslashreplace").decode()
        assert (one["message"], one["exception"], one["fields"]) == (expected, expected, {expected: expected})
    found = await get(api, text=HOSTILE[4])
    assert [one["message"] for one in found["records"]] == [HOSTILE[4]]


async def test_any_text_from_a_logger_is_one_line_in_every_answer(
    store_url: str, serve: Callable[..., str], api: httpx.AsyncClient
) -> None:
    app = FastAPI()

    @app.get("/log")
    async def log() -> str:
        for number, text in enumerate(HOSTILE):
            logging.getLogger("shop.hostile").warning("%d %s", number, text, extra={"hostile": text})
        return "logged"

    settings = watchglass.Settings(service_name="shop", app_database_url=store_url, flush_interval=1)
    url = serve(watchglass.observe(app, settings))
    try:
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.get("/log")).status_code == 200
        lines = await _logged(store_url, len(HOSTILE))
    finally:
        watchglass.unobserve(app)
    assert [one["message"].split(" ")[0] for one in lines] == [str(number) for number in range(len(HOSTILE))]
    answer = await get(api, logger="shop.hostile")
    assert [one["message"] for one in answer["records"]] == [one["message"] for one in lines][::-1]
    [forged] = [one for one in answer["records"] if "forged" in one["message"]]
    assert forged["level"] == "WARNING"
    assert "forged too" in forged["message"] and "forged too" in forged["fields"]["hostile"]
    document = (await api.get(EXPORT, params={"format": "json", "logger": "shop.hostile"})).text
    assert document.isascii() and "\x1b" not in document and len(json.loads(document)["records"]) == len(HOSTILE)
    table = (await api.get(EXPORT, params={"logger": "shop.hostile"})).text
    assert "\x1b" not in table and "\x9b" not in table and "\u202e" not in table
    assert len(list(csv.reader(io.StringIO(table, newline="")))) == 1 + len(HOSTILE)


async def _logged(store_url: str, count: int) -> list[Any]:
    database = Database(store_url)
    try:
        deadline = time.monotonic() + 60
        while True:
            start, end = (datetime.now(UTC) + timedelta(minutes=minutes) for minutes in (-30, 5))
            page = await LogSearch(database).after(LogFilter(logger="shop.hostile"), start, end, 100)
            if len(page.rows) == count:
                return list(page.rows)
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
    finally:
        await database.close()
