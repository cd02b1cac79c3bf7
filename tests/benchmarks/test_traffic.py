"""Generated traffic, and the rows that are made of it with NumPy: those the recorder and the exporter would write."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

from bench.series import Exported, coarser
from bench.traffic import SHARES, STATUSES, Requests, Traffic
from watchglass.analysis.buckets import unpack
from watchglass.exporters.metrics import MetricDeltas
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION
from watchglass.records import Point

NOON = 1_764_072_000
"""An hour of the clock."""


def recorded(traffic: Traffic, requests: Requests, start: int, end: int) -> list[tuple[int, list[Point]]]:
    """The same requests through the recorder and the exporter, in the order of their time."""
    recorder = Recorder()
    deltas = MetricDeltas(recorder.collect, start)
    taken = []
    for tick in range(start, end, 10):
        part = requests.within(tick, tick + 10)
        for endpoint, status, seconds in zip(part.endpoint, part.status, part.seconds.tolist(), strict=True):
            code = STATUSES[status]
            values = (*traffic.keys[endpoint], code, code if code >= "500" else None, "http")
            recorder.histogram(HTTP_SERVER_REQUEST_DURATION, values).record(seconds)
        taken.append((tick, deltas.take(tick + 10)))
    return taken


def comparable(points: list[Point]) -> list[tuple[object, ...]]:
    rows = sorted(points, key=lambda point: point.series.id)
    return [(*astuple(row)[:3], pytest.approx(row.sum), row.min, row.max, row.buckets) for row in rows]


def test_the_rows_are_those_that_the_recorder_and_the_exporter_write() -> None:
    traffic = Traffic(endpoints=20)
    requests = next(traffic.between(NOON, NOON + 3600)).within(NOON, NOON + 300)
    generated = Exported(traffic).points(requests)
    expected = recorded(traffic, requests, NOON, NOON + 300)
    assert [time for time, _ in generated] == [time for time, _ in expected]
    for (_, ours), (_, theirs) in zip(generated, expected, strict=True):
        assert [astuple(p)[:3] for p in sorted(ours, key=lambda p: p.series.id)] == [row[:3] for row in comparable(theirs)]
        for one, other in zip(
            sorted(ours, key=lambda p: p.series.id), sorted(theirs, key=lambda p: p.series.id), strict=True
        ):
            assert one.buckets == other.buckets
            assert (one.sum, one.min, one.max) == pytest.approx((other.sum, other.min, other.max), nan_ok=True)


def test_a_coarser_row_is_the_sum_of_its_ticks() -> None:
    traffic = Traffic(endpoints=20)
    histograms, counters = Exported(traffic).rows(traffic.hour(NOON))
    whole, requests = coarser(histograms, counters, 3600)
    assert whole.time.tolist() == [NOON] * 20
    assert whole.count.sum() == requests.sum.sum() == len(traffic.hour(NOON).seconds)
    _, _, count, total, low, high, buckets = next(iter(whole))
    ticks = [row for row in histograms if row[1] == 0]
    assert count == sum(row[2] for row in ticks) == sum(unpack(buckets).values())
    assert total == pytest.approx(sum(row[3] for row in ticks))
    assert (low, high) == (min(row[4] for row in ticks), max(row[5] for row in ticks))
    assert unpack(buckets) == unpack(b"".join(row[6] for row in ticks))


def test_the_requests_of_an_hour_are_always_the_same_and_as_many_as_said() -> None:
    one, other = Traffic().hour(NOON), Traffic().hour(NOON)
    assert np.array_equal(one.seconds, other.seconds)
    day = sum(len(part.seconds) for part in Traffic().between(NOON, NOON + 86_400))
    assert day == pytest.approx(100 * 86_400, rel=0.01)
    shares = np.bincount(one.status) / len(one.status)
    assert shares.tolist() == pytest.approx(list(SHARES), rel=0.1)


def test_the_exact_percentile_is_the_nearest_rank() -> None:
    traffic = Traffic(endpoints=20)
    requests = traffic.hour(NOON).within(NOON + 60, NOON + 1260)
    mine = np.sort(requests.seconds[requests.endpoint == 3])
    exact = traffic.exact(NOON + 60, NOON + 1260, 0.95)
    assert exact[3] == mine[int(np.ceil(0.95 * len(mine))) - 1]
