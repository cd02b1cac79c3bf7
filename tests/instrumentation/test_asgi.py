"""An application is entered from outside, at any time, once, reversibly, and for what it is."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from support.asgi import Message, exchange, get, observe
from watchglass import guard
from watchglass.errors import SettingsError
from watchglass.instrumentation import asgi
from watchglass.instrumentation.asgi import enter, layer_of, leave
from watchglass.instrumentation.exchange import Exchange
from watchglass.instrumentation.request import current_request
from watchglass.instrumentation.roots import Roots
from watchglass.instrumentation.tail import Tail

HELLO = {("GET", "/hello/{name}", "200", None): 1}


def service(**options: Any) -> FastAPI:
    app = FastAPI(**options)

    @app.get("/hello/{name}")
    async def hello(name: str) -> str:
        return name

    return app


async def lifespan(app: Any) -> list[str]:
    """Start and stop an application as a server does; what it answered."""
    incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    call = await exchange(app, {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, incoming)
    return [message["type"] for message in call.sent]


async def own(scope: Any, receive: Any, send: Any) -> None:
    """Stands where the page and the API stand in a service."""
    text = f"own {scope['path']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text})


OWN = {"own_app": own, "own_exact": ["/health", "/metrics"], "own_prefixes": ("/ui/monitoring/",)}


# When and how often ------------------------------------------------------------------------------------------------


async def test_an_application_stays_what_it_is() -> None:
    app = service()
    observed = observe(app)
    assert observed.app is app
    assert isinstance(app, FastAPI)
    assert (type(app).__name__, type(app).__module__) == (FastAPI.__name__, FastAPI.__module__)
    assert "hello" in app.openapi()["paths"]["/hello/{name}"]["get"]["operationId"]


async def test_entering_twice_is_entering_once() -> None:
    app = service()
    first, second = observe(app), observe(app)
    await get(app, "/hello/you")
    assert (first.requests(), second.requests()) == (HELLO, {})


async def test_entering_before_routes_and_middlewares_are_added() -> None:
    app = FastAPI()
    observed = observe(app)
    app.add_api_route("/hello/{name}", lambda name: name)
    app.add_middleware(CORSMiddleware, allow_origins=["*"])
    await get(app, "/hello/you")
    assert observed.requests() == HELLO


async def test_entering_after_the_first_request() -> None:
    app = service()
    await get(app, "/hello/you")
    observed = observe(app)
    await get(app, "/hello/you")
    assert observed.requests() == HELLO


async def test_entering_inside_the_lifespan() -> None:
    observed = []

    @contextlib.asynccontextmanager
    async def starting(app: FastAPI) -> AsyncIterator[None]:
        observed.append(observe(app))
        yield

    app = service(lifespan=starting)
    assert await lifespan(app) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert observed[0].events == []
    await get(app, "/hello/you")
    assert observed[0].requests() == HELLO
    assert observed[0].events == ["serving"]


async def test_leaving_leaves_nothing() -> None:
    app = service()
    observed = observe(app)
    assert leave(app) is app
    assert type(app) is FastAPI
    call = await get(app, "/hello/you")
    assert call.header("x-trace-id") == []
    assert observed.requests() == {}
    assert leave(app) is app


async def test_leaving_and_entering_again() -> None:
    app = service()
    leave(observe(app).app)
    again = observe(app)
    await get(app, "/hello/you")
    assert again.requests() == HELLO


async def test_leaving_under_a_class_that_somebody_else_put_on_top() -> None:
    app = service()
    observed = observe(app)
    app.__class__ = type("Other", (type(app),), {})
    leave(app)
    assert (await get(app, "/hello/you")).header("x-trace-id") == []
    assert observed.requests() == {}
    assert layer_of(app) is None


# What kind of application ------------------------------------------------------------------------------------------


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.path_params["name"])


async def test_a_starlette_application() -> None:
    app = Starlette(routes=[Route("/hello/{name}", hello)])
    observed = observe(app)
    await get(app, "/hello/you")
    assert observed.requests() == HELLO


async def test_a_function_is_wrapped() -> None:
    inner = service()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await inner(scope, receive, send)

    observed = observe(app)
    assert observed.app is not app
    assert enter(observed.app, None) is observed.app  # type: ignore[arg-type]
    await get(observed.app, "/hello/you")
    assert sum(observed.requests().values()) == 1
    assert leave(observed.app) is app


async def test_an_application_wrapped_by_hand_tells_its_routes() -> None:
    observed = observe(CORSMiddleware(service(), allow_origins=["*"]))
    await get(observed.app, "/hello/you")
    assert observed.requests() == HELLO


async def test_an_observed_application_within_another_is_recorded_once() -> None:
    inner = service()
    inside = observe(inner)
    outer = Starlette(routes=[Mount("/inner", inner)])
    outside = observe(outer)
    call = await get(outer, "/inner/hello/you")
    assert len(call.header("x-trace-id")) == 1
    assert outside.requests() == {("GET", "/inner/hello/{name}", "200", None): 1}
    assert inside.requests() == {}
    await get(inner, "/hello/you")
    assert inside.requests() == HELLO


async def test_two_applications_in_one_process() -> None:
    first, second = observe(service()), observe(service())
    await get(first.app, "/hello/you")
    assert (first.requests(), second.requests()) == (HELLO, {})


async def test_a_request_that_an_application_makes_to_itself_joins_the_trace() -> None:
    app = service()

    @app.get("/calls")
    async def calls() -> str:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
            return (await client.get("/hello/you")).headers["x-trace-id"]

    observed = observe(app)
    call = await get(app, "/calls")
    assert call.body.decode().strip('"') == call.header("x-trace-id")[0]
    inner, outer = observed.traces
    assert inner.root.parent_id == outer.root.span_id
    assert sum(observed.requests().values()) == 2


# Serving -----------------------------------------------------------------------------------------------------------


async def test_serving_begins_with_a_complete_start_and_ends_before_the_server_hears() -> None:
    observed = observe(service())
    order: list[str] = observed.events
    answered = await exchange(
        observed.app,
        {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}},
        [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}],
        after=lambda message: _note(order, message),
    )
    assert answered.error is None
    assert order == ["lifespan.startup.complete", "serving", "shutdown", "lifespan.shutdown.complete"]


async def _note(order: list[str], message: Message) -> None:
    order.append(message["type"])


async def test_serving_begins_with_the_first_request_where_there_is_no_lifespan() -> None:
    observed = observe(service())
    assert observed.events == []
    await get(observed.app, "/hello/you")
    await get(observed.app, "/hello/you")
    assert observed.events == ["serving"]


async def test_a_failed_start_does_not_serve() -> None:
    @contextlib.asynccontextmanager
    async def failing(app: FastAPI) -> AsyncIterator[None]:
        raise RuntimeError("no database")
        yield

    observed = observe(service(lifespan=failing))
    assert await lifespan(observed.app) == ["lifespan.startup.failed"]
    assert observed.events == []


async def test_a_process_may_serve_again() -> None:
    observed = observe(service())
    await lifespan(observed.app)
    await lifespan(observed.app)
    assert observed.events == ["serving", "shutdown"] * 2


def test_importing_and_entering_starts_nothing() -> None:
    code = """
