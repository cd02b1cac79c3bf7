"""An hour without the store keeps its resolution, and what comes back is counted once, in order, in pieces."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from support.asgi import Clock
from support.lost_answers import LostAnswers
from support.pipelines import answer, fetch, line, process, trace, until, writer_frozen
from watchglass.demo.servers import PostgreSQL
from watchglass.errors import DatabaseUnavailable
from watchglass.exporters import backlog as backlogs
from watchglass.exporters import cycle
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION, HTTP_SERVER_REQUESTS
from watchglass.records import State
from watchglass.settings import Settings
from watchglass.store import writer as writing

Start = Callable[..., Pipeline]
NOW = int(time.time() // 3600) * 3600.0 - 7200


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cycle, "_LONGEST_PAUSE", 0.3)


@pytest.fixture
def lossy(store_url: str) -> Iterator[LostAnswers]:
    network = LostAnswers(store_url)
    yield network
    network.close()


def timeline(dsn: str) -> dict[float, float]:
    """Requests by the time of their point."""
    rows = fetch(
        dsn,
        "SELECT extract(epoch FROM timestamp)::float8 AS time, sum(value)::int AS sum FROM watchglass.metrics_flat"
        f" WHERE metric_name = '{HTTP_SERVER_REQUESTS.name}' GROUP BY 1",
    )
    return {row["time"]: row["sum"] for row in rows}


def counts(dsn: str) -> float:
    return sum(timeline(dsn).values())


def durations(dsn: str) -> int:
    rows = fetch(
        dsn,
        "SELECT sum((metadata ->> 'count')::int)::int AS count FROM watchglass.metrics_flat"
        f" WHERE metric_name = '{HTTP_SERVER_REQUEST_DURATION.name}'",
    )
    return int(rows[0]["count"])


@pytest.fixture
def clocked(recorder: Recorder) -> Iterator[Callable[..., tuple[Pipeline, Clock]]]:
    """A pipeline whose wall clock moves when it is told to; `interval(n)` is ten seconds with n requests."""
    made: list[Pipeline] = []

    def begin(dsn: str, **settings: object) -> tuple[Pipeline, Clock]:
        clock = Clock()
        clock.now = NOW + 0.5
        chosen = Settings(app_database_url=dsn, **{"flush_interval": 300, **settings})  # type: ignore[arg-type]
        pipeline = Pipeline(chosen, process(), recorder.collect, retire=recorder.retire, clock=clock)
        made.append(pipeline)
        pipeline.start()
        return pipeline, clock

    yield begin
    for pipeline in made:
        pipeline.stop()


def take(pipeline: Pipeline) -> None:
    """What the flush interval of the clock does, on the pipeline's loop."""
    assert pipeline._loop and pipeline._flusher
    size = pipeline._flusher._sequence
    pipeline._loop.call_soon_threadsafe(pipeline._flusher.take)
    until(lambda: pipeline._flusher is not None and pipeline._flusher._sequence > size)


def test_each_interval_of_an_outage_is_a_point_of_its_own(
    clocked: Callable[..., tuple[Pipeline, Clock]], recorder: Recorder, server: PostgreSQL
) -> None:
    server.stop()
    pipeline, clock = clocked(server.url)
    until(lambda: pipeline.status.state == "unavailable")
    for number in range(1, 21):
        for _ in range(number):
            answer(recorder)
        clock.advance(10)
        take(pipeline)
    status = pipeline.status
    assert status.backlog == 20
    assert status.backlog_bytes > 0
    assert status.spooled_bytes > 0
    server.start()
    until(lambda: pipeline.status.state == "ok")
    pipeline.flush_now()
    assert timeline(server.url) == {NOW + 10 * number: number + 1 for number in range(20)}
    sequences = [
        row["sequence"] for row in fetch(server.url, "SELECT sequence FROM watchglass.batches ORDER BY written_at")
    ]
    assert sequences == sorted(sequences)
    assert (pipeline.status.backlog, pipeline.status.spooled_bytes) == (0, 0)


