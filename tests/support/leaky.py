"""A service that leaks a secret by every channel there is; each leak bears its channel's name, which may stay."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import quote

import asyncpg
import structlog
from fastapi import FastAPI, Request, WebSocket
from opentelemetry import metrics, trace
from redis.asyncio import Redis
from redis.exceptions import RedisError

ADDRESS = "203.0.113.91"
MAIL = "c4n4ry.mail@example.com"


class Canaries:
    """`canaries[channel]` is the secret that leaks by it: told apart from all others, and made when asked for."""

    def __init__(self) -> None:
        self.by_channel: dict[str, str] = {}

    def __getitem__(self, channel: str) -> str:
        return self.by_channel.setdefault(channel, f"C4n{len(self.by_channel):02d}ryQ7wX9zK")


def service(canaries: Canaries, database_url: str | None, redis_url: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.redis = Redis.from_url(redis_url)
        app.state.pool = None if database_url is None else await asyncpg.create_pool(database_url, min_size=1)
        yield
        await app.state.redis.aclose()
        if app.state.pool is not None:
            await app.state.pool.close()

    app = FastAPI(lifespan=lifespan)
    counter = metrics.get_meter("leaky").create_counter("leaky.counter")

    @app.get("/leak/{item}")
    async def leak(request: Request, item: str) -> str:
        for channel in (in_log_lines, in_structlog, in_exceptions, in_spans, unhandled):
            channel(canaries)
        in_metrics(canaries, counter)
        from_the_request(request)
        await unseen(canaries)
        await in_redis(canaries, app.state.redis)
        if app.state.pool is not None:
            await in_postgresql(canaries, app.state.pool)
        return item

    @app.get("/fail/{item}")
    async def fail(item: str) -> None:
        local = canaries["variable of a frame"]
        raise_all(canaries, str(len(local)))

    @app.websocket("/socket/{item}")
    async def socket(websocket: WebSocket, item: str) -> None:
        await websocket.accept()
        await websocket.send_text(item)
        await websocket.close()

    return app


def in_log_lines(canaries: Canaries) -> None:
    log = logging.getLogger("leaky")
    for channel, secret in FORMS.items():
        log.warning("%s: %s", channel, secret(canaries[channel]))
    log.warning("field", extra={"password": canaries["field"], "channel": "field"})
    log.warning("nested field", extra={"body": {"users": [{"apiKey": canaries["nested field"]}]}})
    log.warning("pairs", extra={"pairs": [("set-cookie", canaries["pairs"]), (b"x-auth-token", b"x")]})
    log.warning("text of a field", extra={"note": f"password={canaries['text of a field']}"})
    log.warning("name of a field", extra={f"password={canaries['name of a field']}": 1})
    log.warning("mark of an address %s and %s", MAIL, ADDRESS)


FORMS: dict[str, Callable[[str], Any]] = {
    "assignment": lambda secret: f"password={secret}",
    "said": lambda secret: f"the token is {secret}",
    "JSON": lambda secret: f'{{"user": "ann", "clientSecret": "{secret}"}}',
    "dictionary": lambda secret: {"api_key": secret},
    "bearer": lambda secret: f"Bearer {secret}",
    "basic": lambda secret: f"Basic {secret}==",
    "JWT": lambda secret: f"eyJhbGciOiJIUzI1NiJ9.eyJ{secret}.{secret}",
    "DSN": lambda secret: f"postgresql://ann:{secret}@db/shop",
    "header": lambda secret: f"Authorization: Custom a {secret}",
    "cookie": lambda secret: f"Cookie: theme=dark; x={secret}",
    "key": lambda secret: f"key={secret}5f4dcc3b5aa765d6",
    "private key": lambda secret: f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----",
    "AWS": lambda secret: f"AWS_SECRET_ACCESS_KEY={secret}",
    "encoded": lambda secret: f"GET /x?next={quote(f'/login?token={secret}', safe='')}",
    "statement": lambda secret: f"ran SELECT * FROM users WHERE name = '{secret}'",
    "mail": lambda secret: f"to {secret}@example.com",
    "coloured": lambda secret: f"\x1b[36mpassword\x1b[0m=\x1b[35m{secret}\x1b[0m",
    "command line": lambda secret: f"mysql --password {secret}",
}


def in_structlog(canaries: Canaries) -> None:
    log = structlog.get_logger()
    with structlog.contextvars.bound_contextvars(session_id=canaries["context"]):
        log.info("keyword of structlog", token=canaries["keyword of structlog"], channel="context")
    log.warning(f"event of structlog, secret={canaries['event of structlog']}")
    log.bind(accessToken=canaries["bound value"]).warning("bound value")


def raise_all(canaries: Canaries, item: str) -> None:
    """A group, with a note, of exceptions that have causes."""
    local = canaries["variable of a frame"]
    cause = KeyError(f"cause of {len(local) and item}, token={canaries['cause of an exception']}")
    error = ValueError(f"message of an exception, password={canaries['message of an exception']}")
    error.__cause__ = cause
    error.add_note(f"note of an exception, api_key={canaries['note of an exception']}")
    raise ExceptionGroup(f"group of exceptions, secret={canaries['group of exceptions']}", [error])


def in_exceptions(canaries: Canaries) -> None:
    try:
        raise_all(canaries, "x")
    except ExceptionGroup as group:
        logging.getLogger("leaky").exception("exception of logging")
        structlog.get_logger().error("exception of structlog", exc_info=group)


def in_spans(canaries: Canaries) -> None:
    tracer = trace.get_tracer("leaky")
    link = trace.Link(trace.SpanContext(1, 2, True), {"password": canaries["attribute of a link"]})
    with tracer.start_as_current_span(f"name of a span, token={canaries['name of a span']}", links=[link]) as span:
        span.set_attribute("http.request.header.authorization", canaries["attribute of a span"])
        span.set_attribute("url.full", f"https://x/?access_token={canaries['URL of a span']}")
        span.set_attribute("url.query", f"api%5Fkey={canaries['query of a span']}")
        span.set_attributes({"db.system.name": "redis", "db.query.text": f"SET a {canaries['command of a span']}"})
        span.set_attribute("channel", "attributes of a span")
        span.add_event("event", {"password": canaries["attribute of an event"]})
        span.record_exception(ValueError(f"password={canaries['exception of a span']}"))
        span.set_status(trace.StatusCode.ERROR, f"password={canaries['status of a span']}")
    with tracer.start_as_current_span("statement of a span") as span:
        span.set_attributes({"db.system": "mysql", "db.statement": f"SELECT '{canaries['statement of a span']}'"})


def in_metrics(canaries: Canaries, counter: metrics.Counter) -> None:
    counter.add(1, {"api_key": canaries["attribute of a metric"], "channel": "attribute of a metric"})
    counter.add(1, {"note": f"Bearer {canaries['text in a metric']}", "peer": ADDRESS, "channel": "text in a metric"})


def unhandled(canaries: Canaries) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"warning, api_key={canaries['warning']}", stacklevel=1)

    def fail() -> None:
        raise ValueError(f"uncaught in a thread, password={canaries['uncaught in a thread']}")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


async def unseen(canaries: Canaries) -> None:
    async def fail() -> None:
        raise ValueError(f"unseen in a task, password={canaries['unseen in a task']}")

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    del task
    gc.collect()


def from_the_request(request: Request) -> None:
    logging.getLogger("leaky").warning("headers of a request: %s", dict(request.headers))
    logging.getLogger("leaky").warning("raw headers of a request: %s", request.scope["headers"])
    logging.getLogger("leaky").warning("URL of a request: %s", request.url)


async def in_redis(canaries: Canaries, redis: Redis) -> None:
    key, value = canaries["key of Redis"], canaries["value of Redis"]
    await redis.set(f"user:{key}", value)
    await redis.get(f"user:{key}")
    for failing in (redis.execute_command("NOSUCH", value), _pipeline(redis, key, value)):
        try:
            await failing
        except RedisError:
            logging.getLogger("leaky").exception("error of Redis")


async def _pipeline(redis: Redis, key: str, value: str) -> None:
    async with redis.pipeline() as pipeline:
        pipeline.set(f"user:{key}", value).lpush(f"user:{key}", value)
        await pipeline.execute()


async def in_postgresql(canaries: Canaries, pool: Any) -> None:
    literal, value = canaries["literal of SQL"], canaries["parameter of SQL"]
    await pool.execute(f"SELECT '{literal}' /* {literal} */")
    await pool.fetchval("SELECT $1::text", value)
    async with pool.acquire() as connection:
        await connection.execute(
            "CREATE TEMPORARY TABLE IF NOT EXISTS accounts (token text UNIQUE, n integer NOT NULL)"
        )
        insert = "INSERT INTO accounts VALUES ($1, $2)"
        for query, arguments in (
            (f"SELECT '{literal}'::integer", ()),
            (f"SELECT '{literal}", ()),
            (insert, (value, None)),
            (insert, (value, "x" + value)),
            ("INSERT INTO accounts VALUES ($1, 1), ($1, 1)", (value,)),
        ):
            try:
                await connection.execute(query, *arguments)
            except (asyncpg.PostgresError, asyncpg.InterfaceError):
                logging.getLogger("leaky").exception("error of PostgreSQL")
    with suppress(asyncpg.PostgresError):
        await pool.execute(f"ALTER ROLE nobody_there PASSWORD '{literal}'")
