"""`opentelemetry-instrument --traces_exporter watchglass` keeps the telemetry of a service that knows nothing of us."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path

import httpx
import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from support.collector import HTTPCollector
from support.pipelines import fetch, select, until
from watchglass.demo.servers.process import free_port
from watchglass.entry_points import Standalone
from watchglass.instrumentation.adopted import grid
from watchglass.meters import GC_COLLECTIONS, HTTP_SERVER_REQUEST_DURATION, WATCHGLASS_DROPPED, Meter
from watchglass.settings import Settings

TESTS = Path(__file__).parent
SOLD = Meter("shop.sold", "counter", "{item}", "")
WEIGHT = Meter("shop.weight", "histogram", "kg", "")


@contextmanager
def instrumented(dsn: str, folder: Path, application: str, *exporters: str, collector: str = "") -> Iterator[str]:
    """`uvicorn application` under opentelemetry-instrument, with nothing set but the database, and the collector if
    there is one; its base URL."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("opentelemetry-instrument")), *exporters]
    log = folder / "service.log"
    variables = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
        "PYTHONPATH": str(TESTS),
        "DATABASE_URL": dsn,
        "WATCHGLASS_STATE_DIR": str(folder / "state"),
        "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_BLRP_SCHEDULE_DELAY": "100",
        "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED": "true",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
    }
    if collector:
        variables |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
    with log.open("wb") as out:
        arguments = ["uvicorn", application, "--port", str(port), "--log-level", "warning"]
        process = subprocess.Popen([*command, *arguments], stdout=out, stderr=out, env=variables)
    try:
        until(lambda: serves(process, f"http://127.0.0.1:{port}", log))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert "Failed to auto initialize" not in log.read_text()


