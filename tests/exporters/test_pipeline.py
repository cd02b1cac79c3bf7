"""What a process measures and logs is in PostgreSQL, exactly once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from support.pipelines import answer, fetch, line, process, select, trace, until
from watchglass import guard, meters
from watchglass.analysis.buckets import unpack
from watchglass.errors import DatabaseNotConfigured
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION, HTTP_SERVER_REQUESTS, SYSTEM_CPU_UTILIZATION
from watchglass.settings import Settings

Start = Callable[..., Pipeline]


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


def test_metrics_arrive_with_the_clock(start: Start, recorder: Recorder, store_url: str) -> None:
    start(store_url, flush_interval=1)
    answer(recorder)
    until(lambda: bool(select(store_url, HTTP_SERVER_REQUEST_DURATION)), seconds=5)
    answer(recorder)
    until(lambda: select(store_url, HTTP_SERVER_REQUEST_DURATION)[0].count == 2, seconds=5)


def test_the_end_flushes_once_more(start: Start, recorder: Recorder, store_url: str) -> None:
    pipeline = start(store_url, flush_interval=300)
    until(lambda: pipeline.status.state == "ok")
    answer(recorder)
    pipeline.offer_log(line("last words"))
    pipeline.stop()
    assert [group.count for group in select(store_url, HTTP_SERVER_REQUEST_DURATION)] == [1]
    assert [row["message"] for row in fetch(store_url, "SELECT message FROM watchglass.logs")] == ["last words"]
    assert "watchglass-export" not in {thread.name for thread in threading.enumerate()}
    assert not fetch(store_url, "SELECT FROM pg_stat_activity WHERE application_name = 'watchglass writer'")


def test_what_came_before_the_first_connection_is_exported_too(
    start: Start, recorder: Recorder, database_url: str
) -> None:
    answer(recorder)
    pipeline = start(database_url)
    pipeline.offer_log(line("early"))
    pipeline.stop()
    assert [group.count for group in select(database_url, HTTP_SERVER_REQUEST_DURATION)] == [1]
    assert len(fetch(database_url, "SELECT FROM watchglass.logs")) == 1


def test_it_can_end_and_start_again(start: Start, recorder: Recorder, store_url: str) -> None:
    pipeline = start(store_url)
    for _ in range(3):
        answer(recorder)
        pipeline.stop()
        pipeline.stop()
        pipeline.start()
        pipeline.start()
    pipeline.flush_now()
    assert [group.count for group in select(store_url, HTTP_SERVER_REQUEST_DURATION)] == [3]
    assert sum(thread.name == "watchglass-export" for thread in threading.enumerate()) == 1
    assert len(fetch(store_url, "SELECT FROM watchglass.instances")) == 1


def test_nothing_starts_by_itself(recorder: Recorder, store_url: str) -> None:
    pipeline = Pipeline(Settings(app_database_url=store_url), process(), recorder.collect)  # type: ignore[arg-type]
    assert "watchglass-export" not in {thread.name for thread in threading.enumerate()}
    assert (pipeline.status.state, pipeline.status.last_flush) == ("starting", None)
    assert pipeline.status.message == "Telemetry is stored once the process serves."
    pipeline.stop()


def test_an_import_starts_nothing() -> None:
    code = "import threading, watchglass.exporters.pipeline; assert threading.active_count() == 1"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_a_database_it_says_how_to_set_one(start: Start) -> None:
    pipeline = start(None)
    assert pipeline.status.state == "off"
    assert "Set DATABASE_URL" in pipeline.status.message
    pipeline.offer_log(line("x"))
    with pytest.raises(DatabaseNotConfigured):
        pipeline.flush_now()
    pipeline.stop()


def test_its_status_is_a_sentence(start: Start, store_url: str) -> None:
    pipeline = start(store_url)
    pipeline.flush_now()
    status = pipeline.status
    assert (status.state, status.message) == ("ok", "Telemetry is being stored.")
    assert status.last_flush == pytest.approx(time.time(), abs=5)
    assert (status.queued, status.dropped, status.clamped) == (
        {"logs": 0, "traces": 0},
        {"logs": 0, "traces": 0, "metrics": 0},
        0,
    )


def test_it_measures_itself(start: Start, recorder: Recorder, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "errors", type(guard.errors)({"somewhere": 2}))
    pipeline = start(store_url, flush_interval=300, records_interval=60, queue_size=100)
    until(lambda: pipeline.status.state == "ok")
    answer(recorder)
    for number in range(103):
        pipeline.offer_log(line(str(number)))
    states = {(state.meter.name, *state.values): state for state in pipeline.collect()}
    assert states["watchglass.queue.size", "logs"].sum == 100
    assert states["watchglass.dropped", "logs", "queue_full"].sum == 3
    assert states["watchglass.series",].sum == 1
    pipeline.flush_now()
    pipeline.flush_now()
    [rows] = select(store_url, meters.WATCHGLASS_ROWS_WRITTEN, where={"signal": "logs"})
    [errors] = select(store_url, meters.WATCHGLASS_ERRORS, by=("where",))
    [durations] = select(store_url, meters.WATCHGLASS_FLUSH_DURATION, by=("signal",))
    [dropped] = select(store_url, meters.WATCHGLASS_DROPPED, where={"signal": "logs"})
    assert (rows.sum, dropped.sum, errors.key, errors.sum) == (100, 3, ("somewhere",), 2)
    assert (durations.key, durations.count) == (("metrics",), 1)
    assert durations.sum > 0


def test_jobs_run_on_its_loop_and_again_when_they_fail(
    start: Start, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from watchglass.exporters import cycle

    monkeypatch.setattr(cycle, "_JOB_PAUSE", 0.01)
    monkeypatch.setattr(guard, "strict", False)
    pipeline, runs, ended = start(store_url), [], threading.Event()

    async def job() -> None:
        runs.append((threading.current_thread().name, guard.own_work.get()))
        if len(runs) < 3:
            raise ValueError("broken")
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    pipeline.run_on_loop(job)
    until(lambda: len(runs) == 3)
    assert set(runs) == {("watchglass-export", True)}
    pipeline.stop()
    assert ended.is_set()


def test_a_job_may_borrow_the_connection(start: Start, store_url: str) -> None:
    pipeline, found = start(store_url), []
    pipeline.flush_now()

    async def job() -> None:
        async with pipeline.borrow() as connection:
            found.append(await connection.fetchval("SELECT count(*) FROM watchglass.instances"))

    pipeline.run_on_loop(job)
    until(lambda: found == [1])
