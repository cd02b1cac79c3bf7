"""Series that nobody records to leave memory, and nothing that anybody recorded leaves with them unread."""

from __future__ import annotations

import gc
import threading
from collections import Counter
from collections.abc import Sequence

import pytest

from support.asgi import Clock
from watchglass import guard, meters
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import Meter
from watchglass.records import State

DURATION = meters.HTTP_SERVER_REQUEST_DURATION
COMMITS = meters.POSTGRESQL_COMMITS
A = ("GET", "/a", "200", None, "http")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(clock: Clock) -> Recorder:
    return Recorder(clock=clock, idle_seconds=600)


def pass_time(recorder: Recorder, clock: Clock, minutes: int) -> list[State]:
    """A minute after the other, as the exporter does; what left."""
    left = []
    for _ in range(minutes):
        clock.advance(60)
        recorder.collect()
        left += recorder.retire()
    return left


def test_an_idle_series_leaves_with_its_last_state_and_begins_again_at_zero(recorder: Recorder, clock: Clock) -> None:
    recorder.histogram(DURATION, A).record(0.5)
    recorder.counter(COMMITS).add(3)
    recorder.gauge(meters.PROCESS_THREADS).set(7)
    assert pass_time(recorder, clock, 10) == []
    assert len(recorder.collect()) == len(recorder) == 3
    left = pass_time(recorder, clock, 3)
    assert [(state.meter, state.count, state.sum) for state in left] == [
        (DURATION, 1, 0.5),
        (COMMITS, 0, 3),
        (meters.PROCESS_THREADS, 0, 7),
    ]
    assert (len(recorder), recorder.collect()) == (0, [])
    recorder.counter(COMMITS).add(1)
    assert [state.sum for state in recorder.collect()] == [1]


def test_one_that_is_recorded_to_stays(recorder: Recorder, clock: Clock) -> None:
    recorder.histogram(DURATION, A).record(0.0)
    for _ in range(10):
        assert pass_time(recorder, clock, 9) == []
        recorder.histogram(DURATION, A).record(0.0)
    assert [state.count for state in recorder.collect()] == [11]


def test_one_that_somebody_holds_stays_and_counts_on(recorder: Recorder, clock: Clock) -> None:
    held = recorder.histogram(DURATION, A)
    held.record(1)
    assert pass_time(recorder, clock, 60) == []
    assert recorder.histogram(DURATION, A) is held
    held.record(1)
    pass_time(recorder, clock, 5)
    assert [state.count for state in recorder.collect()] == [2]


def test_what_is_recorded_right_before_the_last_reference_goes_is_read(recorder: Recorder, clock: Clock) -> None:
    held = recorder.counter(COMMITS)
    held.add(1)
    pass_time(recorder, clock, 60)
    held.add(1)
    del held
    assert recorder.retire() == []
    assert pass_time(recorder, clock, 1) == []
    assert [state.sum for state in recorder.collect()] == [2]
    assert [state.sum for state in pass_time(recorder, clock, 15)] == [2]


def test_a_sum_that_moves_both_ways_leaves_at_zero_only(recorder: Recorder, clock: Clock) -> None:
    recorder.counter(meters.HTTP_SERVER_ACTIVE_REQUESTS, ("GET", "http")).add(1)
    assert pass_time(recorder, clock, 60) == []
    recorder.counter(meters.HTTP_SERVER_ACTIVE_REQUESTS, ("GET", "http")).add(-1)
    assert [state.sum for state in pass_time(recorder, clock, 60)] == [0]


def test_one_that_is_asked_for_at_each_collection_stays(recorder: Recorder, clock: Clock) -> None:
    def read() -> None:
        recorder.counter(COMMITS).value = 12.0

    recorder.before_collect(read)
    assert pass_time(recorder, clock, 100) == []
    assert [state.sum for state in recorder.collect()] == [12]


def test_those_that_left_make_room(clock: Clock) -> None:
    recorder = Recorder(max_series=2, clock=clock, idle_seconds=600)
    for number in range(2):
        recorder.counter(Meter(f"m{number}", "counter", "1", "M.")).add()
    recorder.counter(COMMITS).add()
    assert recorder.overflowed == 1
    pass_time(recorder, clock, 30)
    recorder.counter(COMMITS).add()
    assert recorder.overflowed == 1


def test_one_put_aside_comes_back_though_there_is_no_room(clock: Clock) -> None:
    recorder = Recorder(max_series=1, clock=clock, idle_seconds=600)
    held = recorder.counter(COMMITS)
    held.add()
    pass_time(recorder, clock, 30)
    assert recorder.counter(COMMITS) is held
    assert recorder.overflowed == 0


def test_whoever_asked_is_told_what_leaves(recorder: Recorder, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "strict", False)
    told: list[tuple[float, int]] = []

    def broken(states: Sequence[State]) -> None:
        raise ValueError("broken")

    recorder.before_retire(broken)
    recorder.before_retire(lambda states: told.extend((state.sum, len(recorder.collect())) for state in states))
    recorder.counter(COMMITS).add(3)
    pass_time(recorder, clock, 30)
    assert told == [(3, 0)], "once, and when it is in no collection any more"
    assert guard.errors["instrumentation.retire"] == 1


def test_nothing_is_lost_while_threads_record_and_series_leave(hasty_threads: None) -> None:
    recorder = Recorder(idle_seconds=0)
    left: Counter[str | None] = Counter()
    recorder.before_retire(lambda states: left.update({state.values[1]: state.count for state in states}))
    done = threading.Event()

    def work(seed: int) -> None:
        for number in range(15_000):
            recorder.histogram(DURATION, ("GET", f"/{(number // 50 + seed) % 5}", "200", None, "http")).record(0.1)

    def sweep() -> None:
        while not done.is_set():
            recorder.collect()
            recorder.retire()

    sweeper = threading.Thread(target=sweep)
    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in (sweeper, *workers):
        thread.start()
    for thread in workers:
        thread.join()
    done.set()
    sweeper.join()
    gc.collect()
    there = sum(state.count for state in recorder.collect())
    assert left.total() > 0, "some did leave"
    assert left.total() + there == 45_000
