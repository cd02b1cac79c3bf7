"""Where the host has OpenTelemetry, its export shows whole traces, with the ids of ours; where not, ids go along."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from support.asgi import Observed, get, observe
from watchglass import guard
from watchglass.instrumentation.native import Native
from watchglass.instrumentation.providers import host_tracer, record_client_work
from watchglass.instrumentation.request import current_request

PARENT = (b"traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01".encode())


class Host:
    """The host's own provider and what it exported."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False, **options)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", self.provider)

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    yield Host(monkeypatch)


def service() -> FastAPI:
    """Works for a request in every way there is: own span, client work, both nested, a task, and the thread pool."""
    app = FastAPI()
    if Native.available:
        app._telemetry.update(operation_spans=False)

    @app.get("/work")
    async def work() -> dict[str, str]:
        own, now = trace.get_tracer("service"), time.perf_counter
        start = now()
        record_client_work("SELECT", start, now(), {"db.system.name": "postgresql"})
        with own.start_as_current_span("own"):
            record_client_work("GET", now(), now(), {"db.system.name": "redis"}, "TimeoutError")
        await asyncio.create_task(in_a_task())
        return {"trace": f"{trace.get_current_span().get_span_context().trace_id:032x}"}

    async def in_a_task() -> None:
        record_client_work("in a task", time.perf_counter(), time.perf_counter(), {})

    @app.get("/threaded")
    def threaded() -> None:
        record_client_work("in a thread", time.perf_counter(), time.perf_counter(), {})

    @app.get("/boom")
    async def boom() -> None:
        raise RuntimeError("boom")

    return app


def children(observed: Observed) -> dict[str, Any]:
    [kept] = observed.traces
    return {span.name: span for span in kept.spans[1:]}


# No provider -------------------------------------------------------------------------------------------------------


async def test_without_a_provider_the_context_carries_the_ids() -> None:
    observed = observe(service())
    call = await get(observed.app, "/work", headers=[PARENT])
    [kept] = observed.traces
    assert call.body.decode() == f'{{"trace":"{"ab" * 16}"}}'
    assert f"{kept.root.trace_id:032x}" == "ab" * 16
    assert f"{kept.root.parent_id:016x}" == "cd" * 8
    assert set(children(observed)) == {"SELECT", "GET", "in a task"}
    assert {span.parent_id for span in kept.spans[1:]} == {kept.root.span_id}
    assert host_tracer() is None


async def test_a_thread_of_the_pool_knows_its_request() -> None:
    observed = observe(service())
    await get(observed.app, "/threaded")
    assert set(children(observed)) == {"in a thread"}


async def test_trace_state_and_the_decision_not_to_sample_go_on() -> None:
    app, seen = FastAPI(), []

    @app.get("/")
    async def answer() -> None:
        seen.append(trace.get_current_span().get_span_context())

    observed = observe(app)
    headers = [(b"traceparent", PARENT[1][:-2] + b"00"), (b"tracestate", b"vendor=1")]
    call = await get(app, "/", headers=headers)
    [context] = seen
    assert (context.trace_state.to_header(), context.trace_flags.sampled, context.is_remote) == (
        "vendor=1",
        False,
        False,
    )
    assert call.header("traceparent")[0].endswith("-00")
    assert len(observed.traces) == 1


async def test_the_context_is_clean_after_a_request() -> None:
    observed = observe(service())
    await get(observed.app, "/work")
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert current_request() is None


def test_client_work_outside_of_any_request_is_nobodys_child() -> None:
    record_client_work("SELECT", 1.0, 2.0, {})
    assert current_request() is None


# The host's provider -----------------------------------------------------------------------------------------------


async def test_the_hosts_export_shows_the_whole_trace_with_our_ids(host: Host) -> None:
    observed = observe(service())
    await get(observed.app, "/work", headers=[PARENT])
    [kept] = observed.traces
    spans = host.spans
    server = spans["GET /work"]
    assert (server.context.trace_id, server.context.span_id) == (kept.root.trace_id, kept.root.span_id)
    assert f"{server.parent.span_id:016x}" == "cd" * 8
    assert server.kind is SpanKind.SERVER
    assert server.attributes["http.route"] == "/work"
    assert server.attributes["http.response.status_code"] == 200
    assert (server.start_time, server.end_time) == (kept.root.start_ns, kept.root.end_ns)
    for name, child in children(observed).items():
        assert (spans[name].context.span_id, spans[name].kind) == (child.span_id, SpanKind.CLIENT)
    assert children(observed)["GET"].parent_id == spans["own"].context.span_id == spans["GET"].parent.span_id
    assert spans["own"].parent.span_id == server.context.span_id
    assert spans["GET"].status.status_code is StatusCode.ERROR
    assert spans["GET"].attributes["error.type"] == "TimeoutError"
    assert {span.context.trace_id for span in spans.values()} == {kept.root.trace_id}


async def test_a_failed_request_is_an_error_there_too(host: Host) -> None:
    observed = observe(service())
    await get(observed.app, "/boom")
    server = host.spans["GET /boom"]
    assert server.status.status_code is StatusCode.ERROR
    assert server.attributes["error.type"] == "RuntimeError"


async def test_client_work_outside_of_any_request_is_a_span_of_its_own(host: Host) -> None:
    start = time.perf_counter()
    record_client_work("SELECT", start, start + 0.5, {})
    span = host.spans["SELECT"]
    assert span.parent is None
    assert span.end_time - span.start_time == pytest.approx(5e8, abs=1e6)
    assert abs(span.start_time - time.time_ns()) < 1e9


