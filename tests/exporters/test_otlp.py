"""By OTLP a collector gets what the store gets: the same counts, buckets, ids and lines, by both protocols."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from math import inf, isclose
from pathlib import Path
from typing import Any

import pytest

from support.collector import GRPCCollector, HTTPCollector, attributes
from support.otlp import Sending, point_at
from support.pipelines import answer, line, trace, until
from support.programs import need
from watchglass.analysis.buckets import index_of
from watchglass.meters import (
    DB_CLIENT_OPERATION_DURATION,
    GC_COLLECTIONS,
    HTTP_SERVER_ACTIVE_REQUESTS,
    HTTP_SERVER_REQUEST_DURATION,
    PROCESS_THREADS,
)
from watchglass.records import LogRecord, SpanRecord, Trace

Collector = HTTPCollector | GRPCCollector
DURATION = HTTP_SERVER_REQUEST_DURATION.name
CUMULATIVE, DELTA = 2, 1
UNSET, ERROR = 0, 2


@pytest.fixture(params=[HTTPCollector, GRPCCollector], ids=["http", "grpc"])
def collector(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A receiver, named by the standard variables; metrics go every 0.1 s."""
    with request.param() as running:
        point_at(running, monkeypatch)
        yield running


@pytest.fixture
def sending() -> Iterator[Callable[..., Sending]]:
    with ExitStack() as stack:

        def start(**settings: object) -> Sending:
            made = Sending(**settings)
            made.otlp.start()
            stack.callback(made.end)
            return made

        yield start


def test_a_histogram_arrives_as_it_was_measured(collector: Collector, sending: Callable[..., Sending]) -> None:
    began = time.time_ns()
    one = sending()
    values = [0.0, 0.001, 0.02, 0.02, 0.5, 3.0]
    for value in values:
        answer(one.recorder, "/a", "200", value)
    until(lambda: any(point.count == 6 for point in collector.points(DURATION)))
    one.end()
    metric = collector.found(DURATION)[-1]
    assert (metric.unit, metric.description) == ("s", HTTP_SERVER_REQUEST_DURATION.description)
    assert metric.exponential_histogram.aggregation_temporality == CUMULATIVE
    [point] = metric.exponential_histogram.data_points
    assert (point.count, point.zero_count, point.scale) == (6, 1, 5)
    assert isclose(point.sum, sum(values))
    assert (point.min, point.max) == (0.0, 3.0)
    counts = {point.positive.offset + at: n for at, n in enumerate(point.positive.bucket_counts) if n}
    assert counts == {index_of(0.001): 1, index_of(0.02): 2, index_of(0.5): 1, index_of(3.0): 1}
    assert attributes(point)["http.route"] == "/a"
    assert began <= point.start_time_unix_nano < point.time_unix_nano <= time.time_ns()


def test_a_histogram_has_explicit_bounds_where_the_variable_wants_them(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, sending: Callable[..., Sending]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "explicit_bucket_histogram")
    one = sending()
    values = [0.0, 0.03125, 0.032, 0.5, 100.0]
    for value in values:
        answer(one.recorder, "/a", "200", value)
    until(lambda: any(point.count == 5 for point in collector.points(DURATION)))
    one.end()
    [point] = collector.found(DURATION)[-1].histogram.data_points
    counts = dict(zip([*point.explicit_bounds, inf], point.bucket_counts, strict=True))
    assert {bound: count for bound, count in counts.items() if count} == {
        2**-10: 1,  # zero
        2**-5: 1,  # a bound is in the bucket below it
        2**-4.5: 1,
        2**-1: 1,
        inf: 1,
    }
    assert (point.count, point.sum, point.min, point.max) == (5, sum(values), 0.0, 100.0)


def answered(number: int, seconds: float) -> Trace:
    """The trace of a request as `answer` records it."""
    now = time.time_ns()
    names = ("http.request.method", "http.route", "http.response.status_code", "url.scheme")
    held = dict(zip(names, ("GET", "/a", 200, "http"), strict=True))
    root = SpanRecord(number, 7, None, "GET /a", "server", now - round(seconds * 1e9), now, held)
    return Trace(root, [root], "random", measured=seconds)


