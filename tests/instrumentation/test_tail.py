"""The traces kept are those worth reading: failed, slow, the first of their endpoint and band, and some at random."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from support.asgi import http_scope
from watchglass import meters
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.request import MAX_CHILDREN, Request, new_trace_id
from watchglass.instrumentation.tail import CLIENT_DISCONNECT, Tail, trace_of
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION
from watchglass.records import Trace
from watchglass.settings import Settings

MINUTE = 60_000_000_000


class Kept:
    """A tail, and the traces it kept."""

    def __init__(self, **settings: Any) -> None:
        self.recorder = Recorder()
        self.traces: list[Trace] = []
        self.tail = Tail(Settings(**settings), self.recorder, self.traces.append)

    def ends(
        self,
        seconds: float | None = 0.01,
        route: str | None = "/a",
        error: str | None = None,
        minute: int = 10,
        *,
        wall: int | None = None,
        raised: BaseException | None = None,
        trace_id: int = 1,
        parent: int | None = None,
        sampled: bool = True,
        children: int = 0,
        text: str = "",
    ) -> Request:
        start = 60.0 * minute
        request = Request(trace_id, 2, parent, sampled, start, "GET")
        request.start_ns, request.end = (minute if wall is None else wall) * MINUTE, start + (seconds or 0.0)
        request.route, request.error, request.status = route, error, 200
        for _ in range(children):
            request.add_child("GET", start, start + 0.1, {"db.query.text": text})
        if raised is not None:
            self.tail.failed(request, raised)
        self.tail.ended(request, seconds, http_scope("/a"))
        return request

    @property
    def reasons(self) -> Counter[str]:
        return Counter(trace.reason for trace in self.traces)

    def counted(self, meter: meters.Meter) -> dict[Any, float]:
        return {state.values: state.sum for state in self.recorder.collect() if state.meter is meter}

    @property
    def dropped(self) -> dict[str, float]:
        return {values[0]: number for values, number in self.counted(meters.TRACES_DROPPED).items() if number}


def raised(number: int = 0) -> BaseException:
    """An exception of one of many functions, so that each is a group of its own."""
    namespace: dict[str, Any] = {"__name__": "shop"}
    exec(f"def fails_{number}():\n    raise ValueError({number})", namespace)
    try:
        namespace[f"fails_{number}"]()
    except ValueError as error:
        return error
    raise AssertionError


def test_the_first_of_each_endpoint_and_latency_band_a_minute_is_kept() -> None:
    kept = Kept()
    for minute in (10, 10, 11, 11):
        for route in ("/a", "/b", None):
            for seconds in (0.001, 0.0015, 0.01, 0.011, 0.1, None):
                kept.ends(seconds, route=route, minute=minute)
    assert kept.reasons == {"first": 2 * 3 * 4}, "below two milliseconds, around ten, around a hundred, a connection"
    assert kept.counted(meters.TRACES_SEEN) == {(): 72}
    assert kept.counted(meters.TRACES_KEPT) == {("first",): 24}
    assert kept.dropped == {"not_chosen": 48}


def test_errors_and_slow_ones_are_kept() -> None:
    kept = Kept(slow_request_seconds=0.5)
    kept.ends()
    for _ in range(3):
        kept.ends(error="ValueError")
        kept.ends(seconds=0.5)
        kept.ends(seconds=0.01)
    assert kept.reasons == {"first": 1, "error": 3, "slow": 3}


def test_slow_is_what_is_over_the_endpoints_own_99th_percentile() -> None:
    kept = Kept(slow_request_seconds=5)
    fast = kept.recorder.histogram(HTTP_SERVER_REQUEST_DURATION, ("GET", "/a", "200", None, "http"))
    few = kept.recorder.histogram(HTTP_SERVER_REQUEST_DURATION, ("GET", "/few", "200", None, "http"))
    failed = kept.recorder.histogram(HTTP_SERVER_REQUEST_DURATION, ("GET", "/a", "500", "500", "http"))
    for number in range(1000):
        (failed if number % 2 else fast).record(0.01 if number < 989 else 0.1)
    for _ in range(400):
        few.record(0.01)
    kept.recorder.collect()
    for route in ("/a", "/few"):
        for seconds in (0.01, 0.09, 0.1, 0.11, 0.2, 0.2):
            kept.ends(seconds, route=route, minute=12)
    slow = [(trace.root.attributes["http.route"], trace.measured) for trace in kept.traces if trace.reason == "slow"]
    assert slow == [("/a", 0.11), ("/a", 0.2), ("/a", 0.2)]


def test_a_percentile_follows_its_endpoint() -> None:
    now = [0.0]
    recorder = Recorder(clock=lambda: now[0])
    traces: list[Trace] = []
    tail = Tail(Settings(slow_request_seconds=60), recorder, traces.append)
    series = recorder.histogram(HTTP_SERVER_REQUEST_DURATION, ("GET", "/a", "200", None, "http"))
    limits = []
    for seconds in (0.01, 1.0, 1.0):
        for _ in range(600):
            series.record(seconds)
        recorder.collect()
        limits.append(tail._slowness.limit(("GET", "/a")))
        now[0] += 40
    assert limits[0] == limits[1], "it is looked at once a minute"
    assert 0.01 <= limits[0] < 0.0103
    assert 1.0 <= limits[2] < 1.03, "what came since alone decides"


@pytest.mark.parametrize("error", [CLIENT_DISCONNECT, "asyncio.exceptions.CancelledError"])
def test_a_client_that_left_is_no_error(error: str) -> None:
    kept = Kept()
    for _ in range(3):
        kept.ends(error=error)
    assert kept.reasons == {"first": 1}
    assert kept.dropped == {"not_chosen": 2}


def test_a_share_is_kept_at_random_the_same_in_every_service() -> None:
    ids = [new_trace_id() for _ in range(3000)]
    chosen = []
    for _ in range(2):
        kept = Kept(random_trace_share=0.01)
        kept.ends()
        for trace_id in ids:
            kept.ends(trace_id=trace_id, parent=7)
        chosen.append([trace.root.trace_id for trace in kept.traces if trace.reason == "random"])
    assert chosen[0] == chosen[1]
    assert 5 <= len(chosen[0]) <= 60


def test_at_random_are_at_most_sixty_a_minute() -> None:
    kept = Kept(random_trace_share=1)
    for minute in (10, 11):
        for _ in range(100):
            kept.ends(minute=minute)
    assert kept.reasons == {"first": 2, "random": 120}
    assert kept.dropped == {"random": 78}


def test_a_caller_that_has_not_sampled_its_trace_takes_it_out_of_the_random_share_only() -> None:
    kept = Kept(random_trace_share=1)
    kept.ends(sampled=False, parent=7)
    kept.ends(sampled=False, parent=7)
    kept.ends(sampled=False, parent=7, error="ValueError")
    kept.ends(sampled=False, parent=7, seconds=2.0)
    kept.ends(sampled=False)
    assert kept.reasons == {"first": 1, "error": 1, "slow": 1, "random": 1}, "without a caller we decide"


def test_no_more_than_the_bound_are_kept_a_minute_and_of_one_endpoint_half() -> None:
    kept = Kept(traces_per_minute=10)
    for number in range(20):
        kept.ends(error="ValueError", route="/storm", raised=raised(number))
    assert len(kept.traces) == 5
    assert kept.dropped == {"endpoint": 15}
    for number in range(20):
        kept.ends(error="ValueError", route=f"/{number}", raised=raised(number))
    assert len(kept.traces) == 10
    kept.ends(error="ValueError", route="/storm", minute=11)
    assert len(kept.traces) == 11
    assert kept.counted(meters.TRACES_SEEN) == {(): 41}
    assert kept.dropped == {"endpoint": 15, "error_group": 5, "traces_per_minute": 10}


def test_one_group_of_errors_does_not_take_the_minute() -> None:
    kept = Kept()
    for number in range(50):
        kept.ends(error="ValueError", route=f"/{number}", raised=raised())
    kept.ends(error="ValueError", raised=raised(1))
    assert kept.reasons == {"error": 11}
    assert kept.dropped == {"error_group": 40}
    assert len({trace.error_group for trace in kept.traces}) == 2


def test_errors_and_slow_ones_find_room_when_the_rest_has_filled_the_minute() -> None:
    kept = Kept(traces_per_minute=20, random_trace_share=0)
    for number in range(100):
        kept.ends(route=f"/{number}")
    assert kept.reasons == {"first": 10}
    for number in range(100):
        kept.ends(seconds=3.0, route=f"/{number}")
    assert kept.reasons == {"first": 10, "slow": 5}
    for number in range(100):
        kept.ends(error="ValueError", route=f"/{number}", raised=raised(number))
    assert kept.reasons == {"first": 10, "slow": 5, "error": 5}
    assert kept.dropped == {"traces_per_minute": 280}


def test_traces_of_a_minute_are_bounded_in_bytes() -> None:
    kept = Kept(trace_bytes_per_minute=2 * 2**20)
    for _ in range(5):
        kept.ends(error="ValueError", children=500)
    kept.ends(error="ValueError")
    assert [len(trace.spans) for trace in kept.traces] == [501, 501, 1]
    assert kept.dropped == {"trace_bytes_per_minute": 3}


def test_long_statements_count_as_what_they_are() -> None:
    kept = Kept(trace_bytes_per_minute=4 * 2**20)
    for _ in range(5):
        kept.ends(error="ValueError", children=500, text="SELECT" + " x" * 997)
    assert len(kept.traces) == 2
    assert kept.dropped == {"trace_bytes_per_minute": 3}


def test_none_are_kept_where_none_are_wanted() -> None:
    kept = Kept(traces_per_minute=0)
    kept.ends(error="ValueError")
    assert kept.traces == []


def test_a_request_that_began_in_an_earlier_minute_does_not_open_that_minute_again() -> None:
    kept = Kept()
    for minute in (11, 10, 11, 10):
        kept.ends(minute=minute)
    assert kept.reasons == {"first": 1}


def test_minutes_go_on_when_the_wall_clock_was_set_back() -> None:
    kept = Kept()
    for minute, wall in ((11, 5_000), (12, 12), (13, 13)):
        kept.ends(minute=minute, wall=wall)
    assert kept.reasons == {"first": 3}


def test_an_error_that_its_group_leaves_no_room_does_not_stand_for_its_band() -> None:
    kept = Kept(random_trace_share=0)
    for _ in range(15):
        kept.ends(error="ValueError", raised=raised())
    kept.ends(seconds=0.1, error="ValueError", raised=raised())
    for _ in range(3):
        kept.ends(seconds=0.1)
    assert [(trace.reason, trace.measured) for trace in kept.traces[10:]] == [("first", 0.1)]
    assert kept.dropped == {"error_group": 6, "not_chosen": 2}


def test_an_answer_that_says_it_failed_is_grouped_by_its_endpoint() -> None:
    kept = Kept()
    groups = [kept.ends(error="500", route=route).error_group for route in ("/a", "/b", "/a")]
    assert groups[0] == groups[2] != groups[1]
    assert [trace.error_group for trace in kept.traces] == groups


def test_who_is_told_of_a_request_that_ended_knows_the_group_of_its_error() -> None:
    told: list[str | None] = []
    tail = Tail(Settings(), Recorder(), lambda trace: None, None, lambda request: told.append(request.error_group))
    request = Request(1, 2, None, True, 600.0, "GET")
    request.end, request.route, request.error, request.status = 600.1, "/a", "500", 500
    tail.ended(request, 0.1, http_scope("/a"))
    assert request.error_group is not None
    assert told == [request.error_group]


def test_a_trace_is_made_of_the_request_and_its_children() -> None:
    request = Request(0xAB, 0xCD, 0xEF, True, 5.0, "GET")
    request.end, request.route, request.status = 5.5, "/items/{item}", 200
    shared = {"db.system.name": "postgresql"}
    request.add_child("SELECT items", 5.1, 5.2, shared, "57014", span_id=7, parent_id=9)
    request.add_child("SELECT items", 5.2, 5.3, shared)
    trace = trace_of(request, http_scope("/items/1"), "first")
    root, first, second = trace.spans
    assert trace.root is root
    assert (root.name, root.kind, root.parent_id) == ("GET /items/{item}", "server", 0xEF)
    assert (root.start_ns, root.end_ns - root.start_ns) == (request.start_ns, 500_000_000)
    assert root.attributes["http.response.status_code"] == 200
    assert (first.span_id, first.parent_id, first.error, first.kind) == (7, 9, "57014", "client")
    assert first.start_ns == request.start_ns + 100_000_000
    assert second.parent_id == root.span_id
    assert second.span_id not in (0, first.span_id)
    assert {span.trace_id for span in trace.spans} == {0xAB}
    second.attributes["later"] = 1
    assert shared == {"db.system.name": "postgresql"}


def test_children_that_were_not_kept_are_told() -> None:
    request = Request(1, 2, None, True, 5.0, "GET")
    request.end = 6.0
    for _ in range(MAX_CHILDREN + 3):
        request.add_child("GET", 5.0, 5.1, {})
    trace = trace_of(request, http_scope("/"), "first")
    assert (len(trace.spans), trace.dropped_spans) == (MAX_CHILDREN + 1, 3)
