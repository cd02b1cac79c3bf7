"""What a process measures and logs is in PostgreSQL, exactly once, whatever the weather."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import asyncpg
import pytest

from support.databases import run
from watchglass.analysis.buckets import unpack
from watchglass.analysis.windows import Window
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION, HTTP_SERVER_REQUESTS, SYSTEM_CPU_UTILIZATION, Meter
from watchglass.records import Instance, LogRecord, SpanRecord, Trace
from watchglass.settings import Settings
from watchglass.store.reader import Group, Reader

Start = Callable[..., Pipeline]


def process(pid: int = 1) -> Instance:
    return Instance("shop", "", "1.0", os.urandom(8).hex(), "host-a", pid, time.time())


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def start(recorder: Recorder) -> Iterator[Start]:
    started: list[Pipeline] = []

    def begin(dsn: str | None, **settings: object) -> Pipeline:
        made = Settings(app_database_url=dsn, **settings)  # type: ignore[arg-type]
        pipeline = Pipeline(made, process(), recorder.collect)
        started.append(pipeline)
        pipeline.start()
        return pipeline

    yield begin
    for pipeline in started:
        pipeline.stop(5.0)


def answer(recorder: Recorder, route: str, status: str, seconds: float) -> None:
    recorder.histogram(HTTP_SERVER_REQUEST_DURATION, ("GET", route, status, None, "http")).record(seconds)


def line(message: str, time_ns: int | None = None) -> LogRecord:
    return LogRecord(time_ns or time.time_ns(), 9, "INFO", "shop", message, {"user": 7}, "ab" * 16, "cd" * 8)


def trace(route: str = "/a") -> Trace:
    now = time.time_ns()
    attributes = {"http.route": route, "http.request.method": "GET", "http.response.status_code": 500}
    root = SpanRecord(1 << 100, 1 << 60, None, f"GET {route}", "server", now - 2_000_000, now, attributes, "ValueError")
    child = SpanRecord(
        1 << 100, 5, 1 << 60, "SELECT", "client", now - 1_500_000, now - 500_000, {"db.system.name": "postgresql"}
    )
    return Trace(root, [root, child], "error", 3)


def select(dsn: str, meter: Meter, **more: object) -> list[Group]:
    async def ask() -> list[Group]:
        reader = Reader(dsn)
        try:
            return await reader.select(meter.name, Window(0, time.time() + 60), **more)  # type: ignore[arg-type]
        finally:
            await reader.close()

    return run(ask())


def fetch(dsn: str, query: str) -> list[asyncpg.Record]:
    async def ask() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetch(query)
        finally:
            await connection.close()

    return run(ask())


def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_requests_are_counted_exactly(start: Start, recorder: Recorder, database_url: str) -> None:
    pipeline = start(database_url)
    for _ in range(3):
        for number in range(100):
            answer(recorder, "/a", "200", 0.001 * (number + 1))
        answer(recorder, "/a", "500", 2.0)
        answer(recorder, "/b", "200", 0.5)
        pipeline.flush_now()
    [whole] = select(database_url, HTTP_SERVER_REQUEST_DURATION)
    assert whole.count == sum(unpack(whole.buckets).values()) == 306
    assert whole.sum == pytest.approx(3 * (5.05 + 2.5))
    assert (whole.min, whole.max) == (0.001, 2.0)
    counts = select(database_url, HTTP_SERVER_REQUESTS, by=("http.route", "http.response.status_code"))
    assert {group.key: group.sum for group in counts} == {("/a", "200"): 300, ("/a", "500"): 3, ("/b", "200"): 3}
    routes = select(database_url, HTTP_SERVER_REQUEST_DURATION, by=("http.route", "http.response.status_code"))
    assert {group.key: group.count for group in routes} == {("/a", None): 303, ("/b", None): 3}


def test_gauges_are_sampled(start: Start, recorder: Recorder, database_url: str) -> None:
    pipeline = start(database_url)
    for value in (0.1, 0.9, 0.5):
        recorder.gauge(SYSTEM_CPU_UTILIZATION).set(value)
        pipeline.flush_now()
    recorder.gauge(SYSTEM_CPU_UTILIZATION).set(None)
    pipeline.flush_now()
    [group] = select(database_url, SYSTEM_CPU_UTILIZATION)
    assert (group.last, group.min, group.max) == (0.5, 0.1, 0.9)


def test_logs_and_traces_arrive_within_a_second(start: Start, database_url: str) -> None:
    pipeline = start(database_url)
    until(lambda: pipeline.status.state == "ok")
    pipeline.offer_log(line("search done"))
    pipeline.offer_trace(trace())
    began = time.monotonic()
    until(lambda: bool(fetch(database_url, "SELECT FROM watchglass.logs")))
    assert time.monotonic() - began < 2
    until(lambda: bool(fetch(database_url, "SELECT FROM watchglass.traces")))
    [log] = fetch(database_url, "SELECT * FROM watchglass.logs")
    assert (log["message"], log["fields"], log["trace_id"].hex()) == ("search done", '{"user": 7}', "ab" * 16)
    [stored] = fetch(database_url, "SELECT *, spans -> 1 ->> 'name' AS child FROM watchglass.traces")
    assert (stored["route"], stored["status"], stored["error_type"], stored["reason"]) == (
        "/a",
        500,
        "ValueError",
        "error",
    )
    assert (stored["child"], stored["duration"], stored["dropped_spans"]) == ("SELECT", pytest.approx(0.002), 3)