def exemplars(collector: Collector) -> list[Any]:
    return [one for point in collector.points(DURATION) for one in point.exemplars]


@pytest.mark.parametrize("aggregation", ["base2_exponential_bucket_histogram", "explicit_bucket_histogram"])
def test_a_histogram_has_an_exemplar_of_each_bucket_once_its_trace_arrived_and_shows_it_once(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, sending: Callable[..., Sending], aggregation: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", aggregation)
    one = sending()
    began = time.time_ns()
    for number, seconds in enumerate((0.1, 3.0), 1):
        answer(one.recorder, seconds=seconds)
        one.otlp.offer_trace(answered(number, seconds))
    until(lambda: len(exemplars(collector)) == 2)
    seen = {int.from_bytes(found.trace_id): found for found in exemplars(collector)}
    assert {number: (found.as_double, found.span_id) for number, found in seen.items()} == {
        1: (0.1, (7).to_bytes(8)),
        2: (3.0, (7).to_bytes(8)),
    }
    assert all(began <= found.time_unix_nano <= time.time_ns() for found in seen.values())
    answer(one.recorder, seconds=0.1)
    one.otlp.offer_trace(answered(3, 0.1))
    until(lambda: len(exemplars(collector)) == 3)
    one.end()
    assert [int.from_bytes(found.trace_id) for found in exemplars(collector)][2:] == [3], "the others were sent before"


def test_as_a_delta_a_histogram_has_exemplars_of_its_own_interval_only(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, sending: Callable[..., Sending]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    one = sending()
    early = answered(1, 0.1)
    answer(one.recorder, seconds=0.1)
    until(lambda: bool(collector.points(DURATION)))
    one.otlp.offer_trace(early)
    until(lambda: bool(collector.spans()))
    for number in range(2, 1_000):
        answer(one.recorder, seconds=0.1)
        one.otlp.offer_trace(answered(number, 0.1))
        if exemplars(collector):
            break
        time.sleep(0.05)
    one.end()
    for point in collector.points(DURATION):
        for found in point.exemplars:
            assert point.start_time_unix_nano <= found.time_unix_nano <= point.time_unix_nano
    sent = [int.from_bytes(found.trace_id) for found in exemplars(collector)]
    assert sent and 1 not in sent


def test_no_exemplar_points_to_a_trace_that_the_collector_did_not_take(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, sending: Callable[..., Sending]
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    one = sending()
    answer(one.recorder, seconds=0.1)
    one.otlp.offer_trace(answered(1, 0.1))
    until(lambda: len(collector.points(DURATION)) >= 3)
    one.end()
    assert exemplars(collector) == []


def test_each_kind_of_meter_arrives_as_its_kind(collector: Collector, sending: Callable[..., Sending]) -> None:
    one = sending()
    one.recorder.counter(GC_COLLECTIONS, ("2",)).add(3)
    one.recorder.counter(HTTP_SERVER_ACTIVE_REQUESTS, ("GET", "http")).add(2)
    one.recorder.gauge(PROCESS_THREADS).set(11)
    until(lambda: bool(collector.found(PROCESS_THREADS.name)))
    one.end()
    grown = collector.found(GC_COLLECTIONS.name)[-1].sum
    assert (grown.is_monotonic, grown.aggregation_temporality, grown.data_points[0].as_double) == (True, CUMULATIVE, 3)
    moving = collector.found(HTTP_SERVER_ACTIVE_REQUESTS.name)[-1].sum
    assert (moving.is_monotonic, moving.data_points[0].as_double) == (False, 2)
    assert collector.found(PROCESS_THREADS.name)[-1].gauge.data_points[0].as_double == 11


def test_statements_are_not_sent_whole(collector: Collector, sending: Callable[..., Sending]) -> None:
    one = sending()
    for text in ("SELECT 1", "SELECT 2"):
        one.recorder.histogram(DB_CLIENT_OPERATION_DURATION, ("postgresql", "SELECT", "SELECT", text)).record(0.1)
    until(lambda: bool(collector.points(DB_CLIENT_OPERATION_DURATION.name)))
    [point] = collector.found(DB_CLIENT_OPERATION_DURATION.name)[-1].exponential_histogram.data_points
    assert point.count == 2
    assert "db.query.text" not in attributes(point)


def test_a_trace_arrives_with_ids_kinds_times_and_errors(collector: Collector, sending: Callable[..., Sending]) -> None:
    one = sending()
    sent = trace("/a")
    remote = SpanRecord(7 << 90, 9, 1 << 50, "GET /b", "server", 1_000, 2_000, {"n": 1, "odd": "\ud800"}, None)
    one.otlp.offer_trace(sent)
    one.otlp.offer_trace(Trace(remote, [remote], "first"))
    until(lambda: len(collector.spans()) == 3)
    root, child, other = collector.spans()
    assert root.trace_id == child.trace_id == (1 << 100).to_bytes(16, "big")
    assert (root.span_id, root.parent_span_id) == ((1 << 60).to_bytes(8, "big"), b"")
    assert (child.name, child.parent_span_id, child.kind) == ("SELECT", root.span_id, 3)
    assert (root.name, root.kind, root.status.code) == ("GET /a", 2, ERROR)
    assert (root.start_time_unix_nano, root.end_time_unix_nano) == (sent.root.start_ns, sent.root.end_ns)
    about = attributes(root)
    assert (about["http.response.status_code"], about["error.type"]) == (500, "ValueError")
    assert (about["watchglass.trace.reason"], about["watchglass.trace.dropped_spans"]) == ("error", 3)
    assert attributes(child) == {"db.system.name": "postgresql"}
    assert (other.parent_span_id, other.status.code) == ((1 << 50).to_bytes(8, "big"), UNSET)
    assert attributes(other)["odd"] == "\\ud800"


def test_a_line_arrives_with_its_fields_and_its_trace(collector: Collector, sending: Callable[..., Sending]) -> None:
    one = sending()
    one.otlp.offer_log(line("sold", 1_700_000_000_000_000_000))
    fields = {"nested": {"a": [1, None]}, "none": None, "many": ["x", "y"], "huge": 2**80}
    one.otlp.offer_log(LogRecord(5, 17, "ERROR", "shop.cart", "broke", fields, exception="Traceback: boom"))
    until(lambda: len(collector.lines()) == 2)
    by_logger = dict(collector.lines())
    sold, broke = by_logger["shop"], by_logger["shop.cart"]
    assert (sold.body.string_value, sold.severity_number, sold.severity_text) == ("sold", 9, "INFO")
    assert (sold.trace_id, sold.span_id) == (bytes.fromhex("ab" * 16), bytes.fromhex("cd" * 8))
    assert sold.time_unix_nano == 1_700_000_000_000_000_000
    assert attributes(sold) == {"user": 7}
    assert (broke.severity_number, broke.trace_id) == (17, b"")
    about = attributes(broke)
    assert (about["nested"], about["exception.stacktrace"], about["huge"]) == (
        '{"a":[1,null]}',
        "Traceback: boom",
        str(2**80),
    )
    assert "none" not in about


def test_every_signal_says_whose_it_is(collector: Collector, sending: Callable[..., Sending]) -> None:
    one = sending()
    answer(one.recorder)
    one.otlp.offer_log(line("hello"))
    one.otlp.offer_trace(trace())
    until(lambda: bool(collector.metrics and collector.logs and collector.traces))
    for resource in (
        collector.metrics[0].resource_metrics[0].resource,
        collector.logs[0].resource_logs[0].resource,
        collector.traces[0].resource_spans[0].resource,
    ):
        about = attributes(resource)
        assert (about["service.name"], about["service.version"], about["process.pid"]) == ("shop", "1.0", 7)
        assert about["service.instance.id"] == one.instance.instance_id
        assert about["deployment.environment.name"] == "test"


def test_headers_and_compression_are_those_of_the_standard_variables(
    monkeypatch: pytest.MonkeyPatch, sending: Callable[..., Sending]
) -> None:
    with HTTPCollector() as general, HTTPCollector() as of_logs:
        point_at(general, monkeypatch)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=secret%20key")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "api-key=of-logs")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", of_logs.endpoint + "/v1/logs")
        one = sending()
        one.otlp.offer_log(line("hello"))
        one.otlp.offer_trace(trace())
        until(lambda: bool(general.traces and of_logs.logs))
        one.end()
        assert (general.headers[0]["api-key"], general.headers[0]["content-encoding"]) == ("secret key", "gzip")
        assert of_logs.headers[0]["api-key"] == "of-logs"
        assert general.logs == []


def test_a_collector_is_trusted_by_the_certificate_that_the_standard_variable_names(
    monkeypatch: pytest.MonkeyPatch, sending: Callable[..., Sending], tmp_path: Path
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    files = ["-out", str(certificate), "-keyout", str(key)]
    names = ["-subj", "/CN=collector", "-addext", "subjectAltName=IP:127.0.0.1"]
    openssl = need("openssl", package="openssl")
    made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, *names]
    subprocess.run(made, check=True, capture_output=True)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # which go before, in the library that the exporter uses
        monkeypatch.delenv(name, raising=False)
    with HTTPCollector(certificate=(certificate, key)) as collector:
        point_at(collector, monkeypatch)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(certificate))
        one = sending()
        one.otlp.offer_log(line("over TLS"))
        until(lambda: bool(collector.lines()))
        assert collector.lines()[0][1].body.string_value == "over TLS"


def test_as_deltas_each_measurement_is_sent_once_also_when_requests_fail(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, sending: Callable[..., Sending]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    one = sending()
    count = one.recorder.counter(GC_COLLECTIONS, ("0",))
    for number in range(4):
        answer(one.recorder, seconds=0.1)
        count.add()
        until(lambda number=number: sum(p.count for p in collector.points(DURATION)) == number + 1)  # type: ignore[misc]
    answer(one.recorder, seconds=0.2)
    one.end()
    points = collector.points(DURATION)
    assert [metric.exponential_histogram.aggregation_temporality for metric in collector.found(DURATION)] == [DELTA] * 5
    assert sum(point.count for point in points) == 5
    assert isclose(sum(point.sum for point in points), 0.6)
    for before, after in pairwise(points):
        assert before.time_unix_nano == after.start_time_unix_nano
    assert sum(point.as_double for point in collector.points(GC_COLLECTIONS.name)) == 4


def test_a_refused_delta_is_in_the_next_one(
    monkeypatch: pytest.MonkeyPatch, sending: Callable[..., Sending], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("watchglass.exporters.otlp.sender._LONGEST_PAUSE", 0.1)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    with HTTPCollector() as collector:
        point_at(collector, monkeypatch)
        collector.refusing = 2
        one = sending()
        answer(one.recorder, seconds=0.1)
        until(lambda: collector.refusing <= 0)
        answer(one.recorder, seconds=0.1)
        one.end()
        assert sum(point.count for point in collector.points(DURATION)) == 2


def test_what_a_collector_refuses_for_good_is_given_up_and_counted(
    monkeypatch: pytest.MonkeyPatch, sending: Callable[..., Sending]
) -> None:
    monkeypatch.setattr("watchglass.exporters.otlp.sender._LONGEST_PAUSE", 0.1)
    monkeypatch.setenv("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "2")
    with HTTPCollector() as collector:
        point_at(collector, monkeypatch)
        collector.refusing = 3
        one = sending()
        for name in ("poison", "poisoned", "good"):
            one.otlp.offer_log(line(name))
        until(lambda: bool(collector.lines()))
        assert [record.body.string_value for _, record in collector.lines()] == ["good"]
        assert one.dropped == [("logs", "otlp_rejected", 2)]
