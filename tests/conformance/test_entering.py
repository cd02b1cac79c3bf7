"""When and how a service is entered: in every mode, and whichever comes first, each request is recorded once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import fastapi
import pytest
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount

from conformance.modes import OLD_CONTRIB, BySetting, Mode
from conformance.service import CopiesScope, item_of, service
from support.asgi import Call, Observed, exchange, get, observe
from watchglass.instrumentation.asgi import leave
from watchglass.instrumentation.providers import record_client_work

THING = {("GET", "/things/{thing}", "200", None): 1}
ROUTE = "/things/{thing}"


def small(**options: Any) -> FastAPI:
    app: FastAPI = fastapi.FastAPI(**options)
    app.add_api_route(ROUTE, item_of)
    return app


def recorded_once(observed: Observed, call: Call, mode: Mode) -> None:
    assert call.status == 200
    assert observed.requests() == THING
    assert len(observed.traces) == 1
    assert mode.server_spans() in (None, 1)
    assert mode.requests() in (None, mode.counts)


@pytest.mark.parametrize("first", ["the host", "watchglass"])
async def test_whichever_instruments_first(first: str, mode: Mode) -> None:
    app = small()
    if first == "the host":
        mode.prepare(app)
        observed = observe(app)
    else:
        observed = observe(app)
        mode.prepare(app)
    recorded_once(observed, await get(app, "/things/x"), mode)


async def test_before_routes_and_middlewares_are_added(mode: Mode) -> None:
    app = fastapi.FastAPI()
    mode.prepare(app)
    observed = observe(app)
    app.add_api_route(ROUTE, item_of)
    app.add_middleware(CORSMiddleware, allow_origins=["*"])
    app.add_middleware(CopiesScope)
    recorded_once(observed, await get(app, "/things/x"), mode)


async def test_after_the_first_request(mode: Mode) -> None:
    app = small()
    if isinstance(mode, BySetting):
        if OLD_CONTRIB:
            pytest.skip("this contrib refuses an application that has begun to serve")
        await get(app, "/things/x")
        mode.prepare(app)
    else:
        mode.prepare(app)
        await get(app, "/things/x")
    already = mode.server_spans() or 0
    observed = observe(app)
    assert (await get(app, "/things/x")).status == 200
    assert observed.requests() == THING
    assert mode.server_spans() in (None, already + 1)


async def test_inside_the_lifespan(mode: Mode) -> None:
    observed: list[Observed] = []

    @contextlib.asynccontextmanager
    async def starting(app: FastAPI) -> AsyncIterator[None]:
        observed.append(observe(app))
        yield

    app = small(lifespan=starting)
    mode.prepare(app)
    starts = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    started = await exchange(app, {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, starts)
    assert [message["type"] for message in started.sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    recorded_once(observed[0], await get(app, "/things/x"), mode)


async def test_a_failed_start_is_the_services_own(mode: Mode) -> None:
    @contextlib.asynccontextmanager
    async def failing(app: FastAPI) -> AsyncIterator[None]:
        raise RuntimeError("no database")
        yield

    async def start(app: Any) -> Call:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        return await exchange(app, scope, [{"type": "lifespan.startup"}])

    alone = await start(small(lifespan=failing))
    app = small(lifespan=failing)
    mode.prepare(app)
    observed = observe(app)
    call = await start(app)
    assert [message["type"] for message in call.sent] == ["lifespan.startup.failed"]
    assert type(call.error) is type(alone.error)
    assert observed.events == []


async def test_a_failed_stop_is_the_services_own_and_what_was_measured_is_seen_to_first(mode: Mode) -> None:
    @contextlib.asynccontextmanager
    async def failing(app: FastAPI) -> AsyncIterator[None]:
        yield
        raise RuntimeError("the pool does not close")

    async def live(app: Any) -> Call:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        return await exchange(app, scope, [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    alone = await live(small(lifespan=failing))
    app = small(lifespan=failing)
    mode.prepare(app)
    observed = observe(app)
    call = await live(app)
    assert [message["type"] for message in call.sent] == ["lifespan.startup.complete", "lifespan.shutdown.failed"]
    assert (call.plain[0], type(call.error)) == (alone.plain[0], type(alone.error))
    assert observed.events == ["serving", "shutdown"]


async def test_twice(mode: Mode) -> None:
    app = small()
    mode.prepare(app)
    observed, again = observe(app), observe(app)
    recorded_once(observed, await get(app, "/things/x"), mode)
    assert again.requests() == {}


@pytest.mark.parametrize("served", [False, True])
async def test_leaving_leaves_the_service_as_it_was(served: bool, mode: Mode) -> None:
    app = small()
    mode.prepare(app)
    already = mode.server_spans() or 0
    observed = observe(app)
    if served:
        await get(app, "/things/x")
    leave(app)
    call = await get(app, "/things/x")
    assert (call.status, call.header("x-trace-id")) == (200, [])
    assert sum(observed.requests().values()) == served
    spans = mode.spans(SpanKind.SERVER)
    assert spans is None or len(spans) - already >= served


async def test_two_applications_in_one_process(mode: Mode) -> None:
    one, other = small(), small()
    mode.prepare(one)
    first, second = observe(one), observe(other)
    recorded_once(first, await get(one, "/things/x"), mode)
    assert second.requests() == {}
    await get(other, "/things/x")
    assert second.requests() == first.requests() == THING


@pytest.mark.parametrize("wraps", [CORSMiddleware, CopiesScope])
@pytest.mark.parametrize("outside", [True, False], ids=["observed with it", "observed below it"])
async def test_a_middleware_that_was_wrapped_around_by_hand(
    wraps: Callable[..., Any], outside: bool, mode: Mode
) -> None:
    app = small()
    mode.prepare(app)
    wrapped = wraps(app)
    observed = observe(wrapped if outside else app)
    recorded_once(observed, await get(observed.app if outside else wrapped, "/things/x"), mode)


async def test_middlewares_given_with_the_application(mode: Mode) -> None:
    app = small(middleware=[Middleware(CopiesScope), Middleware(CORSMiddleware, allow_origins=["*"])])
    mode.prepare(app)
    observed = observe(app)
    recorded_once(observed, await get(app, "/things/x"), mode)


async def test_below_an_application_that_is_observed_too(mode: Mode) -> None:
    app = small()
    mode.prepare(app)
    inside = observe(app)
    outer = Starlette(routes=[Mount("/below", app)])
    outside = observe(outer)
    assert (await get(outer, "/below/things/x")).status == 200
    assert outside.requests() == {("GET", "/below/things/{thing}", "200", None): 1}
    assert inside.requests() == {}
    assert mode.server_spans() in (None, 1)


async def test_a_provider_that_the_host_sets_while_it_serves_gets_the_spans(
    mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = small()
    mode.prepare(app)
    observed = observe(app)
    await get(app, "/things/x")
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    before = trace._TRACER_PROVIDER
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    await get(app, "/things/x")
    assert observed.requests() == {("GET", ROUTE, "200", None): 2}
    servers = [span for span in exporter.get_finished_spans() if span.kind is SpanKind.SERVER]
    if before is None:
        assert len(servers) == 1
    else:
        assert len(servers) <= 1, "a tracer that contrib got of the first provider stays with it"


async def test_work_in_the_background_is_a_child_of_its_request(mode: Mode, folder: Path) -> None:
    app = service(folder)

    async def work() -> None:
        await asyncio.sleep(0)
        record_client_work("later", 0.0, 1.0, {})

    @app.get("/works-later")
    async def works_later(tasks: fastapi.BackgroundTasks) -> str:
        tasks.add_task(work)
        return "later"

    mode.prepare(app)
    observed = observe(app)
    await get(app, "/works-later")
    [kept] = observed.traces
    assert [span.name for span in kept.spans[1:]] == ["later"]
    [child] = kept.spans[1:]
    assert child.trace_id == kept.root.trace_id
    [span] = [span for span in mode.spans(SpanKind.CLIENT) or () if span.name == "later"] or [None]
    assert span is None or span.context.trace_id == kept.root.trace_id
