"""OTLP begins, ends, forks and fails without the host noticing; the standard variables say whether it is there."""

from __future__ import annotations

import logging
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from opentelemetry import metrics
from opentelemetry import trace as otel_trace

import watchglass
from support.collector import HTTPCollector, attributes
from support.otlp import Sending, point_at
from support.pipelines import answer, line, trace, until
from watchglass import wiring
from watchglass.exporters.otlp.destinations import SIGNALS, destinations
from watchglass.meters import DB_CLIENT_OPERATION_DURATION, HTTP_SERVER_REQUEST_DURATION, WATCHGLASS_DROPPED
from watchglass.redaction import REDACTED

DURATION = HTTP_SERVER_REQUEST_DURATION.name
BASE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPCollector]:
    with HTTPCollector() as running:
        point_at(running, monkeypatch)
        yield running


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A collector that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{listening.getsockname()[1]}")
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")
        monkeypatch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "50")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "4")
        yield ""


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, {}),
        (BASE, {"traces": "http/protobuf", "metrics": "http/protobuf", "logs": "http/protobuf"}),
        ({**BASE, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, {"traces": "grpc", "metrics": "grpc", "logs": "grpc"}),
        (
            {**BASE, "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc", "OTEL_LOGS_EXPORTER": "none"},
            {"traces": "http/protobuf", "metrics": "grpc"},
        ),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://logs:4318/v1/logs"}, {"logs": "http/protobuf"}),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, {"traces": "http/protobuf"}),
        ({"OTEL_TRACES_EXPORTER": "watchglass,otlp_proto_grpc"}, {"traces": "grpc"}),
        (
            {"OTEL_LOGS_EXPORTER": "otlp_proto_http", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            {"logs": "http/protobuf"},
        ),
        (
            {**BASE, "OTEL_TRACES_EXPORTER": "watchglass", "OTEL_LOGS_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "x"},
            {},
        ),
        ({**BASE, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, {}),
    ],
)
def test_the_standard_variables_say_what_goes_where(variables: dict[str, str], expected: dict[str, str]) -> None:
    assert {found.signal: found.protocol for found in destinations(variables)} == expected


def test_what_the_variables_leave_open_is_as_specified(caplog: pytest.LogCaptureFixture) -> None:
    traces, metrics, logs = destinations({**BASE, "OTEL_METRIC_EXPORT_INTERVAL": "often"})
    assert (traces.interval, metrics.interval, logs.interval, traces.batch) == (5, 60, 1, 512)
    assert not metrics.delta
    assert not metrics.explicit
    assert (traces.queue, logs.queue) == (0, 0)
    assert "OTEL_METRIC_EXPORT_INTERVAL is 'often'" in caplog.text
    preference = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
    assert [destinations({**BASE, preference: way})[1].delta for way in ("delta", "LowMemory", "cumulative")] == [
        True,
        True,
        False,
    ]


def test_the_standard_variables_bound_what_waits_for_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_BLRP_MAX_QUEUE_SIZE", "2")
    one = Sending()
    for number in range(5):
        one.otlp.offer_log(line(str(number)))
        one.otlp.offer_trace(trace())
    assert (one.otlp.status["logs"].queued, one.otlp.status["traces"].queued) == (2, 5)


def test_a_missing_package_is_told_with_the_command_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert destinations(BASE) == []
    assert "needs the package opentelemetry-exporter-otlp-proto-http" in caplog.text
    assert "pip install 'watchglass[otlp]'" in caplog.text


def test_a_service_without_a_database_sends_all_three_signals_of_a_request(
    collector: HTTPCollector, serve: Callable[..., str]
) -> None:
    app = service()
    url = serve(watchglass.observe(app))
    try:
        sent = httpx.get(f"{url}/work/3", headers={"baggage": "user=secret-of-baggage"})
        traceparent = sent.headers["traceparent"]
        until(lambda: bool(collector.points(DURATION) and collector.spans() and collector.lines()))
    finally:
        watchglass.unobserve(app)
    span, packing = collector.spans()
    assert f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01" == traceparent
    assert (span.name, attributes(span)["http.route"]) == ("GET /work/{number}", "/work/{number}")
    found = {
        attributes(p)["http.route"]: p.count for p in collector.found(DURATION)[-1].exponential_histogram.data_points
    }
    assert found == {"/work/{number}": 1}
    said = {record.body.string_value: record for _, record in collector.lines()}
    assert (said["worked"].trace_id, said["worked"].span_id) == (span.trace_id, packing.span_id)
    assert (packing.name, packing.parent_span_id, packing.kind) == ("packing", span.span_id, 1)
    assert attributes(packing) == {"size": 3, "password": REDACTED}
    assert collector.points("shop.worked")[-1].as_double == 2
    assert "secret-of-baggage" not in repr((collector.traces, collector.metrics, collector.logs))


def test_a_trace_that_is_not_sampled_goes_to_the_store_alone(
    collector: HTTPCollector, serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    app, kept = service(), []
    url = serve(watchglass.observe(app))
    try:
        house = wiring.house()
        assert house is not None
        monkeypatch.setattr(house.pipeline, "offer_trace", kept.append)
        alone = httpx.get(f"{url}/work/1").headers["traceparent"]
        parent = f"00-{'ab' * 16}-{'cd' * 8}-01"
        called = httpx.get(f"{url}/boom", headers={"traceparent": parent}).headers["traceparent"]
        until(lambda: bool(collector.spans()) and len(kept) == 2)
    finally:
        watchglass.unobserve(app)
    assert (alone[-3:], called[-3:]) == ("-00", "-01")
    assert {span.trace_id.hex() for span in collector.spans()} == {"ab" * 16}
    assert [trace.sampled for trace in kept] == [False, True]


def test_nothing_of_otlp_is_loaded_where_no_collector_is_named() -> None:
    app = service()
    watchglass.observe(app)
    try:
        house = wiring.house()
        assert house is not None
        assert house.exports.otlp is None
    finally:
        watchglass.unobserve(app)


def service() -> FastAPI:
    app = FastAPI()
    worked = metrics.get_meter("shop").create_counter("shop.worked")

    @app.get("/boom")
    async def boom() -> None:
        raise HTTPException(500)

    @app.get("/work/{number}")
    async def work(number: int) -> int:
        with otel_trace.get_tracer("shop").start_as_current_span("packing") as span:
            span.set_attributes({"size": 3, "password": "hunter2"})
            logging.getLogger("shop").warning("worked")
        worked.add(2, {"kind": "book"})
        return number

    return app


def test_a_collector_that_never_answers_costs_neither_calls_nor_the_end(silent: str) -> None:
    one = Sending(queue_size=100)
    one.otlp.start()
    for number in range(300):
        one.otlp.offer_log(line(str(number)))
    answer(one.recorder)
    until(lambda: threading.active_count() > 1)
    began = time.monotonic()
    one.otlp.end(1)
    one.otlp.join()
    assert time.monotonic() - began < 3
    until(lambda: not [one for one in threading.enumerate() if one.name.startswith("watchglass-otlp")])


def test_what_finds_no_room_while_the_collector_is_away_is_dropped_oldest_first_and_counted(
    monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    monkeypatch.setattr("watchglass.exporters.otlp.sender._LONGEST_PAUSE", 0.1)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", f"http://127.0.0.1:{free_port}/v1/logs")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "50")
    one = Sending(queue_size=100)
    for number in range(250):
        one.otlp.offer_log(line(str(number)))
    one.otlp.start()
    until(lambda: ("logs", "otlp_queue_full", 150) in one.dropped)
    until(lambda: ("logs", "otlp_rejected", 100) in one.dropped)
    one.end()


def test_what_is_lost_is_a_figure_of_the_house(monkeypatch: pytest.MonkeyPatch, collector: HTTPCollector) -> None:
    app = service()
    watchglass.observe(app)
    try:
        house = wiring.house()
        assert house is not None
        assert house.exports.otlp is not None
        house.exports.otlp._dropped("logs", "otlp_rejected", 3)
        found = {state.values: state.sum for state in house.recorder.collect() if state.meter is WATCHGLASS_DROPPED}
        assert found == {("logs", "otlp_rejected"): 3}
    finally:
        watchglass.unobserve(app)


def test_the_status_says_how_the_way_of_each_signal_is(
    collector: HTTPCollector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("watchglass.exporters.otlp.sender._LONGEST_PAUSE", 0.1)
    one = Sending()
    assert {signal: way.state for signal, way in one.otlp.status.items()} == dict.fromkeys(SIGNALS, "starting")
    one.otlp.offer_log(line("waits"))
    assert one.otlp.status["logs"].queued == 1
    one.otlp.start()
    until(lambda: one.otlp.status["logs"].state == "ok")
    found = one.otlp.status
    assert (found["logs"].queued, found["logs"].dropped, found["traces"].state) == (0, 0, "starting")
    assert found["logs"].last_sent is not None
    collector.refusing = 1_000_000
    one.otlp.offer_trace(trace())
    until(lambda: one.otlp.status["traces"].dropped == 1)
    answer(one.recorder)
    until(lambda: one.otlp.status["metrics"].state == "unavailable")
    assert "The collector did not take metrics" in one.otlp.status["metrics"].message
    assert one.otlp.status["metrics"].dropped == 0
    one.end()


def test_what_had_not_arrived_at_the_end_is_told(
    collector: HTTPCollector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    collector.refusing = 1_000_000
    one = Sending()
    monkeypatch.setattr("watchglass.exporters.otlp.records.ATTEMPTS", 1_000)
    one.otlp.start()
    for number in range(3):
        one.otlp.offer_log(line(str(number)))
    one.end()
    assert "at the end 3 log lines had not arrived at the collector" in caplog.text


def test_the_end_sends_what_is_left(collector: HTTPCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_METRIC_EXPORT_INTERVAL", "OTEL_BLRP_SCHEDULE_DELAY", "OTEL_BSP_SCHEDULE_DELAY"):
        monkeypatch.setenv(name, "3600000")
    before = set(threading.enumerate())
    one = Sending()
    one.otlp.start()
    answer(one.recorder)
    one.otlp.offer_trace(trace())
    for number in range(1100):
        one.otlp.offer_log(line(str(number)))
    one.end()
    assert len(collector.lines()) == 1100
    assert len(collector.spans()) == 2
    assert [point.count for point in collector.points(DURATION)] == [1]
    assert not [new for new in set(threading.enumerate()) - before if new.name.startswith("watchglass-")]


def test_a_series_that_left_and_came_back_counts_anew_from_a_later_start(collector: HTTPCollector) -> None:
    one = Sending(database_url="postgresql://elsewhere/db")
    now = iter(range(1_000, 100_000, 1_000))
    samples = one.otlp._samples

    def counts() -> dict[str, tuple[float, int]]:
        taken = [sample for request in samples.take(next(now)) for sample in request]
        return {dict(sample.attributes)["http.route"]: (sample.state.count, sample.start_ns) for sample in taken}

    samples.skip(0)
    answer(one.recorder, "/a")
    answer(one.recorder, "/b")
    assert counts() == {"/a": (1, 0), "/b": (1, 0)}
    leave(one)
    assert counts() == {"/a": (1, 0), "/b": (1, 0)}  # once more, and then no more
    assert counts() == {}
    answer(one.recorder, "/a")
    assert counts() == {"/a": (1, 3_000)}


def test_what_left_stays_in_the_sum_of_those_that_look_the_same_outside(collector: HTTPCollector) -> None:
    one = Sending(database_url="postgresql://elsewhere/db")

    def ask(text: str) -> None:
        one.recorder.histogram(DB_CLIENT_OPERATION_DURATION, ("postgresql", "SELECT", "S", text)).record(0.1)

    def count() -> list[int]:
        return [sample.state.count for request in one.otlp._samples.take(time.time_ns()) for sample in request]

    ask("SELECT 1")
    assert count() == [1]
    leave(one)
    ask("SELECT 2")
    assert count() == [2]
    ask("SELECT 2")
    assert count() == [3]


def leave(one: Sending) -> None:
    """Have every series leave the recorder: it is noticed, put aside, and let go of."""
    for _ in range(4):
        one.recorder._swept = -1e9
        one.otlp.retire()
    assert len(one.recorder) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_sends_its_own_under_its_own_name(collector: HTTPCollector) -> None:
    one = Sending()
    one.otlp.start()
    answer(one.recorder, "/parent")
    until(lambda: bool(collector.points(DURATION)))

    def child() -> None:
        one.instance = type(one.instance)(**{**fields(one), "instance_id": "child", "pid": os.getpid()})
        one.otlp.start()
        answer(one.recorder, "/child")
        one.end()

    started = multiprocessing.get_context("fork").Process(target=child)
    started.start()
    started.join(30)
    assert started.exitcode == 0
    one.end()
    sent: dict[str, dict[str, int]] = {}
    for request in collector.metrics:
        [resource] = request.resource_metrics
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.exponential_histogram.data_points:
                    of = sent.setdefault(attributes(resource.resource)["service.instance.id"], {})
                    of[attributes(point)["http.route"]] = point.count
    assert sent == {one.instance.instance_id: {"/parent": 1}, "child": {"/child": 1}}


def fields(one: Sending) -> dict[str, object]:
    return {name: getattr(one.instance, name) for name in type(one.instance).__dataclass_fields__}
