"""PostgreSQL away, slow or refusing: the service does not notice, the status says it, and counts stay exact."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from support.databases import execute
from support.pipelines import answer, fetch, line, select, trace, until, writer_frozen
from watchglass import guard
from watchglass.demo.servers import PostgreSQL
from watchglass.exporters import cycle
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION, HTTP_SERVER_REQUESTS
from watchglass.store import writer as writing

Start = Callable[..., Pipeline]


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cycle, "_LONGEST_PAUSE", 0.3)


def counts(dsn: str) -> float:
    return sum(group.sum for group in select(dsn, HTTP_SERVER_REQUESTS))


def test_a_database_that_comes_late_gets_everything(start: Start, recorder: Recorder, server: PostgreSQL) -> None:
    server.stop()
    pipeline = start(server.url, flush_interval=1)
    for _ in range(50):
        answer(recorder)
        pipeline.offer_log(line("early"))
        pipeline.offer_trace(trace())
    until(lambda: pipeline.status.state == "unavailable")
    assert "nothing listens there. Telemetry is kept in memory until it is back." in pipeline.status.message
    assert pipeline.status.queued == {"logs": 50, "traces": 50}
    server.start()
    until(lambda: pipeline.status.state == "ok")
    pipeline.flush_now()
    assert counts(server.url) == 50
    assert len(fetch(server.url, "SELECT FROM watchglass.logs")) == 50
    assert len(fetch(server.url, "SELECT FROM watchglass.traces")) == 50


@pytest.mark.parametrize("how", ["orderly", "killed"])
def test_a_restart_in_the_middle_loses_and_doubles_nothing(
    start: Start, recorder: Recorder, server: PostgreSQL, how: str
) -> None:
    pipeline = start(server.url, flush_interval=1, records_interval=0.1)
    sent = 0

    def work(seconds: float) -> None:
        nonlocal sent
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            answer(recorder)
            pipeline.offer_log(line(str(sent)))
            sent += 1
            time.sleep(0.002)

    work(2.5)
    if how == "killed":
        os.kill(server.pid, signal.SIGKILL)
        until(lambda: not server.running)
    server.stop()
    work(2.0)
    assert pipeline.status.state == "unavailable"
    server.start()
    work(2.0)
    until(lambda: pipeline.status.state == "ok")
    pipeline.flush_now()
    assert counts(server.url) == sent
    assert sum(group.count for group in select(server.url, HTTP_SERVER_REQUEST_DURATION)) == sent
    [lines] = fetch(server.url, "SELECT count(*), count(DISTINCT message) AS different FROM watchglass.logs")
    assert tuple(lines) == (sent, sent)
    assert pipeline.status.dropped == {"logs": 0, "traces": 0, "metrics": 0}


def test_a_connection_cut_again_and_again_changes_no_count(start: Start, recorder: Recorder, store_url: str) -> None:
    pipeline = start(store_url, flush_interval=1, records_interval=0.1)
    for number in range(300):
        answer(recorder)
        pipeline.offer_log(line(str(number)))
        if number % 30 == 0:
            fetch(
                store_url,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'watchglass writer' AND datname = current_database()",
            )
        time.sleep(0.005)
    pipeline.stop(10.0)
    assert counts(store_url) == 300
    [lines] = fetch(store_url, "SELECT count(*), count(DISTINCT message) AS different FROM watchglass.logs")
    assert tuple(lines) == (300, 300)


def test_a_frozen_server_holds_nobody_up(
    start: Start, recorder: Recorder, server: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "FLUSH_SECONDS", 1.0)
    pipeline = start(server.url, flush_interval=300, records_interval=0.1)
    pipeline.flush_now()
    with writer_frozen(server.url):
        began = time.perf_counter()
        for _ in range(100):
            pipeline.offer_log(line("x"))
            answer(recorder)
        assert time.perf_counter() - began < 0.1
        until(lambda: len(fetch(server.url, "SELECT FROM watchglass.logs")) == 100, 30)
        pipeline.flush_now()
        assert counts(server.url) == 100
    assert len(fetch(server.url, "SELECT FROM watchglass.logs")) == 100


def test_the_end_takes_no_longer_than_it_may(start: Start, recorder: Recorder, store_url: str) -> None:
    pipeline = start(store_url)
    pipeline.flush_now()
    [row] = fetch(
        store_url,
        "SELECT pid FROM pg_stat_activity"
        " WHERE application_name = 'watchglass writer' AND datname = current_database()",
    )
    os.kill(row["pid"], signal.SIGSTOP)
    try:
        answer(recorder)
        began = time.monotonic()
        pipeline.stop(1.5)
        assert time.monotonic() - began < 1.7
    finally:
        os.kill(row["pid"], signal.SIGCONT)


def test_the_end_without_a_database_is_quick(start: Start, recorder: Recorder, free_port: int) -> None:
    pipeline = start(f"postgresql://app@127.0.0.1:{free_port}/shop")
    answer(recorder)
    began = time.monotonic()
    pipeline.stop(5.0)
    assert time.monotonic() - began < 2


def test_memory_is_bounded_while_it_is_away_and_drops_are_counted(start: Start, free_port: int) -> None:
    pipeline = start(f"postgresql://app@127.0.0.1:{free_port}/shop", queue_size=100)
    for number in range(1000):
        pipeline.offer_log(line(str(number)))
        pipeline.offer_trace(trace())
    assert pipeline.status.queued == {"logs": 100, "traces": 100}
    assert pipeline.status.dropped == {"logs": 900, "traces": 900, "metrics": 0}


def test_a_schema_that_does_not_serve_is_said_until_it_does(start: Start, store_url: str) -> None:
    execute(store_url, "ALTER TABLE watchglass.batches RENAME TO elsewhere")
    pipeline = start(store_url, flush_interval=300)
    until(lambda: pipeline.status.state == "ok")
    pipeline.offer_log(line("x"))
    until(lambda: pipeline.status.state == "forbidden")
    assert "The schema watchglass is missing" in pipeline.status.message
    execute(store_url, "ALTER TABLE watchglass.elsewhere RENAME TO batches")
    until(lambda: pipeline.status.state == "ok")
    until(lambda: len(fetch(store_url, "SELECT FROM watchglass.logs")) == 1)


def test_a_batch_the_store_will_not_have_does_not_stop_the_others(
    start: Start, recorder: Recorder, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "strict", False)
    execute(store_url, "ALTER TABLE watchglass.logs ADD CHECK (message <> 'poison')")
    pipeline = start(store_url, flush_interval=300, records_interval=60)
    until(lambda: pipeline.status.state == "ok")
    answer(recorder)
    pipeline.offer_log(line("poison"))
    pipeline.offer_trace(trace())
    pipeline.flush_now()
    answer(recorder)
    pipeline.offer_log(line("fine"))
    pipeline.flush_now()
    assert counts(store_url) == 2
    assert [row["message"] for row in fetch(store_url, "SELECT message FROM watchglass.logs")] == ["fine"]
    assert pipeline.status.dropped == {"logs": 1, "traces": 1, "metrics": 0}
    assert guard.errors["exporters.flushing"] == 2
    states = {(state.meter.name, *state.values): state.sum for state in pipeline.collect()}
    assert states["watchglass.dropped", "logs", "rejected"] == 1


def test_metrics_the_store_will_not_have_are_counted_as_dropped(
    start: Start, recorder: Recorder, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "strict", False)
    pipeline = start(store_url, flush_interval=300)
    until(lambda: pipeline.status.state == "ok")
    execute(store_url, "ALTER TABLE watchglass.metrics_10s ADD CONSTRAINT none CHECK (false) NOT VALID")
    answer(recorder)
    pipeline.flush_now()
    assert pipeline.status.dropped["metrics"] > 0
    execute(store_url, "ALTER TABLE watchglass.metrics_10s DROP CONSTRAINT none")
    answer(recorder)
    pipeline.flush_now()
    assert counts(store_url) == 1