import threading
from fastapi import FastAPI
from opentelemetry import trace, metrics
from watchglass import guard
from support.asgi import observe
observe(FastAPI())
assert threading.active_count() == 1, threading.enumerate()
assert type(trace.get_tracer_provider()).__name__ == "ProxyTracerProvider"
assert type(metrics.get_meter_provider()).__name__ == "_ProxyMeterProvider"
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=_environment())


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": ":".join(sys.path)}


def test_a_provider_that_the_host_sets_later_wins() -> None:
    code = """
import asyncio, warnings
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.asgi import get, observe
app = FastAPI()
app.add_api_route("/hello", lambda: "hello")
observed = observe(app)
asyncio.run(get(app, "/hello"))
exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
warnings.simplefilter("error")
trace.set_tracer_provider(provider)
assert trace.get_tracer_provider() is provider
call = asyncio.run(get(app, "/hello"))
[span] = [span for span in exporter.get_finished_spans() if span.kind is trace.SpanKind.SERVER]
assert span.name == "GET /hello"
assert call.header("x-trace-id") == [f"{span.context.trace_id:032x}"]
assert [trace.root.trace_id for trace in observed.traces][1:] == [span.context.trace_id]
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=_environment())


def test_forked_workers_serve_each_for_itself_and_share_no_ids() -> None:
    code = """
