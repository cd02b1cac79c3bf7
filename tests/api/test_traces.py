"""Traces are found from a URL, one is shown with all that took part, and what was not kept says so."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio

from support.past import Process, browser, log_in, request
from support.traces import BOOKS, Writing, child, kept, log, statement
from watchglass.analysis.fingerprints import of_statement
from watchglass.api.app import create_app
from watchglass.api.context import Context
from watchglass.api.endpoint import identify
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import DB_CLIENT_OPERATION_DURATION, TRACES_KEPT, TRACES_SEEN
from watchglass.records import ErrorCount, SpanRecord, Trace
from watchglass.store.reader import Reader

TRACES = "/api/monitoring/traces"
Write = Callable[..., Awaitable[None]]
Start = Callable[..., Process]

HOSTILE = "<script>alert(1)</script>\x1b[31m\x00\ud800\u202e" + "x" * 100_000


@pytest_asyncio.fixture
async def write(store_url: str) -> AsyncIterator[Write]:
    """`write(trace, ..., service=, host=, logs=)` as one batch of that service's process."""
    processes: dict[tuple[str, str], Writing] = {}

    async def batch(*written: Trace, service: str = "shop", host: str = "host-a", **more: Any) -> None:
        process = processes.setdefault((service, host), Writing(store_url, service, host))
        await process.write(*written, **more)

    yield batch
    for process in processes.values():
        await process.close()


async def ask(api: httpx.AsyncClient, path: str = TRACES, expected: int = 200, **query: Any) -> Any:
    answer = await api.get(path, params=query)
    assert answer.status_code == expected, answer.text
    return answer.json()


def names(found: Any) -> list[str]:
    return [one["name"] for one in found["traces"]]


def hexadecimal(trace: Trace) -> str:
    return f"{trace.root.trace_id:032x}"