def test_a_long_outage_becomes_coarser_and_loses_no_count(
    clocked: Callable[..., tuple[Pipeline, Clock]],
    recorder: Recorder,
    server: PostgreSQL,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backlogs, "MOST_BATCHES", 16)
    pipeline, clock = clocked(server.url)
    pipeline.flush_now()
    server.stop()
    for number in range(100):
        answer(recorder, f"/{number % 3}")
        pipeline.offer_log(line(str(number)))
        clock.advance(10)
        take(pipeline)
    until(lambda: pipeline.status.state == "unavailable")
    assert pipeline.status.backlog <= 16
    server.start()
    until(lambda: pipeline.status.state == "ok")
    pipeline.flush_now()
    assert counts(server.url) == 100
    assert durations(server.url) == 100
    points = timeline(server.url)
    assert 8 <= len(points) < 30
    assert points[max(points)] == 1, "the last interval is as fine as ever"
    messages = fetch(server.url, "SELECT message FROM watchglass.logs ORDER BY sequence, position")
    assert [row["message"] for row in messages] == [str(number) for number in range(100)]


def test_a_batch_whose_answer_was_lost_is_counted_once(
    recorder: Recorder, lossy: LostAnswers, store_url: str, start: Start
) -> None:
    pipeline = start(lossy.url, flush_interval=300, records_interval=60)
    pipeline.flush_now()
    for number in range(1, 6):
        for _ in range(number):
            answer(recorder)
        pipeline.offer_log(line(str(number)))
        pipeline.offer_trace(trace())
        lossy.losses = 1
        with pytest.raises(DatabaseUnavailable):
            pipeline.flush_now()
        assert lossy.losses == 0
        assert len(fetch(store_url, "SELECT FROM watchglass.logs")) == number, "the store has it"
        assert pipeline.status.backlog == 1, "and the process does not know"
        answer(recorder)
        pipeline.flush_now()
    assert counts(store_url) == 20
    assert len(fetch(store_url, "SELECT FROM watchglass.logs")) == 5
    assert len(fetch(store_url, "SELECT FROM watchglass.traces")) == 5


def test_a_batch_whose_answer_was_lost_is_not_merged_with_what_came_after(
    recorder: Recorder,
    lossy: LostAnswers,
    store_url: str,
    monkeypatch: pytest.MonkeyPatch,
    clocked: Callable[..., tuple[Pipeline, Clock]],
) -> None:
    monkeypatch.setattr(backlogs, "MOST_BATCHES", 3)
    monkeypatch.setattr(cycle, "_LONGEST_PAUSE", 60)
    pipeline, clock = clocked(lossy.url, records_interval=60)
    pipeline.flush_now()
    answer(recorder)
    lossy.losses = 1
    with pytest.raises(DatabaseUnavailable):
        pipeline.flush_now()
    for _ in range(20):
        answer(recorder)
        clock.advance(10)
        take(pipeline)
    assert pipeline.status.backlog <= 3
    pipeline.flush_now()
    assert counts(store_url) == 21


def test_lines_wait_in_bounds_oldest_first_out_and_counted(
    clocked: Callable[..., tuple[Pipeline, Clock]], server: PostgreSQL, recorder: Recorder
) -> None:
    server.stop()
    pipeline, clock = clocked(server.url, queue_size=100)
    until(lambda: pipeline.status.state == "unavailable")
    for number in range(500):
        answer(recorder)
        pipeline.offer_log(line(f"{number:03}"))
        if number % 50 == 49:
            clock.advance(10)
            take(pipeline)
    status = pipeline.status
    assert (status.queued["logs"], status.dropped["logs"]) == (100, 400)
    states = {(state.meter.name, *state.values): state.sum for state in pipeline.collect()}
    assert states["watchglass.dropped", "logs", "queue_full"] == 400
    assert states["watchglass.backlog.size",] == 10
    assert states["watchglass.backlog.usage",] == status.backlog_bytes
    assert states["watchglass.spool.usage",] == status.spooled_bytes > 0
    server.start()
    until(lambda: pipeline.status.state == "ok")
    pipeline.flush_now()
    stored = [row["message"] for row in fetch(server.url, "SELECT message FROM watchglass.logs ORDER BY message")]
    assert stored == [f"{number:03}" for number in range(400, 500)]
    assert counts(server.url) == 500


