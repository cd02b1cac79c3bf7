"""Everything a service does that we see, whole and in one go; and which of our functions that runs."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import io
import itertools
import logging
import pkgutil
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import asyncpg
import redis
import redis.asyncio
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from conformance.modes import Mode
from conformance.service import service
from support.asgi import Call, exchange, get, observe, websocket_scope
from watchglass import instrumentation
from watchglass.instrumentation.adopted.tracers import HostSpans
from watchglass.instrumentation.asyncpg import AsyncPGInstrumentor
from watchglass.instrumentation.logs import LoggingInstrumentor
from watchglass.instrumentation.redis import RedisInstrumentor
from watchglass.instrumentation.server_timing import ServerTiming
from watchglass.instrumentation.sqlalchemy import SQLAlchemyInstrumentor

MODULES: list[ModuleType] = [
    importlib.import_module(found.name)
    for found in pkgutil.walk_packages(instrumentation.__path__, f"{instrumentation.__name__}.")
]
HEADERS = [(b"traceparent", b"00-%s-%s-01" % (b"ab" * 16, b"cd" * 8)), (b"tracestate", b"vendor=1")]
PATHS = [
    "/items/7",
    "/boom",
    "/chained",
    "/teapot",
    "/star/below/things/x",
    "/starlette/x",
    "/stream",
    "/stream-breaks",
]
PATHS += ["/static/nothing", "/nothing", "/background", "/background-fails", "/own-ids", "/data", "/data-at-once"]
SOCKETS = ["/ws/7", "/ws-listens", "/ws-refused", "/ws-breaks", "/ws-breaks-later"]
ADMIN = (b"cookie", b"session=admin")

SMALL = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.01}
ANY_THREAD = {"check_same_thread": False}

LIFE = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
_numbers = itertools.count()

PATIENCE = 10.0
"""Seconds after which a service that does not end hangs."""


def functions(module: ModuleType) -> Iterator[tuple[Any, str, str]]:
    """Every function and method that a module defines: its owner, its name, and both as text."""
    short = module.__name__.removeprefix(f"{instrumentation.__name__}.")
    classes = [value for value in vars(module).values() if inspect.isclass(value)]
    for owner in (module, *(kind for kind in classes if kind.__module__ == module.__name__)):
        prefix = short if owner is module else f"{short}.{owner.__name__}"
        for name, value in list(vars(owner).items()):
            if inspect.isfunction(value) and value.__module__ == module.__name__:
                yield owner, name, f"{prefix}.{name}"


@contextmanager
def noting(ran: set[Any]) -> Iterator[None]:
    """Add the code of every Python function that runs in this thread, and in those that begin."""

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call":
            ran.add(frame.f_code)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def with_data(app: FastAPI, log: logging.Logger) -> FastAPI:
    """Have the service use its database, its cache and its log, right and wrong."""

    @app.get("/data")
    async def data() -> list[Any]:
        log.info("asked for data")
        _asks_another_service()
        answers = [*await _statements(app.state.pool), *await _commands(app.state.redis)]
        answers += await asyncio.to_thread(_of_an_engine, app.state.engine)
        return [*answers, *await asyncio.to_thread(_blocking_commands, app.state.blocking_redis)]

    @app.get("/data-at-once")
    async def data_at_once() -> list[Any]:
        pool, client = app.state.pool, app.state.redis
        return await asyncio.gather(pool.fetchval("SELECT 1"), client.get("weather:1"), pool.fetchval("SELECT 2"))

    return app


def _asks_another_service() -> None:
    """What an instrumentation of an HTTP client does."""
    attributes = {"http.request.method": "GET", "url.full": "http://shop.test/?token=x"}
    tracer = trace.get_tracer("opentelemetry.instrumentation.httpx")
    with tracer.start_as_current_span("GET", kind=SpanKind.CLIENT, attributes=attributes) as span:
        span.set_attribute("http.response.status_code", 503)
        span.set_status(StatusCode.ERROR)
        span.record_exception(TimeoutError())


async def _statements(pool: Any) -> list[Any]:
    answers: list[Any] = [await pool.fetchval("SELECT 1 + $1::int", 1), await pool.fetchval(query="SELECT 7")]
    answers.append(await pool.fetchval(f'SELECT 8 AS "never seen {next(_numbers)}"'))
    async with pool.acquire() as connection:
        try:
            await connection.execute("SELECT 1/0")
        except asyncpg.PostgresError as error:
            answers.append(error.sqlstate)
        await connection.executemany("SELECT $1::int", [(1,), (2,)])
        async with connection.transaction():
            rows = connection.cursor("SELECT generate_series(1, 3)", prefetch=2)
            answers += [row[0] async for row in rows]
        statement = await connection.prepare("SELECT 'prepared'")
        answers.append(await statement.fetchval())
        out = io.BytesIO()
        await connection.copy_from_query("SELECT 1, 2", output=out)
        answers.append(out.getvalue().decode())
    return answers


async def _commands(client: Any) -> list[Any]:
    answers = [await client.set("weather:1", "fair"), await client.get("weather:1"), await client.get("weather:none")]
    answers += await client.mget("weather:1", "weather:none")
    async with client.pipeline(transaction=True) as pipeline:
        answers += await pipeline.get("weather:1").exists("weather:1").execute()
    try:
        await client.lpush("weather:1", "x")
    except redis.ResponseError as error:
        answers.append(str(error))
    return answers


def _of_an_engine(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        answers = [connection.execute(text("SELECT 9")).scalar_one()]
        try:
            engine.connect()
        except PoolTimeout as error:
            answers.append(str(error))
    return answers


def _blocking_commands(client: Any) -> list[Any]:
    with client.pipeline() as pipeline:
        answers = [client.get("weather:1"), *pipeline.get("weather:1").get("weather:none").execute()]
    with client.pipeline() as pipeline:
        try:
            pipeline.lpush("weather:1", "x").execute()
        except redis.ResponseError as error:
            answers.append(str(error))
    return answers


@asynccontextmanager
async def clients(app: FastAPI, database_url: str, redis_url: str) -> AsyncIterator[None]:
    async with (
        asyncpg.create_pool(database_url, min_size=1, max_size=1) as app.state.pool,
        redis.asyncio.Redis.from_url(redis_url, decode_responses=True) as app.state.redis,
    ):
        app.state.engine = create_engine("sqlite://", poolclass=QueuePool, connect_args=ANY_THREAD, **SMALL)
        with redis.Redis.from_url(redis_url, decode_responses=True) as app.state.blocking_redis:
            yield
        app.state.engine.dispose()


async def outcomes(app: Any) -> list[tuple[Any, ...]]:
    """What clients get, byte by byte, and what the application raises."""
    calls = [await exchange(app, {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, list(LIFE))]
    calls += [await get(app, path, headers=HEADERS) for path in PATHS]
    calls += [await get(app, path, headers=[ADMIN]) for path in ("/data", "/stream")]
    calls.append(await get(app, "/sub/things/x", headers=HEADERS[:1]))
    calls.append(await get(app, "/upload", "POST", b"x" * 10))
    incoming = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"}]
    incoming.append({"type": "websocket.disconnect", "code": 1001})
    calls += [await exchange(app, websocket_scope(path, headers=[ADMIN]), list(incoming)) for path in SOCKETS]
    return [_seen(call) for call in calls]


def _seen(call: Call) -> tuple[Any, ...]:
    """Every message as it was sent, less the headers that we add, and how the call ended."""
    messages = [dict(message) for message in call.plain]
    for message in messages:
        if "headers" in message:
            message["headers"] = [pair for pair in message["headers"] if pair[0] != b"server-timing"]
    return messages, type(call.error), str(call.error)


class Weather:
    """One service, observed or not, with its clients."""

    def __init__(self, folder: Path, database_url: str, redis_url: str) -> None:
        self.folder = folder
        self.urls = database_url, redis_url

    def _service(self, printed: io.StringIO) -> FastAPI:
        log = logging.Logger("shop")
        log.addHandler(logging.StreamHandler(printed))
        return with_data(service(self.folder), log)

    async def alone(self) -> tuple[Any, ...]:
        """What it does without us."""
        printed = io.StringIO()
        app = self._service(printed)
        async with clients(app, *self.urls):
            return await outcomes(app), printed.getvalue()

    async def ran(self, mode: Mode) -> set[Any]:
        """The code of every function that runs while it does the same observed, and rightly so."""
        alone, ran = await self.alone(), set[Any]()
        async with self.observed(mode) as work:
            with noting(ran):
                assert await work() == alone
        return ran

    @asynccontextmanager
    async def observed(self, mode: Mode) -> AsyncIterator[Any]:
        """A function that has it do the same while it is observed."""
        printed = io.StringIO()
        app = self._service(printed)
        mode.prepare(app)
        seen = observe(app, timing=ServerTiming(b"session=", lambda cookies: True))
        ours = [AsyncPGInstrumentor(), RedisInstrumentor(), SQLAlchemyInstrumentor()]
        for instrumentor in ours:
            instrumentor.instrument(recorder=seen.recorder)
        LoggingInstrumentor().instrument(offer_log=lambda record: None, level="INFO", key=b"k" * 16)
        mode.take_clients(seen.recorder)
        spans = HostSpans(seen.recorder)
        spans.meet()

        async def go() -> tuple[Any, ...]:
            async with asyncio.timeout(PATIENCE), clients(app, *self.urls):
                return await outcomes(app), printed.getvalue()

        try:
            yield go
        finally:
            spans.uninstrument()
            mode.leave_clients()
            for instrumentor in (*ours, LoggingInstrumentor()):
                instrumentor.uninstrument()
            await asyncio.sleep(0)