async def test_kept_traces_come_newest_first_beside_how_many_were_seen(
    api: httpx.AsyncClient, process: Start, write: Write, now: float
) -> None:
    def act(recorder: Recorder) -> None:
        recorder.counter(TRACES_SEEN).add(50)
        recorder.counter(TRACES_KEPT, ("first",)).add(2)

    await process(now - 600).live(now - 600, now, act, every=300)
    await write(kept(now - 30, child("q", 0, 0.01, statement())), kept(now - 20, route="/b", status=500, error="500"))
    found = await ask(api)
    assert names(found) == ["GET /b", "GET /books/{id}"]
    assert (found["seen"], found["kept"], found["older"]) == (100, 4, None)
    assert found["sentence"] == "2 traces, newest first; 4 of 100 requests in this window were kept."
    line = found["traces"][1]
    assert line["time"] == datetime.fromtimestamp(now - 30, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    assert (line["service"], line["spans"], line["statements"], line["reason"]) == ("shop", 2, 1, "first")
    assert line["endpoint_id"] == identify(("GET", "/books/{id}")) and line["duration"] == pytest.approx(0.1)


async def test_an_endpoint_has_its_own_count_of_what_was_seen(
    api: httpx.AsyncClient, process: Start, write: Write, now: float
) -> None:
    await process(now - 600).live(now - 600, now, lambda recorder: request(recorder, "/a", 0.1, times=4), every=300)
    await write(kept(now - 30, route="/a"), kept(now - 20, route="/b"), kept(now - 10, route=None))
    for query in ({"endpoint_id": identify(("GET", "/a"))}, {"method": "GET", "route": "/a"}):
        found = await ask(api, **query)
        assert (names(found), found["seen"], found["kept"]) == (["GET /a"], 8, 1)
        assert found["sentence"].endswith("1 of 8 requests of GET /a in this window were kept.")
    unmatched = await ask(api, endpoint_id=identify((None, None)))
    assert names(unmatched) == ["GET"] and "unmatched paths" in unmatched["sentence"]


async def test_a_slot_of_a_chart_leads_to_its_slow_traces(api: httpx.AsyncClient, write: Write, now: float) -> None:
    """Also one of half a minute, which is too short for figures."""
    await write(kept(now - 40, route="/a", seconds=0.5), kept(now - 41, route="/a"), kept(now - 95, route="/a"))
    start, end = (datetime.fromtimestamp(at, UTC).isoformat() for at in (now - 60, now - 30))
    found = await ask(api, start=start, end=end, endpoint_id=identify(("GET", "/a")), min_duration=0.4)
    assert [one["duration"] for one in found["traces"]] == [0.5]
    assert len((await ask(api, start=start, end=end))["traces"]) == 2
    assert "time range" in (await ask(api, start=end, end=start, expected=422))["error"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"status": "5xx"}, ["GET /failed"]),
        ({"status": "404"}, ["GET"]),
        ({"error": "true"}, ["GET /failed", "GET /raised"]),
        ({"error_type": "shop.Gone"}, ["GET /raised"]),
        ({"error_group": "abcd"}, ["GET /raised"]),
        ({"reason": "slow"}, ["GET /slow"]),
        ({"min_duration": "2"}, ["GET /slow"]),
        ({"max_duration": "0.1", "reason": "slow"}, []),
        ({"statement": of_statement(BOOKS)}, ["GET /query"]),
        ({"statement": BOOKS}, ["GET /query"]),
        ({"statement": "TITLE from"}, ["GET /query"]),
        ({"statement": "no such text"}, []),
        ({"service": "bank"}, []),
        ({"service": "shop", "limit": "1"}, ["GET /slow"]),
        ({"min_duration": "", "status": "", "method": "", "error": "false", "limit": "1"}, ["GET /slow"]),
    ],
    ids=str,
)
async def test_each_filter_of_the_url_keeps_what_it_says(
    api: httpx.AsyncClient, process: Start, write: Write, now: float, query: dict[str, str], expected: list[str]
) -> None:
    def act(recorder: Recorder) -> None:
        recorder.histogram(DB_CLIENT_OPERATION_DURATION, ("postgresql", "SELECT", "SELECT books", BOOKS)).record(0.1)

    await process(now - 60).live(now - 60, now, act)
    await write(
        kept(now - 10, route="/slow", seconds=2.5, reason="slow"),
        kept(now - 11, route=None, status=404),
        kept(now - 12, route="/failed", status=500, error="500"),
        kept(now - 13, route="/raised", error="shop.Gone", error_group="abcd"),
        kept(now - 14, child("q", 0, 0.01, statement()), route="/query"),
    )
    await write(kept(now - 15), service="bank")
    assert names(await ask(api, **query)) == expected


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ({"status": "60"}, 422, "a status is three digits"),
        ({"min_duration": "-1"}, 422, "min_duration"),
        ({"min_duration": "nan"}, 422, "min_duration"),
        ({"limit": "1000"}, 422, "limit"),
        ({"before": "yesterday"}, 422, "older"),
        ({"route": "/a\x00"}, 422, "NUL"),
        ({"trace_id": "0" * 31}, 422, "32 hexadecimal digits"),
        ({"endpoint_id": "%%%"}, 404, "no such endpoint"),
        ({"statement": "x" * 5000}, 422, "statement"),
    ],
    ids=str,
)
async def test_what_makes_no_sense_is_refused_with_a_word(
    api: httpx.AsyncClient, query: dict[str, str], status: int, said: str
) -> None:
    assert said in (await ask(api, expected=status, **query))["error"]


async def test_pages_follow_each_other(api: httpx.AsyncClient, write: Write, now: float) -> None:
    await write(*(kept(now - number, route=f"/{number}") for number in range(1, 6)))
    first = await ask(api, limit=2)
    second = await ask(api, limit=2, before=first["older"])
    third = await ask(api, limit=2, before=second["older"])
    assert names(first) + names(second) + names(third) == [f"GET /{number}" for number in range(1, 6)]
    assert third["older"] is None


async def test_nothing_found_says_why(api: httpx.AsyncClient, process: Start, now: float) -> None:
    assert (await ask(api))["missing"]["reason"] == "No requests in this window."
    old = datetime.fromtimestamp(now - 30 * 86_400, UTC).isoformat()
    recent = datetime.fromtimestamp(now - 20 * 86_400, UTC).isoformat()
    assert "kept for 7 days" in (await ask(api, start=old, end=recent))["missing"]["reason"]
    await process(now - 60).live(now - 60, now, lambda recorder: recorder.counter(TRACES_SEEN).add(3))
    assert (await ask(api))["sentence"] == "No kept trace fits; 3 requests in this window were seen."


