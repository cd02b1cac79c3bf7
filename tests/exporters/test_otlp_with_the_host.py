"""Where the host has OpenTelemetry of its own, a collector gets everything once: from the host what that sends."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator

import httpx
import pytest
import structlog
from fastapi import FastAPI
from opentelemetry import _logs, metrics, trace
from opentelemetry._logs import _internal as logs_api
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import _internal as metrics_api
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

import watchglass
from support.collector import HTTPCollector
from support.otlp import point_at
from support.pipelines import answer, until
from watchglass import wiring
from watchglass.instrumentation.adopted.sending import HostHandlers, host_sends_traces, sends_otlp
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION
from watchglass.records import LogRecord

DURATION = HTTP_SERVER_REQUEST_DURATION.name
SHOP = "shop.of.this.test"

needs_readers = pytest.mark.skipif(
    not hasattr(MeterProvider, "add_metric_reader"), reason="a provider of this SDK takes no reader afterwards"
)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPCollector]:
    with HTTPCollector() as running:
        point_at(running, monkeypatch)
        yield running


@pytest.fixture
def call(serve: Callable[..., str]) -> Iterator[Callable[[], None]]:
    """Asks the observed service once; afterwards it is not observed any more."""
    app = service()
    url = serve(watchglass.observe(app))
    yield lambda: httpx.get(f"{url}/work").raise_for_status() and None
    watchglass.unobserve(app)


def service() -> FastAPI:
    app = FastAPI()
    printed = structlog.wrap_logger(structlog.PrintLogger(), processors=[structlog.processors.JSONRenderer()])

    @app.get("/work")
    async def work() -> None:
        with trace.get_tracer("shop").start_as_current_span("packing"):
            logging.getLogger(SHOP).warning("worked")
            logging.getLogger(SHOP).info("worked quietly")
            printed.warning("printed", logger=SHOP)

    return app


@pytest.fixture
def tracer_provider(monkeypatch: pytest.MonkeyPatch) -> TracerProvider:
    """The host's, which is there before the service is."""
    provider = TracerProvider(shutdown_on_exit=False)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return provider


def host_handler(provider: LoggerProvider | None = None, level: int = logging.NOTSET) -> logging.Handler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer SDKs want that of contrib
        return LoggingHandler(level, provider)


@pytest.fixture
def listening() -> Iterator[Callable[[logging.Handler], None]]:
    """Adds a handler to the logger of the service, which hears everything; it is as before afterwards."""
    logger = logging.getLogger(SHOP)
    added: list[logging.Handler] = []
    logger.setLevel(logging.DEBUG)

    def add(handler: logging.Handler) -> None:
        logger.addHandler(handler)
        added.append(handler)

    yield add
    logger.setLevel(logging.NOTSET)
    for handler in added:
        logger.removeHandler(handler)


def test_spans_that_the_host_sends_are_not_sent_a_second_time(
    collector: HTTPCollector, tracer_provider: TracerProvider, call: Callable[[], None]
) -> None:
    tracer_provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(collector.endpoint + "/v1/traces")))
    call()
    until(lambda: {"GET /work", "packing"} <= {span.name for span in collector.spans()})
    watched = wiring.house()
    assert watched is not None
    assert watched.exports.otlp is not None
    watched.exports.otlp.end(5)
    watched.exports.otlp.join()
    names = [span.name for span in collector.spans()]
    assert (names.count("GET /work"), names.count("packing")) == (1, 1)


def test_spans_of_a_host_that_sends_none_are_sent_for_it(
    collector: HTTPCollector, tracer_provider: TracerProvider, call: Callable[[], None]
) -> None:
    call()
    until(lambda: {"GET /work", "packing"} <= {span.name for span in collector.spans()})
    [root] = [span for span in collector.spans() if span.name == "GET /work"]
    [packing] = [span for span in collector.spans() if span.name == "packing"]
    assert packing.trace_id == root.trace_id


