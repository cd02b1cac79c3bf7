"""Every increment is in exactly one delta."""

from __future__ import annotations

import random
import threading
from math import inf, nan

import pytest

from support.asgi import Clock
from watchglass.analysis.buckets import bounds_of, index_of, unpack
from watchglass.exporters.metrics import MetricDeltas
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import (
    EVENT_LOOP_LAG,
    HTTP_SERVER_ACTIVE_REQUESTS,
    POSTGRESQL_COMMITS,
    SYSTEM_CPU_UTILIZATION,
    Meter,
)
from watchglass.records import Point, State


def one(points: list[Point]) -> Point:
    [point] = points
    return point


def test_only_what_came_is_taken() -> None:
    recorder = Recorder()
    deltas = MetricDeltas(recorder.collect, 1000.0)
    recorder.counter(POSTGRESQL_COMMITS).add(5)
    assert one(deltas.take(1010.0)).sum == 5
    assert deltas.take(1020.0) == []
    recorder.counter(POSTGRESQL_COMMITS).add(2)
    point = one(deltas.take(1030.0))
    assert (point.sum, point.count, point.min, point.max, point.buckets) == (2, 1, None, None, None)


def test_histograms_are_subtracted_bucket_by_bucket() -> None:
    recorder = Recorder()
    deltas = MetricDeltas(recorder.collect, 1000.0)
    histogram = recorder.histogram(EVENT_LOOP_LAG)
    for value in (0.1, 0.1, 2.0):
        histogram.record(value)
    first = one(deltas.take(1010.0))
    assert (first.count, first.sum, first.min, first.max) == (3, pytest.approx(2.2), 0.1, 2.0)
    for value in (0.1, 0.5):
        histogram.record(value)
    second = one(deltas.take(1020.0))
    assert (second.count, second.sum) == (2, pytest.approx(0.6))
    assert unpack(second.buckets or b"") == {index_of(0.1): 1, index_of(0.5): 1}


def test_smallest_and_largest_of_an_interval_are_as_narrow_as_can_be_known() -> None:
    recorder = Recorder()
    deltas = MetricDeltas(recorder.collect, 1000.0)
    histogram = recorder.histogram(EVENT_LOOP_LAG)
    for value in (0.001, 100.0):
        histogram.record(value)
    deltas.take(1010.0)
    histogram.record(0.3)
    point = one(deltas.take(1020.0))
    assert (point.min, point.max) == bounds_of(index_of(0.3))
    histogram.record(0.0001)
    histogram.record(200.0)
    point = one(deltas.take(1030.0))
    assert (point.min, point.max) == (0.0001, 200.0), "a new extreme is known exactly"
    histogram.record(200.0)
    assert one(deltas.take(1040.0)).max == 200.0, "never beyond the largest seen"


def test_a_point_is_dated_on_the_grid_at_the_start_of_its_interval() -> None:
    recorder = Recorder()
    deltas = MetricDeltas(recorder.collect, 1003.9)
    recorder.counter(POSTGRESQL_COMMITS).add()
    assert one(deltas.take(1010.2)).time == 1000
    recorder.counter(POSTGRESQL_COMMITS).add()
    assert one(deltas.take(1020.2)).time == 1010
    recorder.counter(POSTGRESQL_COMMITS).add()
    assert one(deltas.take(1015.0)).time == 1010, "a clock that was set back"


def test_gauges_are_taken_as_they_are() -> None:
    recorder = Recorder()
    deltas = MetricDeltas(recorder.collect, 1000.0)
    recorder.gauge(SYSTEM_CPU_UTILIZATION).set(0.5)
    for now in (1010.0, 1020.0):
        point = one(deltas.take(now))
        assert (point.count, point.sum, point.min, point.max) == (1, 0.5, 0.5, 0.5)
    for value in (None, nan, inf):
        recorder.gauge(SYSTEM_CPU_UTILIZATION).set(value)
        assert deltas.take(1030.0) == []


