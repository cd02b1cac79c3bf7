"""Generated traffic, and the rows that are made of it with NumPy: those the recorder and the exporter would write."""

from __future__ import annotations

import numpy as np
import pytest
from bench.series import Exported
from bench.traffic import SHARES, STATUSES, Requests, Traffic

from watchglass.exporters.metrics import MetricDeltas
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION
from watchglass.records import Point

NOON = 1_764_072_000
"""An hour of the clock."""


def recorded(traffic: Traffic, requests: Requests, start: int, end: int) -> list[tuple[int, list[Point]]]:
    """The same requests through the recorder and the exporter, ten seconds after ten seconds."""
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
    """Everything of each point, in order of series; sums that were added up in another order are near enough."""
    return [
        (
            *(point.series, point.time, point.count, round(point.sum, 9), point.buckets),
            *(None if extreme is None else round(extreme, 12) for extreme in (point.min, point.max)),
        )
        for point in sorted(points, key=lambda point: point.series.id)
    ]


def test_the_rows_are_those_that_the_recorder_and_the_exporter_write() -> None:
    traffic = Traffic(endpoints=20)
    requests = traffic.hour(NOON).within(NOON, NOON + 300)
    made = Exported(traffic).points(requests)
    expected = recorded(traffic, requests, NOON, NOON + 300)
    assert len(made) == 30
    assert [(tick, comparable(points)) for tick, points in made] == [
        (tick, comparable(points)) for tick, points in expected
    ]


def test_the_requests_of_an_hour_are_always_the_same_and_as_many_as_said() -> None:
    one, other = Traffic().hour(NOON), Traffic().hour(NOON)
    assert np.array_equal(one.seconds, other.seconds)
    day = sum(len(part.seconds) for part in Traffic(rate=10).between(NOON, NOON + 86_400))
    assert day == pytest.approx(10 * 86_400, rel=0.01)
    assert (np.bincount(one.status) / len(one.status)).tolist() == pytest.approx(list(SHARES), rel=0.1)


def test_a_span_has_its_own_requests_only_and_may_have_none() -> None:
    traffic = Traffic(rate=1)
    times = np.concatenate([part.time for part in traffic.between(NOON + 1800, NOON + 9000)])
    assert NOON + 1800 <= times.min() < times.max() < NOON + 9000
    assert list(traffic.between(NOON + 60, NOON + 60)) == []


def test_the_exact_percentile_is_the_nearest_rank() -> None:
    traffic = Traffic(endpoints=20)
    requests = traffic.hour(NOON).within(NOON + 60, NOON + 1260)
    mine = np.sort(requests.seconds[requests.endpoint == 3])
    exact = traffic.exact(NOON + 60, NOON + 1260, 0.95)
    assert exact[3] == mine[int(np.ceil(0.95 * len(mine))) - 1]