import asyncio, os
from fastapi import FastAPI
from support.asgi import get, observe
app = FastAPI()
observed = observe(app)
asyncio.run(get(app, "/"))
ids, pids = [], []
for _ in range(3):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        call = asyncio.run(get(app, "/"))
        os.write(write, (call.header("x-trace-id")[0] + " " + ",".join(observed.events)).encode())
        os._exit(0)
    ids.append(os.read(read, 1000).decode())
    assert os.waitpid(pid, 0)[1] == 0
assert len({line.split()[0] for line in ids}) == 3, ids
assert {line.split()[1] for line in ids} == {"serving,serving"}, ids
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, env=_environment())


async def test_uvicorn_serves_an_observed_application(serve: Callable[..., str]) -> None:
    observed = observe(service())
    url = serve(observed.app)
    assert observed.events == ["serving"]
    async with httpx.AsyncClient(base_url=url) as client:
        answer = await client.get("/hello/you", headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})
    assert answer.headers["x-trace-id"] == "ab" * 16
    assert answer.headers["traceparent"].startswith(f"00-{'ab' * 16}-")
    assert observed.requests() == HELLO
    [trace] = observed.traces
    assert f"{trace.root.parent_id:016x}" == "cd" * 8


async def test_a_client_that_leaves_a_stream_of_a_real_server_is_noted(serve: Callable[..., str]) -> None:
    app = service()

    async def forever() -> AsyncIterator[bytes]:
        while True:
            yield b"data: tick\n\n"
            await asyncio.sleep(0.01)

    @app.get("/events")
    async def events() -> StreamingResponse:
        return StreamingResponse(forever(), media_type="text/event-stream")

    observed = observe(app)
    async with httpx.AsyncClient(base_url=serve(app)) as client, client.stream("GET", "/events") as answer:
        await anext(answer.aiter_bytes())
        assert observed.active() == 1
    for _ in range(300):
        if observed.requests():
            break
        await asyncio.sleep(0.01)
    assert observed.requests() == {("GET", "/events", "200", "client_disconnect"): 1}
    assert observed.streams() == {("GET", "/events", "http"): 1}
    assert observed.active() == 0


# Our own paths -----------------------------------------------------------------------------------------------------


async def test_our_paths_are_answered_outside_the_middlewares_and_not_recorded() -> None:
    app = service()
    seen = []

    @app.middleware("http")
    async def refuse(request: Request, call_next: Any) -> PlainTextResponse:
        seen.append(request.url.path)
        return PlainTextResponse("closed", 401)

    @app.get("/{anything:path}")
    async def catch_all(anything: str) -> str:
        return "host"

    observed = observe(app, **OWN)
    for path in ("/metrics", "/health", "/ui/monitoring/advanced"):
        assert (await get(app, path)).body.decode() == f"own {path}"
    assert seen == []
    assert observed.requests() == {}
    assert (await get(app, "/ui/monitoring")).status == 401
    assert (await get(app, "/metrics/more")).status == 401


async def test_our_paths_are_own_work_and_of_no_request() -> None:
    seen: list[Any] = []

    async def own_app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([guard.own_work.get(), current_request()])
        await own(scope, receive, send)

    observed = observe(service(), own_app=own_app, own_exact=["/health"])
    await get(observed.app, "/health")
    assert seen == [True, None]
    assert not guard.own_work.get()


async def test_the_very_same_path_of_the_host_wins() -> None:
    app = service()
    app.add_api_route("/health", lambda: "host")
    app.mount("/metrics", Starlette(routes=[Route("/", lambda request: PlainTextResponse("host"))]))
    observed = observe(app, **OWN)
    assert (await get(app, "/health")).body == b'"host"'
    assert (await get(app, "/metrics/")).body == b"host"
    assert (await get(app, "/metrics")).status == 307
    assert (await get(app, "/ui/monitoring/x")).body == b"own /ui/monitoring/x"
    assert ("GET", "/health", "200", None) in observed.requests()


async def test_a_route_added_later_wins_too() -> None:
    app = service()
    observe(app, **OWN)
    assert (await get(app, "/health")).body == b"own /health"
    app.add_api_route("/health", lambda: "host")
    assert (await get(app, "/health")).body == b'"host"'


