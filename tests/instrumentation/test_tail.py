"""The traces kept are those worth reading: failed, slow, or the first of their endpoint in the minute."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from support.asgi import http_scope
from watchglass import meters
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.request import MAX_CHILDREN, Request
from watchglass.instrumentation.tail import CLIENT_DISCONNECT, Tail, trace_of
from watchglass.records import Trace
from watchglass.settings import Settings

MINUTE = 60_000_000_000


class Kept:
    """A tail, and the traces it kept."""

    def __init__(self, **settings: Any) -> None:
        self.recorder = Recorder()
        self.traces: list[Trace] = []
        self.tail = Tail(Settings(**settings), self.recorder, self.traces.append)

    def ends(self, seconds: float = 0.01, route: str | None = "/a", error: str | None = None, minute: int = 10) -> None:
        request = Request(1, 2, None, True, 5.0, "GET")
        request.start_ns, request.end = minute * MINUTE, 5.0 + seconds
        request.route, request.error, request.status = route, error, 200
        self.tail.ended(request, seconds, http_scope("/a"))

    @property
    def reasons(self) -> Counter[str]:
        return Counter(trace.reason for trace in self.traces)

    def counted(self, meter: meters.Meter) -> dict[Any, float]:
        return {state.values: state.sum for state in self.recorder.collect() if state.meter is meter}


def test_the_first_of_each_endpoint_a_minute_is_kept() -> None:
    kept = Kept()
    for minute in (10, 10, 11, 11):
        for route in ("/a", "/b", None):
            kept.ends(route=route, minute=minute)
    assert kept.reasons == {"first": 6}
    assert kept.counted(meters.TRACES_SEEN) == {(): 12}
    assert kept.counted(meters.TRACES_KEPT) == {("first",): 6}


def test_errors_and_slow_ones_are_kept() -> None:
    kept = Kept(slow_request_seconds=0.5)
    kept.ends()
    for _ in range(3):
        kept.ends(error="ValueError")
        kept.ends(seconds=0.5)
        kept.ends(seconds=0.499)
    assert kept.reasons == {"first": 1, "error": 3, "slow": 3}


@pytest.mark.parametrize("error", [CLIENT_DISCONNECT, "asyncio.exceptions.CancelledError"])
def test_a_client_that_left_is_no_error(error: str) -> None:
    kept = Kept()
    for _ in range(3):
        kept.ends(error=error)
    assert kept.reasons == {"first": 1}


def test_no_more_than_the_bound_are_kept_a_minute_and_of_one_endpoint_half() -> None:
    kept = Kept(traces_per_minute=10)
    for _ in range(20):
        kept.ends(error="ValueError", route="/storm")
    assert len(kept.traces) == 5
    for number in range(20):
        kept.ends(route=f"/{number}")
    assert len(kept.traces) == 10
    kept.ends(error="ValueError", route="/storm", minute=11)
    assert len(kept.traces) == 11
    assert kept.counted(meters.TRACES_SEEN) == {(): 41}


def test_none_are_kept_where_none_are_wanted() -> None:
    kept = Kept(traces_per_minute=0)
    kept.ends(error="ValueError")
    assert kept.traces == []


def test_a_request_that_began_in_an_earlier_minute_does_not_open_that_minute_again() -> None:
    kept = Kept()
    for minute in (11, 10, 11, 10):
        kept.ends(minute=minute)
    assert kept.reasons == {"first": 1}


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
