"""The application's own spans are in the kept trace of their request, with a provider of the host's and without."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import ProxyTracer, SpanKind, StatusCode

from support.asgi import Observed, get, observe
from watchglass.instrumentation.adopted.tracers import HostSpans
from watchglass.instrumentation.native import Native
from watchglass.instrumentation.providers import record_client_work
from watchglass.records import SpanRecord
from watchglass.redaction import REDACTED

_UNTOUCHED = vars(ProxyTracer)["_tracer"]


def service(tracer: trace.Tracer) -> FastAPI:
    app = FastAPI()
    if Native.available:
        app._telemetry.update(operation_spans=False)

    @app.get("/")
    async def work() -> None:
        with tracer.start_as_current_span("outer", attributes={"size": 3, "password": "hunter2"}):
            with tracer.start_as_current_span("inner", kind=SpanKind.PRODUCER) as inner:
                inner.set_status(StatusCode.ERROR)
                inner.set_attribute("error.type", "Full")
            record_client_work("SELECT", time.perf_counter(), time.perf_counter(), {})
        with trace.get_tracer("opentelemetry.instrumentation.asgi").start_as_current_span("GET / http send"):
            pass

    return app


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> trace.Tracer:
    """A tracer that the application asked for before there was a provider; there is none."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    return trace.get_tracer("shop")


@pytest.fixture
def observed(proxy: trace.Tracer) -> Iterator[Observed]:
    found = observe(service(proxy))
    spans = HostSpans(found.recorder)
    yield found
    spans.uninstrument()


def expect_all(observed: Observed) -> dict[str, SpanRecord]:
    [kept] = observed.traces
    spans = {span.name: span for span in kept.spans[1:]}
    assert sorted(span.name for span in kept.spans[1:]) == ["SELECT", "inner", "outer"]
    outer, inner = spans["outer"], spans["inner"]
    assert (outer.parent_id, outer.kind, outer.error) == (kept.root.span_id, "internal", None)
    assert outer.attributes == {"size": 3, "password": REDACTED}
    assert (inner.parent_id, inner.kind) == (outer.span_id, "producer")
    assert inner.error is not None
    assert (spans["SELECT"].parent_id, spans["SELECT"].kind) == (outer.span_id, "client")
    assert kept.root.start_ns <= outer.start_ns <= inner.start_ns <= inner.end_ns <= outer.end_ns <= kept.root.end_ns
    return spans


async def test_without_a_provider_spans_are_children_of_their_request(observed: Observed) -> None:
    await get(observed.app, "/")
    expect_all(observed)


async def test_with_a_provider_the_host_s_own_spans_are_children_too(
    observed: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    observed.recorder.collect()
    await get(observed.app, "/")
    spans = expect_all(observed)
    exported = {span.name: span for span in exporter.get_finished_spans()}
    assert {"outer", "inner", "SELECT"} < set(exported)
    assert spans["inner"].span_id == exported["inner"].context.span_id


async def test_outside_of_a_request_nothing_is_made(observed: Observed, proxy: trace.Tracer) -> None:
    with proxy.start_as_current_span("alone") as span:
        assert not span.is_recording()


async def test_afterwards_tracers_are_as_they_were(proxy: trace.Tracer) -> None:
    found = observe(service(proxy))
    spans = HostSpans(found.recorder)
    assert vars(ProxyTracer)["_tracer"] is not _UNTOUCHED
    spans.uninstrument()
    assert vars(ProxyTracer)["_tracer"] is _UNTOUCHED
    await get(found.app, "/")
    assert [span.name for span in found.traces[0].spans[1:]] == ["SELECT"]