async def test_a_search_by_id_finds_a_trace_of_any_time(api: httpx.AsyncClient, write: Write, now: float) -> None:
    trace = kept(now - 1000)
    await write(trace)
    for spelled in (hexadecimal(trace), hexadecimal(trace).upper()):
        assert names(await ask(api, range="15m", trace_id=spelled, reason="slow")) == ["GET /books/{id}"]
    missing = await ask(api, trace_id="0" * 31 + "1")
    assert missing["traces"] == [] and "was not kept" in missing["missing"]["reason"]


async def test_services_of_one_store_are_told_apart_where_all_are_shown(
    context: Callable[..., Context], process: Start, write: Write, now: float
) -> None:
    def act(recorder: Recorder) -> None:
        recorder.counter(TRACES_SEEN).add(7)

    await process(now - 60).live(now - 60, now, act)
    await process(now - 60, "bank").live(now - 60, now, act)
    await write(kept(now - 10, route="/a"))
    await write(kept(now - 11, route="/b"), service="bank")
    made = context()
    assert made.reader is not None
    everything = replace(made, reader=Reader(made.reader.database), aside=True)
    async with browser(create_app(everything)) as client:
        await log_in(client, everything)
        assert [one["service"] for one in (await ask(client))["traces"]] == ["shop", "bank"]
        found = await ask(client, service="bank")
        assert (names(found), found["seen"]) == (["GET /b"], 7)


async def test_a_visitor_who_is_not_logged_in_sees_nothing(context: Callable[..., Context]) -> None:
    async with browser(create_app(context())) as client:
        for path in (TRACES, f"{TRACES}/{'1' * 32}", "/api/monitoring/errors"):
            assert (await client.get(path)).status_code == 401


def spans_of(found: Any) -> dict[str, Any]:
    return {span["name"]: span for span in found["spans"]}


async def test_a_trace_is_a_waterfall_with_what_each_span_did(api: httpx.AsyncClient, write: Write, now: float) -> None:
    redis = {"db.system.name": "redis", "db.query.text": "GET search:*", "watchglass.cache.type": "search"}
    miss = {**redis, "watchglass.cache.result": "miss"}
    trace = kept(
        now - 30,
        child("acquire connection", 0.01, 0.03, {"db.client.connection.pool.name": "db:5432/shop"}),
        child("SELECT books", 0.03, 0.06, statement()),
        child("GET", 0.07, 0.08, miss),
        child("HGET", 0.081, 0.082, {**redis, "watchglass.cache.result": "hit"}),
        child("GET api.test", 0.085, 0.095, {"http.request.method": "GET", "server.address": "api.test"}, error="500"),
    )
    await write(trace)
    found = await ask(api, f"{TRACES}/{hexadecimal(trace)}")
    spans = spans_of(found)
    assert [span["name"] for span in found["spans"]] == [
        "GET /books/{id}", "acquire connection", "SELECT books", "GET", "HGET", "GET api.test",
    ]  # fmt: skip
    root = spans["GET /books/{id}"]
    assert (root["depth"], root["kind"], root["endpoint_id"]) == (0, "server", identify(("GET", "/books/{id}")))
    assert root["duration"] == pytest.approx(0.1) and root["self_time"] == pytest.approx(0.029)
    sql = spans["SELECT books"]
    assert (sql["sql"], sql["fingerprint"], sql["redis"]) == (BOOKS, of_statement(BOOKS), None)
    assert (sql["start"], sql["duration"], sql["depth"]) == (pytest.approx(0.03), pytest.approx(0.03), 1)
    cached = spans["GET"]
    assert (cached["redis"], cached["cache_type"], cached["cache_hit"]) == ("GET search:*", "search", False)
    assert cached["sql"] is None and cached["fingerprint"] is None and spans["HGET"]["cache_hit"] is True
    assert [span["name"] for span in found["spans"] if span["pool_wait"]] == ["acquire connection"]
    assert spans["GET api.test"]["error"] == "500" and spans["GET api.test"]["cache_hit"] is None
    assert all(span["on_critical_path"] for span in found["spans"])
    assert sum(segment["duration"] for segment in found["critical_path"]) == pytest.approx(0.1)
    assert (found["pending"], found["missing_parents"], found["more_spans"]) == (False, [], 0)
    assert found["roots"][0]["trace_id"] == found["trace_id"] == hexadecimal(trace)
    assert found["sentence"].startswith("Took 100 ms, 6 spans;")


