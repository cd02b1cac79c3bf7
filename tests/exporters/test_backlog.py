"""While the store is away metrics become coarser, never fewer; logs and traces go oldest first, counted."""

from __future__ import annotations

import pytest

from support.pipelines import line, trace
from watchglass.analysis.buckets import pack, unpack
from watchglass.exporters import logs
from watchglass.exporters.backlog import Backlog, merge_points
from watchglass.records import Batch, Point, Series

REQUESTS = Series("requests", "counter", "1", (("http.route", "/a"),))
SECONDS = Series("seconds", "histogram", "s", ())
CPU = Series("cpu", "gauge", "1", ())
ACTIVE = Series("active", "updown", "1", ())


def points(time: int, number: int = 1) -> list[Point]:
    return [
        Point(REQUESTS, time, 1, float(number)),
        Point(SECONDS, time, number, 0.5 * number, 0.5, 0.5 + time, pack({7: number, time % 5: 1})),
        Point(CPU, time, 1, float(time), float(time), float(time)),
    ]


def counted(backlog: Backlog) -> tuple[float, int, int]:
    """Requests, durations and what their buckets hold."""
    found = [point for frozen in backlog for point in frozen.batch.points]
    return (
        sum(point.sum for point in found if point.series is REQUESTS),
        sum(point.count for point in found if point.series is SECONDS),
        sum(sum(unpack(point.buckets or b"").values()) for point in found),
    )


def test_batches_come_out_in_order() -> None:
    backlog = Backlog(100)
    for sequence in (1, 2, 3):
        backlog.add(Batch(sequence, points(10 * sequence)))
    order = []
    while (batch := backlog.next()) is not None:
        assert backlog.next() is batch, "the same until it is done"
        order.append(batch.sequence)
        backlog.done()
    assert (order, len(backlog), backlog.size) == ([1, 2, 3], 0, 0)


def test_points_of_one_series_add_up_and_gauges_keep_the_last_sample() -> None:
    early = [Point(ACTIVE, 10, 1, 3.0, 3.0, 3.0), *points(10, 2)]
    late = [*points(20, 3), Point(ACTIVE, 20, 1, 1.0, 1.0, 1.0)]
    merged = {point.series: point for point in merge_points([*early, *late])}
    assert {point.time for point in merged.values()} == {10}
    assert (merged[REQUESTS].sum, merged[REQUESTS].count) == (5.0, 1)
    whole = merged[SECONDS]
    assert (whole.count, whole.sum, whole.min, whole.max) == (5, 2.5, 0.5, 20.5)
    assert unpack(whole.buckets or b"") == {7: 5, 0: 2}
    assert len(whole.buckets or b"") == 12, "compact"
    assert (merged[CPU].sum, merged[CPU].count, merged[CPU].max) == (20.0, 1, 20.0)
    assert merged[ACTIVE].sum == 1.0


def test_a_clock_that_was_set_back_dates_the_sum_at_the_earlier_time() -> None:
    [merged] = merge_points([Point(REQUESTS, 7200, 1, 1.0), Point(REQUESTS, 10, 1, 1.0)])
    assert (merged.time, merged.sum) == (10, 2.0)


@pytest.mark.parametrize("number", [9, 100, 1000])
def test_beyond_its_bound_the_old_half_becomes_coarser_and_every_count_stays(number: int) -> None:
    backlog = Backlog(100, most_batches=8)
    for sequence in range(1, number + 1):
        backlog.add(Batch(sequence, points(10 * sequence, 2)))
        assert len(backlog) <= 8
    assert counted(backlog) == (2 * number, 2 * number, 3 * number)
    frozen = list(backlog)
    assert [one.first for one in frozen[1:]] == [one.sequence + 1 for one in frozen[:-1]], "each is in exactly one"
    assert (frozen[0].first, frozen[-1].sequence) == (1, number)
    assert frozen[-1].first == number, "the newest keeps its resolution"
    assert frozen[0].batch.points[0].time == 10


def test_memory_bounds_it_too() -> None:
    backlog = Backlog(100, most_bytes=20_000)
    for sequence in range(1, 200):
        backlog.add(Batch(sequence, points(10 * sequence)))
    assert backlog.weights["points"] <= 20_000
    assert backlog.merged > 0
    assert counted(backlog)[:2] == (199, 199)


def test_a_batch_that_was_sent_is_never_changed() -> None:
    backlog = Backlog(3, most_batches=3)
    first = Batch(1, points(10), [line("sent")] * 3)
    backlog.add(first)
    assert backlog.next() is first
    for sequence in range(2, 50):
        backlog.add(Batch(sequence, points(10 * sequence), [line("later")]))
    assert backlog.next() is first
    assert len(first.logs) == 3
    assert counted(backlog)[0] == 49


def test_the_oldest_records_go_first_and_are_counted() -> None:
    backlog = Backlog(4)
    for sequence in range(1, 6):
        lines = [line(f"{sequence}a"), line(f"{sequence}b")]
        backlog.add(Batch(sequence, points(10 * sequence), lines, [trace()]))
    assert [one.message for frozen in backlog for one in frozen.batch.logs] == ["4a", "4b", "5a", "5b"]
    assert (backlog.counts["logs"], backlog.counts["traces"], dict(backlog.dropped)) == (4, 4, {"logs": 6, "traces": 1})
    assert counted(backlog)[0] == 5, "no metrics go with them"


def test_long_lines_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 50_000)
    backlog = Backlog(1000)
    for sequence in range(1, 100):
        backlog.add(Batch(sequence, (), [line("x" * 5_000)]))
    assert 0 < backlog.weights["logs"] <= 50_000
    assert backlog.counts["logs"] + backlog.dropped["logs"] == 99


def test_records_stay_in_order_when_batches_are_merged() -> None:
    backlog = Backlog(1000, most_batches=4)
    for sequence in range(1, 40):
        backlog.add(Batch(sequence, points(10 * sequence), [line(str(sequence))]))
    assert [one.message for frozen in backlog for one in frozen.batch.logs] == [str(n) for n in range(1, 40)]