async def test_what_the_hosts_sampler_drops_is_still_recorded_here(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, sampler=ALWAYS_OFF)
    observed = observe(service())
    call = await get(observed.app, "/work")
    assert host.spans == {}
    [kept] = observed.traces
    assert call.header("traceparent") == [f"00-{kept.root.trace_id:032x}-{kept.root.span_id:016x}-00"]
    assert set(children(observed)) == {"SELECT", "GET", "in a task"}
    assert sum(observed.requests().values()) == 1


def test_a_provider_that_does_nothing_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", trace.NoOpTracerProvider())
    assert host_tracer() is None


async def test_a_server_span_around_the_application_is_adopted(host: Host) -> None:
    """Contrib's middleware, or anything like it, wrapped around the observed application by hand."""
    observed = observe(service())

    async def around(scope: Any, receive: Any, send: Any) -> None:
        with host.provider.get_tracer("around").start_as_current_span("around", kind=SpanKind.SERVER):
            await observed.app(scope, receive, send)

    call = await get(around, "/work")
    servers = [span for span in host.spans.values() if span.kind is SpanKind.SERVER]
    [kept] = observed.traces
    assert [(span.name, span.context.span_id) for span in servers] == [("around", kept.root.span_id)]
    assert call.header("x-trace-id") == [f"{servers[0].context.trace_id:032x}"]
    assert host.spans["SELECT"].parent.span_id == servers[0].context.span_id


# FastAPI's own telemetry -------------------------------------------------------------------------------------------

native = pytest.mark.skipif(not Native.available, reason="FastAPI has no telemetry of its own before 0.142")


@native
async def test_the_spans_of_fastapis_operations_stay(host: Host) -> None:
    app = service()
    app._telemetry.update(operation_spans=True)
    await get(observe(app).app, "/work")
    operations = [name for name in host.spans if name.startswith("fastapi.")]
    assert "fastapi.endpoint" in operations
    assert host.spans["GET /work"].instrumentation_scope.name == "fastapi"
    assert host.spans["fastapi.endpoint"].parent.span_id == host.spans["GET /work"].context.span_id


@native
async def test_a_provider_given_to_fastapi_alone_is_used() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = FastAPI(telemetry={"tracer_provider": provider})
    app.add_api_route("/hello", lambda: "hello")
    observed = observe(app)
    await get(app, "/hello")
    [server] = [span for span in exporter.get_finished_spans() if span.kind is SpanKind.SERVER]
    assert server.context.span_id == observed.traces[0].root.span_id


@native
async def test_what_the_host_excludes_from_its_telemetry_is_ours_alone(host: Host) -> None:
    app = FastAPI(telemetry={"exclude": lambda scope: True})
    app.add_api_route("/hello", lambda: "hello")
    observed = observe(app)
    await get(app, "/hello")
    assert host.spans == {}
    assert sum(observed.requests().values()) == 1


@native
async def test_fastapis_data_of_the_request_stays_readable(host: Host) -> None:
    from fastapi.telemetry import get_telemetry_data

    app, seen = service(), []

    @app.get("/data/{item}")
    async def data(item: int) -> None:
        seen.append(get_telemetry_data())
        assert seen[0] is not None
        seen.append(dict(seen[0].values or {}))

    await get(observe(app).app, "/data/7")
    assert seen[1] == {"item": 7}


@native
async def test_where_fastapis_telemetry_is_not_as_expected_it_is_left_alone(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(self: Any, *_: Any) -> Any:
        raise AttributeError("another version of FastAPI")

    app = service()
    observed = observe(app)
    monkeypatch.setattr(guard, "strict", False)
    guard.errors.clear()
    monkeypatch.setattr(Native, "_equip", other)
    for _ in range(2):
        assert (await get(app, "/work")).status == 200
    assert guard.errors == {"FastAPI's own telemetry": 1}
    assert observed.requests() == {("GET", "/work", "200", None): 2}


# Contrib -----------------------------------------------------------------------------------------------------------


async def test_contribs_hooks_and_attributes_reach_the_one_server_span(host: Host) -> None:
    contrib = pytest.importorskip("opentelemetry.instrumentation.fastapi")
    from opentelemetry.instrumentation.utils import is_http_instrumentation_enabled

    app, outbound = service(), []
    app.add_api_route("/outbound", lambda: outbound.append(is_http_instrumentation_enabled()))
    contrib.FastAPIInstrumentor.instrument_app(
        app, server_request_hook=lambda span, scope: span.set_attribute("tenant", "acme")
    )
    observed = observe(app)
    for path in ("/work", "/outbound", "/boom"):
        await get(app, path)
    servers = {span.name: span for span in host.spans.values() if span.kind is SpanKind.SERVER}
    assert set(servers) == {"GET /work", "GET /outbound", "GET /boom"}
    assert servers["GET /work"].attributes["tenant"] == "acme"
    assert servers["GET /work"].attributes["http.target"] == "/work"
    assert servers["GET /work"].instrumentation_scope.name == "opentelemetry.instrumentation.fastapi"
    assert [event.name for event in servers["GET /boom"].events] == ["exception"]
    assert outbound == [True], "spans of outbound calls go on"
    assert {trace.root.span_id for trace in observed.traces} == {span.context.span_id for span in servers.values()}


async def test_contrib_has_its_own_spans_again_once_we_left(host: Host) -> None:
    contrib = pytest.importorskip("opentelemetry.instrumentation.fastapi")
    from watchglass.instrumentation.asgi import leave

    app = service()
    contrib.FastAPIInstrumentor.instrument_app(app)
    observe(app)
    await get(app, "/work")
    leave(app)
    host.exporter.clear()
    call = await get(app, "/work")
    assert call.header("x-trace-id") == []
    assert [span.kind for span in host.spans.values()].count(SpanKind.SERVER) == 1