async def test_the_statement_of_a_trace_finds_the_trace(api: httpx.AsyncClient, write: Write, now: float) -> None:
    trace = kept(now - 30, child("q", 0, 0.01, statement()))
    await write(trace)
    [_, sql] = (await ask(api, f"{TRACES}/{hexadecimal(trace)}"))["spans"]
    assert [one["trace_id"] for one in (await ask(api, statement=sql["fingerprint"]))["traces"]] == [hexadecimal(trace)]


async def test_statements_over_and_over_are_marked(api: httpx.AsyncClient, write: Write, now: float) -> None:
    many = [child("SELECT books", 0.01 + n / 1000, 0.0105 + n / 1000, statement()) for n in range(26)]
    begins = [child("BEGIN", n / 1000, n / 1000, statement("BEGIN")) for n in range(26)]
    trace = kept(now - 30, *many, *begins, child("SELECT one", 0.09, 0.095, statement("SELECT one")))
    await write(trace)
    found = await ask(api, f"{TRACES}/{hexadecimal(trace)}")
    [group] = found["similar"]
    assert (group["note"], group["count"], group["sequential"]) == ("26 similar statements", 26, True)
    assert group["fingerprint"] == of_statement(BOOKS) and group["total"] == pytest.approx(26 * 0.0005)
    marked = [span for span in found["spans"] if span["similar"]]
    assert {span["span_id"] for span in marked} == set(group["span_ids"]) and len(marked) == 26
    assert "26 similar statements" in found["sentence"]


async def test_a_trace_goes_through_the_services_that_took_part(
    api: httpx.AsyncClient, write: Write, now: float
) -> None:
    call = child("GET bank", 0.02, 0.08, {"http.request.method": "GET"})
    web = kept(now - 30, call)
    there = kept(
        now - 30 + 5000, child("q", 0.01, 0.02), seconds=0.05, route="/pay", trace_id=web.root.trace_id,
        parent_id=call.span_id,
    )  # fmt: skip
    await write(web)
    await write(there, service="bank", host="host-b")
    found = await ask(api, f"{TRACES}/{hexadecimal(web)}")
    assert [(span["name"], span["depth"], span["service"]) for span in found["spans"]] == [
        ("GET /books/{id}", 0, "shop"), ("GET bank", 1, "shop"), ("GET /pay", 2, "bank"), ("q", 3, "bank"),
    ]  # fmt: skip
    assert found["duration"] == pytest.approx(0.1) and found["spans"][2]["start"] == pytest.approx(0.025, abs=0.001)
    assert found["spans"][3]["clock_shift"] < 0 and "of 2 services" in found["sentence"]
    assert {root["service"] for root in found["roots"]} == {"shop", "bank"} and found["missing_parents"] == []


async def test_a_caller_that_is_not_here_is_said_to_be_missing(
    api: httpx.AsyncClient, write: Write, now: float
) -> None:
    trace = kept(now - 30, child("a", 0, 0.01, parent_id=0xABC), parent_id=0xDEF, dropped_spans=3)
    await write(trace)
    found = await ask(api, f"{TRACES}/{hexadecimal(trace)}")
    assert found["missing_parents"] == [f"{0xDEF:016x}", f"{0xABC:016x}"]
    assert [span["missing_parent"] for span in found["spans"]] == [True, True]
    assert found["more_spans"] == 3 and found["roots"][0]["dropped_spans"] == 3


