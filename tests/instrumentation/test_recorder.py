"""The recorder loses nothing between threads, is bounded, and puts every value into the bucket of the grid."""

from __future__ import annotations

import math
import threading

import pytest

from watchglass import meters
from watchglass.analysis.buckets import ZERO, bounds_of, index_of
from watchglass.instrumentation.recorder import OVERFLOW, Recorder
from watchglass.records import State

DURATION = meters.HTTP_SERVER_REQUEST_DURATION
ACTIVE = meters.HTTP_SERVER_ACTIVE_REQUESTS


def only(recorder: Recorder) -> State:
    [state] = recorder.collect()
    return state


def test_threads_lose_nothing_while_it_is_read(hasty_threads: None) -> None:
    recorder, threads, each = Recorder(), 4, 20_000
    done = threading.Event()

    def work(number: int) -> None:
        for i in range(each):
            recorder.histogram(DURATION, ("GET", f"/{i % 7}", "200", None, "http")).record(0.001 * (1 + i % 50))
            recorder.counter(meters.TRACES_SEEN).add()
            recorder.counter(ACTIVE, ("GET", "http")).add(1 if i % 2 else -1)

    def read() -> None:
        last = 0
        while not done.is_set():
            count = sum(state.count for state in recorder.collect())
            assert count >= last, "what was counted once stays counted"
            last = count

    reader = threading.Thread(target=read)
    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in (reader, *workers):
        thread.start()
    for thread in workers:
        thread.join()
    done.set()
    reader.join()

    states = recorder.collect()
    assert sum(state.count for state in states) == threads * each
    assert [state.sum for state in states if state.meter is meters.TRACES_SEEN] == [threads * each]
    assert [state.sum for state in states if state.meter is ACTIVE] == [0]
    total = sum(0.001 * (1 + i % 50) for i in range(each)) * threads
    assert sum(state.sum for state in states if state.meter is DURATION) == pytest.approx(total)


def test_threads_that_make_the_same_series_make_one(hasty_threads: None) -> None:
    for attempt in range(200):
        recorder, start = Recorder(), threading.Barrier(4)

        def work(recorder: Recorder = recorder, start: threading.Barrier = start, attempt: int = attempt) -> None:
            start.wait()
            recorder.counter(ACTIVE, (str(attempt), "http")).add()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert only(recorder).sum == 4


def test_beyond_the_bound_new_series_share_one_of_their_meter() -> None:
    recorder = Recorder(max_series=3)
    for number in range(10):
        recorder.histogram(DURATION, ("GET", f"/{number}", "200", None, "http")).record(1)
    recorder.counter(ACTIVE, ("GET", "http")).add(5)
    states = {state.values: state for state in recorder.collect()}
    assert len(states) == 5
    assert states[(OVERFLOW, None, None, None, None)].count == 7
    assert states[(OVERFLOW, None)].sum == 5
    assert recorder.overflowed == 8
    assert states[("GET", "/0", "200", None, "http")].count == 1


def test_a_series_from_before_the_bound_goes_on() -> None:
    recorder = Recorder(max_series=1)
    for _ in range(3):
        recorder.counter(ACTIVE, ("GET", "http")).add()
    assert only(recorder).sum == 3


@pytest.mark.parametrize("exponent", range(-20, 12))
def test_a_value_on_the_edge_of_a_bucket_is_its_last(exponent: int) -> None:
    for step in range(32):
        edge = 2.0 ** (exponent + step / 32)
        recorder = Recorder()
        recorder.histogram(DURATION).record(edge)
        recorder.histogram(DURATION).record(math.nextafter(edge, math.inf))
        buckets = only(recorder).buckets
        assert buckets is not None
        for index, value in zip(sorted(buckets), (edge, math.nextafter(edge, math.inf)), strict=False):
            low, high = bounds_of(index)
            assert low * (1 - 1e-12) < value <= high * (1 + 1e-12)
        assert sum(buckets.values()) == 2


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), 1e-300, 1e308, float("inf")])
def test_what_is_no_duration_is_counted_all_the_same(value: float) -> None:
    recorder = Recorder()
    recorder.histogram(DURATION).record(value)
    state = only(recorder)
    assert state.buckets == {index_of(value): 1}
    if not value > 0:
        assert (state.buckets, state.sum, state.min, state.max) == ({ZERO: 1}, 0.0, 0.0, 0.0)


def test_what_was_collected_is_a_copy() -> None:
    recorder = Recorder()
    recorder.histogram(DURATION).record(1)
    before = only(recorder)
    recorder.histogram(DURATION).record(1)
    assert before.buckets == {index_of(1): 1}
    assert only(recorder).buckets == {index_of(1): 2}


def test_an_empty_histogram_has_no_extremes() -> None:
    recorder = Recorder()
    recorder.histogram(DURATION)
    state = only(recorder)
    assert (state.count, state.min, state.max, state.sum) == (0, None, None, 0.0)


def test_a_gauge_that_was_never_set_is_absent() -> None:
    recorder = Recorder()
    gauge = recorder.gauge(meters.PROCESS_THREADS)
    assert recorder.collect() == []
    gauge.set(3)
    assert only(recorder).sum == 3
    gauge.set(None)
    assert recorder.collect() == []


def test_gauges_are_set_right_before_each_collection() -> None:
    recorder, values = Recorder(), iter([1.0, 2.0])
    recorder.before_collect(lambda: recorder.gauge(meters.PROCESS_THREADS).set(next(values)))
    assert [only(recorder).sum, only(recorder).sum] == [1.0, 2.0]


def test_its_clock_can_be_replaced() -> None:
    assert Recorder(clock=lambda: 7.0).clock() == 7.0
    assert Recorder().clock() <= Recorder().clock()