def test_lines_that_a_handler_of_the_host_sends_are_not_sent_a_second_time(
    collector: HTTPCollector, call: Callable[[], None], listening: Callable[[logging.Handler], None]
) -> None:
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(collector.endpoint + "/v1/logs")))
    listening(host_handler(provider, logging.WARNING))
    call()
    until(lambda: len(bodies(collector)) >= 3)
    watched = wiring.house()
    assert watched is not None
    assert watched.exports.otlp is not None
    watched.exports.otlp.end(5)
    watched.exports.otlp.join()
    assert sorted(bodies(collector)) == ["printed", "worked", "worked quietly"]


def bodies(collector: HTTPCollector) -> list[str]:
    """What the service itself logged."""
    return [record.body.string_value for name, record in collector.lines() if name == SHOP]


@needs_readers
def test_what_the_host_measures_and_sends_is_not_sent_a_second_time(
    collector: HTTPCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_collector = PeriodicExportingMetricReader(OTLPMetricExporter(collector.endpoint + "/v1/metrics"), 3_600_000)
    sent, kept = measured(monkeypatch, to_collector)
    assert not {DURATION, "shop.sold"} & sent
    assert sent
    assert {DURATION, "shop.sold"} <= kept


@needs_readers
def test_what_the_host_measures_and_does_not_send_is_sent_for_it(
    collector: HTTPCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, kept = measured(monkeypatch, InMemoryMetricReader())
    assert {DURATION, "shop.sold"} <= sent
    assert {DURATION, "shop.sold"} <= kept


def measured(monkeypatch: pytest.MonkeyPatch, reader: object) -> tuple[set[str], set[str]]:
    """Names that go by OTLP and names that are kept, where the host has a provider with this reader."""
    provider = MeterProvider([reader], shutdown_on_exit=False)  # type: ignore[list-item]
    monkeypatch.setattr(metrics_api, "_METER_PROVIDER", provider)
    app = service()
    watchglass.observe(app)
    try:
        house = wiring.house()
        assert house is not None
        assert house.exports.otlp is not None
        house.host_meters.read()
        answer(house.recorder)
        metrics.get_meter("anyone").create_histogram(DURATION, "s").record(0.1)
        metrics.get_meter("shop").create_counter("shop.sold").add(1)
        house.host_meters.read()
        sent = {state.meter.name for state in house.exports.otlp._collect()}
        return sent, {state.meter.name for state in house.pipeline.collect()}
    finally:
        watchglass.unobserve(app)
        provider.shutdown()


def test_without_a_provider_the_host_sends_nothing() -> None:
    assert not host_sends_traces()


def test_an_exporter_of_otlp_is_found_behind_whatever_wraps_it(tracer_provider: TracerProvider) -> None:
    class Wrapper:
        def __init__(self, exporter: object) -> None:
            self.exporter = exporter
            self.wrapper_of_exporter = self

        def shutdown(self) -> None:
            pass

    assert not host_sends_traces()
    processor = BatchSpanProcessor(Wrapper(OTLPSpanExporter()))  # type: ignore[arg-type]
    tracer_provider.add_span_processor(processor)
    assert host_sends_traces()
    processor.shutdown()


def test_a_handler_that_asks_for_the_provider_later_is_followed_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs_api, "_LOGGER_PROVIDER", None)
    handler = host_handler()
    assert not sends_otlp(handler)
    provider = LoggerProvider(shutdown_on_exit=False)
    monkeypatch.setattr(_logs._internal, "_LOGGER_PROVIDER", provider)
    assert not sends_otlp(handler)
    processor = BatchLogRecordProcessor(OTLPLogExporter())
    provider.add_log_record_processor(processor)
    assert sends_otlp(handler)
    processor.shutdown()


def test_a_line_is_the_host_s_only_where_its_logger_leads_to_the_handler(
    listening: Callable[[logging.Handler], None],
) -> None:
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter()))
    listening(host_handler(provider, logging.WARNING))
    alone = logging.getLogger(f"{SHOP}.alone")
    alone.propagate = False
    logging.getLogger(f"{SHOP}.cart")

    def sent(name: str, severity: int = 13) -> bool:
        return HostHandlers().send(LogRecord(0, severity, "", name, "", {}))

    try:
        assert [sent(SHOP), sent(f"{SHOP}.cart"), sent(f"{SHOP}.alone"), sent("till"), sent("root")] == [
            True,
            True,
            False,
            False,
            False,
        ]
        assert not sent(SHOP, 9)
    finally:
        alone.propagate = True