async def test_its_log_lines_stand_beside_its_spans(
    api: httpx.AsyncClient, write: Write, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = kept(now - 30)
    await write(trace, logs=[log(now - 29.9, "second", trace), log(now - 30, "first", trace), log(now - 30, "other")])
    found = await ask(api, f"{TRACES}/{hexadecimal(trace)}")
    assert [line["message"] for line in found["logs"]] == ["first", "second"]
    assert {line["span_id"] for line in found["logs"]} == {found["spans"][0]["span_id"]}
    assert found["logs"][0]["trace_kept"] is True and found["more_logs"] is False
    monkeypatch.setattr("watchglass.store.traces.MOST_LINES", 1)
    found = await ask(api, f"{TRACES}/{hexadecimal(trace)}")
    assert [line["message"] for line in found["logs"]] == ["first"] and found["more_logs"] is True


async def test_a_trace_that_was_not_kept_says_so_and_shows_its_log_lines(
    api: httpx.AsyncClient, write: Write, now: float
) -> None:
    dropped = kept(now - 30)
    await write(logs=[log(now - 30, "all that is left", dropped)])
    found = await ask(api, f"{TRACES}/{hexadecimal(dropped)}", expected=404)
    assert "was not kept" in found["error"] and found["trace_id"] == hexadecimal(dropped)
    assert [(line["message"], line["trace_kept"]) for line in found["logs"]] == [("all that is left", False)]
    assert (await ask(api, f"{TRACES}/{'1' * 32}", expected=404))["logs"] == []
    assert "32 hexadecimal" in (await ask(api, f"{TRACES}/42", expected=404))["error"]


async def test_hostile_spans_are_shown_as_text_within_bounds(api: httpx.AsyncClient, write: Write, now: float) -> None:
    odd = {
        "db.system.name": "postgresql",
        "db.query.text": HOSTILE,
        "watchglass.cache.result": ["hit"],
        "http.request.method": {"a": 1},
        "nested": {"deep": [HOSTILE] * 50},
        **{f"k{number}": HOSTILE for number in range(200)},
    }
    trace = kept(now - 30, child(HOSTILE, 0, 0.01, odd, error=HOSTILE), child("b", 0, 0, {"": None}), route=HOSTILE)
    await write(trace)
    answer = await api.get(f"{TRACES}/{hexadecimal(trace)}")
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff" and len(answer.content) < 1_000_000
    assert "\\u0000" not in answer.text
    span = next(span for span in answer.json()["spans"] if span["sql"])
    assert span["sql"].startswith("<script>alert(1)</script>\x1b[31m") and len(span["sql"]) <= 2000
    assert len(span["attributes"]) == 64
    assert all(len(value) <= 2000 for value in span["attributes"].values() if isinstance(value, str))
    assert len(span["error"]) <= 2000 and span["cache_hit"] is None
    assert "<script>" in (await ask(api))["traces"][0]["name"]


async def test_a_document_that_makes_no_sense_is_no_failure(
    api: httpx.AsyncClient, write: Write, store_url: str, now: float
) -> None:
    trace = kept(now - 30)
    await write(trace)
    connection = await asyncpg.connect(store_url)
    for document in ([], [1, None, {}], [{"span_id": 5, "parent_id": [], "start_ns": "x", "attributes": "y"}] * 2):
        await connection.execute("UPDATE watchglass.traces SET spans = $1", json.dumps(document))
        found = await ask(api, f"{TRACES}/{hexadecimal(trace)}")
        assert len(found["spans"]) <= 1 and found["roots"][0]["name"] == "GET /books/{id}"
        assert len((await ask(api))["traces"]) == 1
    await connection.close()


async def test_a_thousand_spans_are_shown_and_more_are_counted(
    api: httpx.AsyncClient, write: Write, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = kept(now - 30, *(child("q", n / 1e5, n / 1e5, statement()) for n in range(999)))
    await write(trace)
    found = await ask(api, f"{TRACES}/{hexadecimal(trace)}")
    assert len(found["spans"]) == 1000 and found["similar"][0]["note"] == "999 similar statements"
    monkeypatch.setattr("watchglass.api.trace_spans.MOST_SPANS", 10)
    found = await ask(api, f"{TRACES}/{hexadecimal(trace)}")
    assert (len(found["spans"]), found["more_spans"]) == (10, 990)


async def test_a_request_that_still_runs_is_shown_as_far_as_it_got(
    api: httpx.AsyncClient, write: Write, store_url: str, now: float
) -> None:
    trace = kept(now - 30, child("q", 1, 2, statement()), seconds=20)
    await write(kept(now - 60))
    connection = await asyncpg.connect(store_url)
    await connection.execute(
        """
        INSERT INTO watchglass.pending (instance_id, trace_id, span_id, name, method, route, started_at, seen_at, spans)
        SELECT id, $1, $2, 'GET /books/{id}', 'GET', '/books/{id}', to_timestamp($3::float8), now(), $4
        FROM watchglass.instances
        """,
        trace.root.trace_id.to_bytes(16),
        trace.root.span_id.to_bytes(8),
        now - 30,
        json.dumps([document(span, trace.root.start_ns) for span in trace.spans]),
    )
    path = f"{TRACES}/{hexadecimal(trace)}"
    found = await ask(api, path)
    assert found["pending"] is True and found["roots"][0]["reason"] == "pending"
    assert [(span["name"], span["running"]) for span in found["spans"]] == [("GET /books/{id}", True), ("q", True)]
    assert found["duration"] == pytest.approx(20) and found["sentence"].startswith("Running for 20 s")
    await connection.execute(
        "UPDATE watchglass.pending SET started_at = started_at - interval '1 min', seen_at = seen_at - interval '1 min'"
    )
    found = await ask(api, path)
    assert found["sentence"].startswith("Never ended; last seen after 20 s"), "its process says nothing any more"
    await write(trace)
    found = await ask(api, path)
    assert found["pending"] is False and len(found["spans"]) == 2, "once it has ended, that is what counts"
    await connection.close()


def document(span: SpanRecord, origin: int) -> dict[str, Any]:
    return {
        "span_id": f"{span.span_id:016x}",
        "parent_id": f"{span.parent_id:016x}" if span.parent_id else None,
        "name": span.name,
        "kind": span.kind,
        "start_ns": span.start_ns - origin,
        "duration_ns": span.end_ns - span.start_ns,
        "attributes": dict(span.attributes),
        "error": span.error,
    }


def errors(group: str, at: float, count: int = 1, **more: str) -> ErrorCount:
    texts = {"error_type": "KeyError", "frame": "shop.py:3 buy", "message": "'x'", "stack": "Traceback", **more}
    return ErrorCount(group=group, count=count, first_seen=at, last_seen=at, **texts)


async def test_errors_are_grouped_with_their_count_and_an_example(
    api: httpx.AsyncClient, store_url: str, now: float
) -> None:
    process = Writing(store_url)
    trace = kept(now - 30, error="KeyError", error_group="aa", route="/buy")
    await process.write(trace, errors=[errors("aa", now - 40, 2), errors("bb", now - 20, error_type=HOSTILE[:60])])
    await process.write(errors=[errors("aa", now - 10)])
    await process.close()
    found = await ask(api, "/api/monitoring/errors")
    first, second = found["groups"]
    assert (first["id"], first["count"], first["trace_id"]) == ("aa", 3, hexadecimal(trace))
    assert (first["error_type"], first["frame"], first["stack"]) == ("KeyError", "shop.py:3 buy", "Traceback")
    assert first["first_seen"] < first["last_seen"]
    assert (second["id"], second["trace_id"]) == ("bb", None) and second["error_type"].startswith("<script>")
    assert found["sentence"] == "2 groups of errors; most often KeyError, 3 times since it was first seen."
    of_endpoint = await ask(api, "/api/monitoring/errors", endpoint_id=identify(("GET", "/buy")))
    assert [group["id"] for group in of_endpoint["groups"]] == ["aa"]
    assert (await ask(api, "/api/monitoring/errors", route="/other"))["missing"][
        "reason"
    ] == "No errors in this window."
    limited = await ask(api, "/api/monitoring/errors", limit=1)
    assert len(limited["groups"]) == 1 and limited["more"] is True


async def test_every_filter_is_described(api: httpx.AsyncClient) -> None:
    described = (await ask(api, "/api/monitoring/openapi.json"))["paths"][TRACES]["get"]["parameters"]
    assert {"endpoint_id", "min_duration", "statement", "before"} <= {one["name"] for one in described}