@pytest.mark.parametrize("where", ["server", "service", "stripped"])
async def test_our_paths_live_under_the_root_path(where: str) -> None:
    app = service()
    observe(app, **OWN)
    if where == "server":
        call = await get(app, "/ops/health", root_path="/ops")
    else:
        app.root_path = "/ops"
        call = await get(app, "/ops/health" if where == "service" else "/health")
    assert call.body.startswith(b"own")


async def test_inside_our_paths_are_behind_the_hosts_middlewares() -> None:
    app = service()

    @app.middleware("http")
    async def mark(request: Request, call_next: Any) -> Any:
        answer = await call_next(request)
        answer.headers["x-host"] = "yes"
        return answer

    @app.get("/{anything:path}")
    async def catch_all(anything: str) -> str:
        return "host"

    observed = observe(app, inside=True, **OWN)
    call = await get(app, "/ui/monitoring/advanced")
    assert (call.body, call.header("x-host")) == (b"own /ui/monitoring/advanced", ["yes"])
    assert (await get(app, "/other")).body == b'"host"'
    assert observed.requests() == {("GET", "/{anything}", "200", None): 1}
    assert list(app.openapi()["paths"]) == ["/hello/{name}", "/{anything}"]
    leave(app)
    assert (await get(app, "/health")).body == b'"host"'


async def test_what_breaks_in_our_answer_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(guard, "strict", False)
    observed = observe(service(), own_app=breaks, own_exact=["/health"])
    call = await get(observed.app, "/health")
    assert (call.status, call.error) == (500, None)
    assert (await get(observed.app, "/hello/you")).status == 200


# What is left out --------------------------------------------------------------------------------------------------


async def test_excluded_urls_are_searched_in_the_whole_url() -> None:
    observed = observe(service(), excluded_urls="/internal, ^http://other.test/")
    assert (await get(observed.app, "/internal/x")).header("x-trace-id") == []
    await get(observed.app, "/hello/internal")
    assert observed.requests() == {}
    await get(observed.app, "/hello/you")
    assert observed.requests() == HELLO


def test_an_excluded_url_that_is_no_pattern_is_refused() -> None:
    with pytest.raises(SettingsError, match="WATCHGLASS_EXCLUDED_URLS"):
        observe(service(), excluded_urls="(")


# Bad weather -------------------------------------------------------------------------------------------------------


BROKEN = [
    (Roots, "open"),
    (Roots, "end"),
    (Exchange, "_start"),
    (Exchange, "_sent"),
    (Exchange, "_record"),
    (Exchange, "_settle"),
    (Tail, "ended"),
    (asgi, "url_of"),
]


@pytest.mark.parametrize("path", ["/hello/you", "/boom"])
@pytest.mark.parametrize(("place", "name"), BROKEN, ids=lambda value: getattr(value, "__name__", value))
async def test_an_error_of_ours_changes_nothing(
    place: Any, name: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("ours")

    app = service()
    app.add_api_route("/boom", lambda: 1 / 0)
    alone = await get(app, path)
    observed = observe(app, excluded_urls="nothing-like-this")
    monkeypatch.setattr(guard, "strict", False)
    monkeypatch.setattr(place, name, broken)
    call = await get(app, path)
    assert (call.plain, type(call.error)) == (alone.plain, type(alone.error))
    assert current_request() is None
    assert observed.events == ["serving"]


async def test_an_error_of_the_observer_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    observed = observe(service())
    monkeypatch.setattr(guard, "strict", False)
    layer = layer_of(observed.app)
    assert layer is not None
    layer._observer.on_serving = lambda: 1 / 0  # type: ignore[assignment, return-value]
    layer._observer.on_shutdown = lambda: 1 / 0  # type: ignore[assignment, return-value]
    assert await lifespan(observed.app) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_an_unfinished_call_is_closed_in_any_context() -> None:
    app = service()
    app.add_api_route("/forever", asyncio.Event().wait)
    observed = observe(app)
    tasks = [asyncio.create_task(get(app, "/forever")) for _ in range(3)]
    await asyncio.sleep(0.02)
    assert observed.active() == 3
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert observed.active() == 0
