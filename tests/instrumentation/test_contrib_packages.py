"""`instrumentation="contrib"`: spans by contrib's packages, measurements by ours, and all as it was afterwards."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
import asyncpg.cursor
import pytest
import redis.asyncio
from fastapi import FastAPI
from opentelemetry.trace import INVALID_SPAN, SpanKind, StatusCode
from starlette.middleware.cors import CORSMiddleware

import watchglass
from support.asgi import get
from watchglass import guard, redaction, wiring
from watchglass.errors import ExtraMissing
from watchglass.instrumentation.contrib_packages import ContribPackages
from watchglass.instrumentation.contrib_spans import ChildProvider
from watchglass.instrumentation.operations import spans_elsewhere
from watchglass.instrumentation.request import Request, reset_current_request, set_current_request
from watchglass.records import Trace


@pytest.fixture
def request_here() -> Iterator[Request]:
    request = Request(1, 2, None, True, time.perf_counter(), "GET")
    token = set_current_request(request)
    yield request
    reset_current_request(token)


@pytest.fixture
def tracer() -> Any:
    return ChildProvider(time.perf_counter).get_tracer("opentelemetry.instrumentation.asyncpg", "1", None)


@pytest.fixture
def app() -> Iterator[FastAPI]:
    app = FastAPI()
    app.add_api_route("/", lambda: "here")
    yield app
    watchglass.unobserve(app)


def patched() -> list[Any]:
    owners = (asyncpg.Connection, asyncpg.cursor.CursorIterator, redis.asyncio.Redis, redis.Redis)
    names = ("execute", "executemany", "fetch", "fetchval", "fetchrow", "reset", "__anext__", "execute_command")
    return [vars(owner).get(name) for owner in owners for name in names]


async def test_observing_takes_them_and_leaving_gives_them_back(app: FastAPI) -> None:
    before, build = patched(), app.build_middleware_stack
    watchglass.observe(app, watchglass.Settings(instrumentation="contrib"))
    assert patched() != before
    assert spans_elsewhere == {"postgresql", "redis"}
    watchglass.unobserve(app)
    assert patched() == before
    assert spans_elsewhere == set()
    assert app.build_middleware_stack == build
    app.add_middleware(CORSMiddleware)  # not refused, for nothing was served yet
    assert wiring.house() is None


async def test_an_application_that_the_host_instrumented_is_left_to_it(app: FastAPI) -> None:
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    FastAPIInstrumentor.instrument_app(app)
    build = app.build_middleware_stack
    packages = ContribPackages()
    packages.enter(app)
    packages.leave(app)
    assert app.build_middleware_stack == build
    FastAPIInstrumentor.uninstrument_app(app)


async def test_other_applications_are_served_without(app: FastAPI) -> None:
    async def answers(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    observed = watchglass.observe(answers, watchglass.Settings(instrumentation="contrib"))
    assert (await get(observed, "/")).status == 204
    watchglass.unobserve(observed)


@pytest.mark.parametrize("library", ["fastapi", "asyncpg", "redis"])
def test_a_package_that_is_missing_is_named_with_its_extra(library: str) -> None:
    code = f"""
        import sys, fastapi, watchglass
        sys.modules["opentelemetry.instrumentation.{library}"] = None
        app = fastapi.FastAPI()
        try:
            watchglass.observe(app, watchglass.Settings(instrumentation="contrib"))
        except watchglass.WatchglassError as error:
            print(type(error).__name__, error)
        assert type(app) is fastapi.FastAPI
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith(ExtraMissing.__name__)
    assert f"opentelemetry-instrumentation-{library}" in done.stdout
    assert "watchglass[contrib]" in done.stdout


def test_a_span_becomes_a_child_once(tracer: Any, request_here: Request) -> None:
    with tracer.start_as_current_span("SELECT", kind=SpanKind.CLIENT, attributes={"db.system": "postgresql"}) as span:
        span.set_attribute("db.user", "app")
        span.add_event("noticed")
    span.end()
    [child] = request_here.children
    assert (child.name, child.error, child.parent_id) == ("SELECT", None, 0)
    assert child.attributes == {"db.system": "postgresql", "db.user": "app"}
    assert child.span_id == span.get_span_context().span_id
    assert span.get_span_context().trace_id == request_here.trace_id
    assert not span.is_recording()


def test_an_error_is_named(tracer: Any, request_here: Request) -> None:
    with pytest.raises(ZeroDivisionError), tracer.start_as_current_span("GET"):
        raise ZeroDivisionError
    with tracer.start_as_current_span("GET") as span:
        span.set_status(StatusCode.ERROR)
    with tracer.start_as_current_span("GET") as span:
        span.set_status(StatusCode.UNSET)
    assert [child.error for child in request_here.children] == ["ZeroDivisionError", "_OTHER", None]


def test_outside_of_a_request_and_for_ourselves_there_is_none(tracer: Any, request_here: Request) -> None:
    with guard.as_own_work():
        assert tracer.start_span("SELECT") is INVALID_SPAN
    token = set_current_request(None)
    assert tracer.start_span("SELECT") is INVALID_SPAN
    reset_current_request(token)
    assert request_here.children == []


def test_literals_and_secrets_never_stay(request_here: Request) -> None:
    kept = redaction.attributes(
        {
            "db.system": "postgresql",
            "db.statement": "SELECT 1 FROM users WHERE mail = 'ada@example.com'",
            "db.statement.parameters": "('hunter2',)",
            "db.password": "hunter2",
        }
    )
    assert "hunter2" not in str(kept)
    assert kept["db.statement"] == "SELECT ? FROM users WHERE mail = ?"


async def test_an_observed_service_keeps_contribs_spans_once(
    app: FastAPI, database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Trace] = []
    monkeypatch.setattr("watchglass.exporters.exports.Exports.offer_trace", lambda self, trace: kept.append(trace))

    @app.get("/work")
    async def work() -> int:
        connection = await asyncpg.connect(database_url)
        await connection.fetch(query="SELECT 'hunter2'")
        await connection.close()
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            return await client.exists("session:1")

    watchglass.observe(app, watchglass.Settings(instrumentation="contrib"))
    monkeypatch.setattr("watchglass.wiring.House.start", lambda self: None)  # nothing is written here
    assert (await get(app, "/work")).status == 200
    [trace] = kept
    assert [(span.name, span.kind) for span in trace.spans] == [
        ("GET /work", "server"),
        ("SELECT", "client"),
        ("EXISTS", "client"),
    ]
    assert "hunter2" not in str(trace)