def test_a_counter_that_moves_both_ways_is_taken_as_it_is() -> None:
    recorder = Recorder()
    deltas = MetricDeltas(recorder.collect, 1000.0)
    active = recorder.counter(HTTP_SERVER_ACTIVE_REQUESTS, ("GET", "http"))
    active.add(3)
    assert one(deltas.take(1010.0)).sum == 3
    active.add(-3)
    assert one(deltas.take(1020.0)).sum == 0


def test_what_began_anew_counts_from_zero() -> None:
    meter = Meter("m", "counter", "1", "M.")
    histogram = Meter("h", "histogram", "s", "H.")
    states = [[State(meter, (), 10.0), State(histogram, (), 5.0, 2, 1.0, 4.0, {3: 2})]]
    deltas = MetricDeltas(lambda: states[0], 1000.0)
    deltas.take(1010.0)
    states[0] = [State(meter, (), 4.0), State(histogram, (), 1.0, 1, 1.0, 1.0, {3: 1})]
    assert [(point.sum, point.count) for point in deltas.take(1020.0)] == [(4.0, 1), (1.0, 1)]


def test_what_came_before_can_be_left_out() -> None:
    recorder = Recorder()
    deltas = MetricDeltas(recorder.collect, 1000.0)
    recorder.counter(POSTGRESQL_COMMITS).add(5)
    deltas.skip(1005.0)
    assert deltas.take(1010.0) == []
    recorder.counter(POSTGRESQL_COMMITS).add(1)
    assert one(deltas.take(1020.0)).sum == 1


def test_an_infinite_measurement_spoils_no_later_sum() -> None:
    recorder = Recorder()
    deltas = MetricDeltas(recorder.collect, 1000.0)
    histogram = recorder.histogram(EVENT_LOOP_LAG)
    histogram.record(1.0)
    deltas.take(1010.0)
    for _ in range(2):
        histogram.record(inf)
        point = one(deltas.take(1020.0))
        assert (point.count, point.max) == (1, inf)
    histogram.record(0.5)
    point = one(deltas.take(1030.0))
    assert (point.count, point.sum) == (1, 0.0), "the sum is lost, the count is not"


def test_nothing_is_lost_while_threads_record() -> None:
    recorder = Recorder()
    deltas = MetricDeltas(recorder.collect, 1000.0)
    taken: list[Point] = []
    done = threading.Event()

    def work(seed: int) -> None:
        values = random.Random(seed)
        for _ in range(20_000):
            recorder.histogram(EVENT_LOOP_LAG).record(values.lognormvariate(-5, 1))
            recorder.counter(POSTGRESQL_COMMITS).add()

    def take() -> None:
        while not done.is_set():
            taken.extend(deltas.take(1000.0))

    taker = threading.Thread(target=take)
    taker.start()
    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    done.set()
    taker.join()
    taken.extend(deltas.take(1000.0))
    assert sum(point.sum for point in taken if point.series.kind == "counter") == 80_000
    histograms = [point for point in taken if point.series.kind == "histogram"]
    assert sum(point.count for point in histograms) == 80_000
    assert sum(sum(unpack(point.buckets or b"").values()) for point in histograms) == 80_000


def test_a_series_that_left_and_is_back_with_more_counts_from_zero() -> None:
    clock = Clock()
    recorder = Recorder(clock=clock, idle_seconds=60)
    deltas = MetricDeltas(recorder.collect, 1000.0, recorder.retire)
    recorder.counter(POSTGRESQL_COMMITS).add(5)
    recorder.histogram(EVENT_LOOP_LAG).record(0.1)
    taken = deltas.take(1010.0)
    while len(recorder):
        clock.advance(60)
        taken += deltas.take(1010.0)
    assert [point.sum for point in taken] == [0.1, 5]
    recorder.counter(POSTGRESQL_COMMITS).add(7)
    for _ in range(3):
        recorder.histogram(EVENT_LOOP_LAG).record(0.1)
    lag, commits = deltas.take(1020.0)
    assert (lag.count, lag.sum, commits.sum) == (3, pytest.approx(0.3), 7)