def test_a_job_gets_the_connection_between_two_batches(
    clocked: Callable[..., tuple[Pipeline, Clock]],
    recorder: Recorder,
    server: PostgreSQL,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cycle, "_JOB_PAUSE", 0.01)
    pipeline, clock = clocked(server.url)
    pipeline.flush_now()
    server.stop()
    left: list[int] = []

    async def job() -> None:
        async with pipeline.borrow() as connection:
            await connection.fetchval("SELECT 1")
        left.append(pipeline.status.backlog)
        if len(left) < 20:
            raise ConnectionError

    for _ in range(200):
        answer(recorder)
        clock.advance(10)
        take(pipeline)
    monkeypatch.setattr("watchglass.guard.strict", False)
    pipeline.run_on_loop(job)
    server.start()
    until(lambda: pipeline.status.state == "ok")
    until(lambda: len(left) >= 20)
    assert any(0 < number < 200 for number in left), left
    assert counts(server.url) == 200


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_clock_that_jumps_changes_no_count(
    clocked: Callable[..., tuple[Pipeline, Clock]], recorder: Recorder, store_url: str, hours: int
) -> None:
    pipeline, clock = clocked(store_url)
    for jump in (0, hours * 3600, 0, -hours * 3600, 0):
        clock.advance(10 + jump)
        answer(recorder)
        pipeline.flush_now()
    assert counts(store_url) == 5
    latest = fetch(
        store_url, "SELECT max(timestamp) <= now() + interval '5 minutes' AS past FROM watchglass.metrics_flat"
    )
    assert latest[0]["past"], "nothing is dated into the future"


def test_a_jump_neither_stops_the_flushes_nor_hurries_them(recorder: Recorder, store_url: str) -> None:
    ahead, taken = [0.0], []

    def collect() -> list[State]:
        taken.append(time.monotonic())
        return recorder.collect()

    chosen = Settings(app_database_url=store_url, flush_interval=1)  # type: ignore[arg-type]
    pipeline = Pipeline(chosen, process(), collect, clock=lambda: time.time() + ahead[0])
    pipeline.start()
    try:
        for jump in (0.0, 7200.3, -7200.6, 0.4, -86400.0):
            ahead[0] += jump
            seen = len(taken)
            until(lambda seen=seen: len(taken) >= seen + 2, 10)  # type: ignore[misc]
        gaps = [after - before for before, after in pairwise(list(taken))]
    finally:
        pipeline.stop()
    assert min(gaps) > 0.03, "no two at once"
    assert max(gaps) < 2.5, "none was left out"


def test_a_batch_that_hangs_is_on_disk_while_it_does(
    start: Start, recorder: Recorder, server: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "FLUSH_SECONDS", 5.0)
    pipeline = start(server.url, flush_interval=300, records_interval=0.1)
    pipeline.flush_now()
    with writer_frozen(server.url):
        pipeline.offer_log(line("x"))
        until(lambda: pipeline.status.spooled_bytes > 0)
        assert pipeline.status.state == "ok", "nobody knows yet"
    until(lambda: pipeline.status.spooled_bytes == 0)
    assert len(fetch(server.url, "SELECT FROM watchglass.logs")) == 1


def test_rows_from_the_future_are_said(
    clocked: Callable[..., tuple[Pipeline, Clock]], recorder: Recorder, store_url: str
) -> None:
    pipeline, clock = clocked(store_url)
    clock.advance(7 * 86400)
    pipeline.flush_now()
    clock.advance(10)
    answer(recorder)
    pipeline.flush_now()
    assert counts(store_url) == 1
    assert pipeline.status.clamped > 0
    states = {state.meter.name: state.sum for state in pipeline.collect()}
    assert states["watchglass.rows.clamped"] == pipeline.status.clamped


def test_series_that_found_no_room_are_said(start: Start, store_url: str, recorder: Recorder) -> None:
    pipeline = start(store_url)
    recorder.max_series = 2
    for number in range(5):
        answer(recorder, f"/{number}")
    assert pipeline.status.overflowed == 3
    states = {state.meter.name: state.sum for state in pipeline.collect()}
    assert states["watchglass.series.overflowed"] == 3


def test_a_series_that_left_and_returned_is_counted_right(store_url: str) -> None:
    monotonic = Clock()
    recorder = Recorder(clock=monotonic, idle_seconds=600)
    pipeline = Pipeline(
        Settings(app_database_url=store_url, flush_interval=300),
        process(),
        recorder.collect,
        retire=recorder.retire,
    )
    pipeline.start()
    try:
        for round in range(3):
            for _ in range(3 + round):
                answer(recorder)
            for _ in range(15):
                monotonic.advance(60)
                pipeline.flush_now()
            assert len(recorder) == 0
    finally:
        pipeline.stop()
    assert counts(store_url) == 12
    assert durations(store_url) == 12
