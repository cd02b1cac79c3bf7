"""Series that become equal without the attributes that are not kept are one."""

from __future__ import annotations

from watchglass.exporters.projection import Projection, attributes_of, breakdowns, series_of
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import CACHE_LOOKUPS, HTTP_SERVER_REQUEST_DURATION, HTTP_SERVER_REQUESTS, Meter

DURATION = HTTP_SERVER_REQUEST_DURATION
STORED = Projection(lambda meter: meter.stored)


def recorder(*answers: tuple[str, str, float], max_series: int = 100) -> Recorder:
    recorder = Recorder(max_series)
    for route, status, seconds in answers:
        recorder.histogram(DURATION, ("GET", route, status, None, "http")).record(seconds)
    return recorder


def test_histograms_of_one_route_merge() -> None:
    states = recorder(("/a", "200", 0.5), ("/a", "500", 2.0), ("/a", "200", 0.25), ("/b", "200", 1.0)).collect()
    merged = STORED.merge(states)
    assert list(merged) == [
        (DURATION, (("http.request.method", "GET"), ("http.route", "/a"))),
        (DURATION, (("http.request.method", "GET"), ("http.route", "/b"))),
    ]
    first = merged[next(iter(merged))]
    assert (first.count, first.sum, first.min, first.max) == (3, 2.75, 0.25, 2.0)
    assert sum((first.buckets or {}).values()) == 3


def test_merging_changes_no_state() -> None:
    states = recorder(("/a", "200", 0.5), ("/a", "500", 0.5)).collect()
    before = [dict(state.buckets or {}) for state in states]
    STORED.merge(states)
    assert [state.buckets for state in states] == before


def test_counters_merge() -> None:
    kept = Projection(lambda meter: ("watchglass.cache.type",))
    made = Recorder()
    made.counter(CACHE_LOOKUPS, ("embeddings", "hit")).add(3)
    made.counter(CACHE_LOOKUPS, ("embeddings", "miss")).add(4)
    [state] = kept.merge(made.collect()).values()
    assert state.sum == 7


def test_a_histogram_is_broken_down_into_a_counter_with_all_attributes() -> None:
    states = list(breakdowns(recorder(("/a", "200", 0.5), ("/a", "500", 2.0), ("/a", "200", 1.0)).collect()))
    found = {attributes_of(state.meter, state.values): state.sum for state in states}
    assert {state.meter for state in states} == {HTTP_SERVER_REQUESTS}
    names = ("http.request.method", "http.response.status_code", "http.route")
    assert found == {
        tuple(zip(names, ("GET", "200", "/a"), strict=True)): 2,
        tuple(zip(names, ("GET", "500", "/a"), strict=True)): 1,
    }


def test_the_overflow_series_is_marked_as_such_in_both() -> None:
    states = recorder(("/a", "200", 1.0), ("/b", "200", 1.0), ("/c", "200", 1.0), max_series=1).collect()
    overflow = (("otel.metric.overflow", "true"),)
    assert STORED.merge(states)[DURATION, overflow].count == 2
    assert STORED.merge(breakdowns(states))[HTTP_SERVER_REQUESTS, overflow].sum == 2


def test_attributes_are_text_sorted_and_only_those_that_are_set() -> None:
    meter = Meter("m", "counter", "1", "M.", ("z", "a", "n", "e"))
    assert attributes_of(meter, ("1", "2", None, "")) == (("a", "2"), ("z", "1"))
    assert attributes_of(meter, (5, "\x00x", None, None)) == (("a", "x"), ("z", "5"))  # type: ignore[arg-type]
    assert attributes_of(meter, ("1", "2", "3", "4"), ("n",)) == (("n", "3"),)
    assert attributes_of(meter, ()) == ()


def test_the_memory_of_a_projection_is_bounded() -> None:
    projection = Projection(lambda meter: None, bound=10)
    meter = Meter("m", "counter", "1", "M.", ("a",))
    made = Recorder()
    for number in range(100):
        made.counter(meter, (str(number),)).add()
    assert len(projection.merge(made.collect())) == 100
    assert len(projection._kept) <= 10


def test_a_series_is_made_once() -> None:
    assert series_of(DURATION, (("http.route", "/a"),)) is series_of(DURATION, (("http.route", "/a"),))
