"""A trace goes on where its caller says so in W3C's words, and begins anew where it does not."""

from __future__ import annotations

import pytest
from opentelemetry import baggage, propagate, trace
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator

from watchglass.instrumentation.propagation import Parent, Reader, parse_traceparent, response_headers
from watchglass.instrumentation.request import Request

TRACE, SPAN = "ab" * 16, "cd" * 8
GOOD = f"00-{TRACE}-{SPAN}-01".encode()


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (GOOD, True),
        (f"00-{TRACE}-{SPAN}-00".encode(), False),
        (f"00-{TRACE}-{SPAN}-ff".encode(), True),
        (f"cc-{TRACE}-{SPAN}-01-what-a-later-version-adds".encode(), True),
        (b" " + GOOD + b"\t", True),
    ],
)
def test_a_parent_is_read(value: bytes, sampled: bool) -> None:
    assert parse_traceparent(value) == Parent(int(TRACE, 16), int(SPAN, 16), sampled)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"00",
        b"\x00" * 55,
        b"-" * 10_000,
        f"00-{TRACE}-{SPAN}".encode(),
        f"00-{TRACE}-{SPAN}-1".encode(),
        f"00-{TRACE}-{SPAN}-01-more".encode(),
        f"ff-{TRACE}-{SPAN}-01".encode(),
        f"00-{TRACE.upper()}-{SPAN}-01".encode(),
        f"00-{'0' * 32}-{SPAN}-01".encode(),
        f"00-{TRACE}-{'0' * 16}-01".encode(),
        f"00-{TRACE}x-{SPAN}-01".encode(),
        "00-é".encode("latin-1"),
    ],
)
def test_what_is_malformed_begins_a_new_trace(value: bytes) -> None:
    assert parse_traceparent(value) is None
    assert Reader().read({b"traceparent": value}).parent is None
    assert Reader().read({b"traceparent": value, b"tracestate": b"a=1"}).parent is None


def test_trace_state_and_baggage_go_on() -> None:
    headers = {b"traceparent": GOOD, b"tracestate": b"vendor=1", b"baggage": b"user=7"}
    parent, context = Reader().read(headers)
    assert parent is not None
    assert (parent.trace_id, parent.state.to_header()) == (int(TRACE, 16), "vendor=1")
    assert baggage.get_baggage("user", context) == "7"


def test_baggage_alone_begins_a_new_trace() -> None:
    parent, context = Reader().read({b"baggage": b"user=7"})
    assert parent is None
    assert baggage.get_baggage("user", context) == "7"


def test_the_hosts_propagator_is_used_as_soon_as_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    class Single(TextMapPropagator):
        """The parent in a header of its own."""

        fields = frozenset({"x-parent"})

        def extract(self, carrier, context=None, getter=None):  # type: ignore[no-untyped-def,override]
            trace_id, span_id = carrier["x-parent"].split(":")
            found = trace.SpanContext(int(trace_id), int(span_id), True, trace.TraceFlags(1))
            return trace.set_span_in_context(trace.NonRecordingSpan(found), context)

        def inject(self, carrier, context=None, setter=None) -> None:  # type: ignore[no-untyped-def,override]
            raise NotImplementedError

    reader = Reader()
    assert reader.read({b"x-parent": b"1:2"}).parent is None
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", Single())
    assert reader.read({b"x-parent": b"1:2"}).parent == Parent(1, 2, True)


def test_a_header_that_the_service_set_stays_alone() -> None:
    request = Request(int(TRACE, 16), int(SPAN, 16), None, True, 0.0, "GET")
    headers: list[tuple[bytes, bytes]] = []
    response_headers(headers, {b"x-trace-id"}, request)
    assert headers == [(b"traceparent", GOOD)]
    headers = []
    response_headers(headers, {b"traceparent"}, request)
    assert headers == [(b"x-trace-id", TRACE.encode())]


def test_a_host_that_propagates_nothing_gets_a_new_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", CompositePropagator([]))
    assert Reader().read({b"traceparent": GOOD}).parent is None
