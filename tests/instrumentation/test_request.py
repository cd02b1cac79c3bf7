"""A request knows its ids, its clock and its children, and none of them without bound."""

from __future__ import annotations

import random

from watchglass.instrumentation.request import (
    MAX_CHILDREN,
    Request,
    current_request,
    new_span_id,
    new_trace_id,
    reset_current_request,
    set_current_request,
)


def request() -> Request:
    return Request(0xAB, 0xCD, None, True, 5.0, "GET")


def test_ids_are_written_as_logs_and_headers_have_them() -> None:
    made = request()
    assert (made.trace_hex, made.span_hex) == ("0" * 30 + "ab", "0" * 14 + "cd")


def test_ids_do_not_repeat_when_the_service_seeds_the_random_module() -> None:
    random.seed(42)
    first = new_trace_id(), new_span_id()
    random.seed(42)
    assert (new_trace_id(), new_span_id()) != first
    assert all(0 < new_span_id() < 2**64 and 0 < new_trace_id() < 2**128 for _ in range(100))


def test_children_beyond_the_bound_are_counted() -> None:
    made = request()
    for _ in range(MAX_CHILDREN + 5):
        made.add_child("SELECT", 5.0, 5.1, {})
    assert (len(made.children), made.dropped_children) == (MAX_CHILDREN, 5)


def test_a_closed_request_takes_no_more_children() -> None:
    made = request()
    made.closed = True
    made.add_child("SELECT", 5.0, 5.1, {})
    assert (made.children, made.dropped_children) == ([], 1)


def test_a_reading_of_the_clock_is_told_as_unix_time() -> None:
    made = request()
    assert made.time_ns(5.0) == made.start_ns
    assert made.time_ns(5.25) - made.start_ns == 250_000_000
    assert made.time_ns(4.0) - made.start_ns == -1_000_000_000


def test_there_is_no_request_outside_of_any() -> None:
    assert current_request() is None
    token = set_current_request(made := request())
    assert current_request() is made
    reset_current_request(token)
    assert current_request() is None