def serves(process: subprocess.Popen[bytes], url: str, log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return httpx.get(f"{url}/openapi.json").status_code == 200
    except httpx.TransportError:
        return False


ALL = [f"--{signal}_exporter=watchglass" for signal in ("traces", "metrics", "logs")]
BOTH = [f"{option},otlp_proto_http" for option in ALL]
OTLP = [f"--{signal}_exporter=otlp" for signal in ("traces", "metrics", "logs")]


def test_the_exporters_go_by_the_name_of_watchglass() -> None:
    for group in ("traces", "metrics", "logs"):
        [found] = entry_points(group=f"opentelemetry_{group}_exporter", name="watchglass")
        assert found.load().__module__ == "watchglass.entry_points"


def test_a_plain_service_under_opentelemetry_instrument_is_in_the_store(store_url: str, tmp_path: Path) -> None:
    with instrumented(store_url, tmp_path, "support.plain_service:app", *ALL) as url:
        for number in range(5):
            assert httpx.get(f"{url}/items/{number}", headers={"baggage": "user=secret-of-baggage"}).json() == number
        assert httpx.get(f"{url}/boom").status_code == 500
    [sold] = select(store_url, SOLD)
    assert sold.sum == 10
    [weight] = select(store_url, WEIGHT)
    assert (weight.count, weight.sum) == (5, 7.5)
    answered = {group.key: group.count for group in select(store_url, HTTP_SERVER_REQUEST_DURATION, by=("http.route",))}
    assert answered[("/items/{number}",)] == 5
    traces = fetch(store_url, "SELECT name, reason, error_type, spans::text FROM watchglass.traces ORDER BY time")
    kept = {(row["name"], row["reason"]) for row in traces}
    assert {("GET /items/{number}", "first"), ("GET /boom", "error")} <= kept
    item = next(json.loads(row["spans"]) for row in traces if row["name"] == "GET /items/{number}")
    packing = next(span for span in item if span["name"] == "packing")
    assert packing["attributes"]["size"] == 3
    lines = fetch(store_url, "SELECT message, trace_id FROM watchglass.logs WHERE message LIKE 'packed%'")
    assert sorted(row["message"] for row in lines) == [f"packed {number}" for number in range(5)]
    assert all(row["trace_id"] is not None for row in lines)
    everything = "".join(row["spans"] for row in traces)
    assert "hunter2" not in everything
    assert "secret-of-baggage" not in everything
    assert "watchglass:" not in everything
    assert "INSERT" not in everything


def test_finer_buckets_are_exact_on_our_grid_and_coarser_ones_count_at_their_upper_bound() -> None:
    assert grid.of_exponential(7, 2, 8, [1, 1, 1, 1, 1]) == {-32768: 2, 2: 4, 3: 1}
    assert grid.of_exponential(5, 0, -3, [1, 0, 2]) == {-3: 1, -1: 2}
    assert grid.of_exponential(3, 0, 0, [1, 1]) == {3: 1, 7: 1}
    assert grid.of_explicit([1.0, 2.0], [3, 0, 2]) == {-1: 3, 32: 2}


def test_spans_that_are_let_go_of_without_their_root_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchglass.instrumentation.adopted.spans.MOST_WAITING", 2)
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("shop")
    for trace_of in range(2):
        with tracer.start_as_current_span("never seen to end", context=Context()):
            for child in range(2):
                tracer.start_span(f"{trace_of} {child}").end()
    alone = Standalone(Settings(database_url="postgresql://elsewhere/db"))
    alone.offer_spans([span for span in exporter.get_finished_spans() if span.parent is not None])
    [dropped] = [state for state in alone.pipeline.collect() if state.meter is WATCHGLASS_DROPPED and state.sum]
    assert (dropped.values, dropped.sum) == (("traces", "no_root"), 2)


def test_an_observed_service_under_opentelemetry_instrument_is_in_the_store_once(
    store_url: str, tmp_path: Path
) -> None:
    with instrumented(store_url, tmp_path, "support.observed_service:app", *ALL) as url:
        for number in range(5):
            assert httpx.get(f"{url}/items/{number}").json() == number
    [sold] = select(store_url, SOLD)
    assert sold.sum == 10
    answered = {group.key: group.count for group in select(store_url, HTTP_SERVER_REQUEST_DURATION, by=("http.route",))}
    assert answered[("/items/{number}",)] == 5
    for spans in traces_of_items(store_url):
        assert {span["name"]: span["kind"] for span in spans} == {
            "GET /items/{number}": "server",
            "packing": "internal",
        }
    [lines] = fetch(store_url, "SELECT count(*) AS number FROM watchglass.logs WHERE message LIKE 'packed%'")
    assert lines["number"] == 5
    [instances] = fetch(store_url, "SELECT count(*) AS number FROM watchglass.instances")
    assert instances["number"] == 1


def test_an_observed_service_that_sends_by_otlp_itself_is_at_the_collector_once(store_url: str, tmp_path: Path) -> None:
    with (
        HTTPCollector() as collector,
        instrumented(store_url, tmp_path, "support.observed_service:app", *OTLP, collector=collector.endpoint) as url,
    ):
        for number in range(3):
            assert httpx.get(f"{url}/items/{number}").json() == number
        until(lambda: len(packed(collector)) >= 3 and bool(collector.found(GC_COLLECTIONS.name)))
        until(lambda: [span.name for span in collector.spans()].count("packing") >= 3)
    sent = collector.spans()
    assert len({span.span_id for span in sent}) == len(sent)
    assert [span.name for span in sent if span.kind == 2 and "items" in span.name] == ["GET /items/{number}"] * 3
    assert sorted(packed(collector)) == ["packed 0", "packed 1", "packed 2"]
    ways = {
        scope.scope.name
        for request in collector.metrics
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == SOLD.name
    }
    assert ways == {"shop"}
    for spans in traces_of_items(store_url):
        assert {span["name"] for span in spans} == {"GET /items/{number}", "packing"}


def traces_of_items(dsn: str) -> list[list[dict[str, object]]]:
    """The spans of each trace that is kept: one for each band of latency."""
    found = fetch(dsn, "SELECT trace_id, spans::text FROM watchglass.traces WHERE name = 'GET /items/{number}'")
    assert found
    assert len({row["trace_id"] for row in found}) == len(found)
    return [json.loads(row["spans"]) for row in found]


def packed(collector: HTTPCollector) -> list[str]:
    return [text for _, line in collector.lines() if (text := line.body.string_value).startswith("packed")]


def test_a_plain_service_may_have_exporters_beside_watchglass(store_url: str, tmp_path: Path) -> None:
    with (
        HTTPCollector() as collector,
        instrumented(store_url, tmp_path, "support.plain_service:app", *BOTH, collector=collector.endpoint) as url,
    ):
        assert httpx.get(f"{url}/items/1").json() == 1
        until(lambda: bool(packed(collector) and collector.found(SOLD.name) and collector.spans()))
    [sold] = select(store_url, SOLD)
    assert sold.sum == 2
    [trace] = fetch(store_url, "SELECT spans::text FROM watchglass.traces WHERE name = 'GET /items/{number}'")
    assert "packing" in trace["spans"]
    [line] = fetch(store_url, "SELECT message FROM watchglass.logs WHERE message LIKE 'packed%'")
    assert line["message"] == "packed 1"
