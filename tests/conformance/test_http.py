"""The table of behaviours, each with the service plain, instrumented by contrib, and with FastAPI's own telemetry.

Every request has one server span, one measurement and the ids of its trace in the response, and the response is
otherwise that of the service alone.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from conformance.modes import Mode
from conformance.service import service
from support.asgi import Call, Message, Observed, body_of, exchange, get, http_scope, observe, websocket_scope
from watchglass.instrumentation.native import Native

BACKGROUND = "conformance.service.Background"
CANCELLED = "asyncio.exceptions.CancelledError"
DISCONNECT = {"type": "http.disconnect"}

Drive = Callable[[Any], Coroutine[Any, Any, Call]]


@dataclass(frozen=True)
class Row:
    """A request and what is recorded of it."""

    name: str
    path: str = ""
    status: int | None = 200
    route: str | None = None
    error: str | None = None
    method: str = "GET"
    known: str = ""
    stream: bool = False
    raises: bool = False
    drive: Drive | None = None
    more: dict[str, Any] = field(default_factory=dict)
    root_path: str = ""
    kept_error: str | None = None

    async def call(self, app: Any) -> Call:
        if self.drive is not None:
            return await self.drive(app)
        return await get(app, self.path, self.method, **self.more)


async def disconnects(app: Any) -> Call:
    """The client reads the start of a stream and leaves."""
    return await exchange(app, http_scope("/stream-forever"), [*body_of(), DISCONNECT])


async def is_cancelled(app: Any) -> Call:
    """The server cancels the request, as on a timeout."""
    call = asyncio.create_task(get(app, "/forever"))
    await asyncio.sleep(0.02)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    return Call()


async def large_upload(app: Any) -> Call:
    """A body of 1 MB, in 16 messages."""
    chunks = [{"type": "http.request", "body": b"x" * 65_536, "more_body": True} for _ in range(16)]
    return await exchange(app, http_scope("/upload", "POST"), [*chunks, *body_of()])


REDIRECTED = "/slash/" if Native.available else None

ROWS = [
    Row("a route", "/plain", route="/plain"),
    Row("a parameter", "/items/7", route="/items/{item}"),
    Row("a parameter that does not validate", "/items/seven", 422, "/items/{item}"),
    Row("a path converter", "/files/a/b/c.txt", route="/files/{path}"),
    Row("included routers", "/api/v1/things/x", route="/api/v1/things/{thing}"),
    Row("another method of it", "/api/v1/things/x", route="/api/v1/things/{thing}", method="DELETE"),
    Row("a handler in the thread pool", "/sync/7", route="/sync/{item}"),
    Row("a Starlette route", "/starlette/x", route="/starlette/{thing}"),
    Row("a mounted FastAPI", "/sub/things/x", route="/sub/things/{thing}"),
    Row("a router included in a mounted FastAPI", "/sub/deep/things/x", route="/sub/deep/things/{thing}"),
    Row("a mount with a parameter", "/tenants/acme/things/x", route="/tenants/{tenant}/things/{thing}"),
    Row("unmatched in a mounted FastAPI", "/sub/nothing", 404, "/sub/{path}"),
    Row("a mounted Starlette", "/star/things/x", route="/star/things/{thing}"),
    Row("a mount in a mounted Starlette", "/star/below/things/x", route="/star/below/things/{thing}"),
    Row("static files in a mounted Starlette", "/star/static/file.txt", route="/star/static/{path}"),
    Row("static files", "/static/file.txt", route="/static/{path}"),
    Row("a static file that is not there", "/static/nothing.txt", 404, "/static/{path}"),
    Row("an unmatched path", "/nothing", 404),
    Row("a method that is not allowed", "/plain", 405, "/plain", method="POST"),
    Row("a method nobody knows", "/plain", 405, "/plain", method="BREW", known="_OTHER"),
    Row("a redirect to the path with a slash", "/slash", 307, REDIRECTED),
    Row("HEAD", "/head", route="/head", method="HEAD"),
    Row("OPTIONS", "/options", route="/options", method="OPTIONS"),
    Row("a dependency that refuses", "/dependency", 401, "/dependency"),
    Row("a dependency that raises", "/dependency-breaks", 500, "/dependency-breaks", "ValueError", raises=True),
    Row("an HTTPException", "/teapot", 418, "/teapot"),
    Row("an HTTPException of 500 and above", "/unavailable", 503, "/unavailable", "503"),
    Row("an unhandled exception", "/boom", 500, "/boom", "RuntimeError", raises=True),
    Row("an unhandled exception in the thread pool", "/sync-boom", 500, "/sync-boom", "RuntimeError", raises=True),
    Row("a chained exception", "/chained", 500, "/chained", "ValueError", raises=True),
    Row("a timeout in a handler", "/times-out", 500, "/times-out", "TimeoutError", raises=True),
    Row("an exception in a mounted FastAPI", "/sub/boom", 500, "/sub/boom", BACKGROUND, raises=True),
    Row("an exception that a handler answers", "/handled", 500, "/handled", "500"),
    Row("a stream", "/stream", route="/stream", stream=True),
    Row("server-sent events", "/events", route="/events", stream=True),
    Row(
        "an exception in mid-stream", "/stream-breaks", 200, "/stream-breaks", "RuntimeError", stream=True, raises=True
    ),
    Row("a client that leaves", "", 200, "/stream-forever", "client_disconnect", stream=True, drive=disconnects),
    Row("a request that is cancelled", "", None, "/forever", CANCELLED, drive=is_cancelled),
    Row("a background task", "/background", route="/background"),
    Row(
        "a background task that fails",
        "/background-fails",
        200,
        "/background-fails",
        raises=True,
        kept_error=BACKGROUND,
    ),
    Row("a body of 1 MB", "", 200, "/upload", method="POST", drive=large_upload),
    Row("ids that the service sets itself", "/own-ids", route="/own-ids"),
    Row("a root path of the server", "/ops/items/7", route="/ops/items/{item}", more={"root_path": "/ops"}),
    Row("a root path of the service", "/ops/items/7", route="/ops/items/{item}", root_path="/ops"),
    Row(
        "a root path that a proxy strips",
        "/items/7",
        route="/ops/items/{item}",
        root_path="/ops",
    ),
    Row("a path with control characters", "/items/\x00\n\x1b[1m", 422, "/items/{item}"),
    Row("a path of 10 kB", "/files/" + "x" * 10_000, route="/files/{path}"),
]
MIDDLEWARES = [(), ("base",), ("copy",), ("cors", "base", "copy")]


def recorded(row: Row) -> Counter[tuple[str | None, ...]]:
    status = None if row.status is None else str(row.status)
    return Counter({(row.known or row.method, row.route, status, row.error): 1})


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_every_request_is_recorded_once(row: Row, mode: Mode, folder: Path) -> None:
    alone = await row.call(service(folder, root_path=row.root_path))
    app = service(folder, root_path=row.root_path)
    mode.prepare(app)
    observed = observe(app)
    call = await row.call(app)

    assert observed.requests() == recorded(row)
    assert observed.streams() == ({(row.method, row.route, "http"): 1} if row.stream else {})
    assert observed.active() == 0
    assert (call.plain, type(call.error)) == (alone.plain, type(alone.error))
    assert (call.error is not None) == row.raises
    spans_agree(observed, call, mode, row)


def spans_agree(observed: Observed, call: Call, mode: Mode, row: Row) -> None:
    [trace] = observed.traces
    root = trace.root
    assert root.error == (row.kept_error or row.error)
    assert root.attributes.get("http.route") == row.route
    if call.start:
        assert len(call.header("x-trace-id")) == len(call.header("traceparent")) == 1
        if row.path != "/own-ids":
            assert call.header("x-trace-id") == [f"{root.trace_id:032x}"]
            assert call.header("traceparent") == [f"00-{root.trace_id:032x}-{root.span_id:016x}-01"]
    assert mode.requests() in (None, mode.counts), "the host's own measurements go on"
    servers = mode.spans(SpanKind.SERVER)
    if servers is not None:
        assert [(span.context.trace_id, span.context.span_id) for span in servers] == [(root.trace_id, root.span_id)]


@pytest.mark.parametrize("middlewares", MIDDLEWARES, ids=lambda names: "+".join(names) or "none")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("path", ["/api/v1/things/x", "/sub/deep/things/x", "/star/below/things/x", "/starlette/x"])
async def test_middlewares_change_nothing(
    middlewares: tuple[str, ...], when: str, path: str, mode: Mode, folder: Path
) -> None:
    app = service(folder, *(middlewares if when == "before" else ()))
    mode.prepare(app)
    observed = observe(app)
    if when == "after":
        from conformance.service import add_middleware

        for name in middlewares:
            add_middleware(app, name)
    assert (await get(app, path)).status == 200
    route = path[:-1] + "{thing}"
    assert observed.requests() == {("GET", route, "200", None): 1}
    assert mode.server_spans() in (None, 1)


async def test_a_body_of_1_mb_is_neither_buffered_nor_copied(mode: Mode, folder: Path) -> None:
    """The service gets the server's very messages, each as it asks for it."""
    sent = [{"type": "http.request", "body": bytes(65_536), "more_body": number < 15} for number in range(16)]
    order: list[tuple[str, int]] = []
    got: list[Message] = []
    app = service(folder)

    async def reads(scope: Any, receive: Any, send: Any) -> None:
        while not got or got[-1]["more_body"]:
            got.append(await receive())
            order.append(("got", len(got)))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async def receive() -> Message:
        order.append(("given", len(got) + 1))
        return sent[len(got)]

    async def send(message: Message) -> None: ...

    app.mount("/raw", reads)
    mode.prepare(app)
    observed = observe(app)
    await app(http_scope("/raw/", "POST"), receive, send)
    assert all(one is other for one, other in zip(got, sent, strict=True))
    assert order == [(what, number) for number in range(1, 17) for what in ("given", "got")]
    assert sum(observed.requests().values()) == 1
    assert mode.server_spans() in (None, 1)


async def preflight(app: Any) -> Call:
    headers = [(b"origin", b"https://other.test"), (b"access-control-request-method", b"GET")]
    return await get(app, "/plain", "OPTIONS", headers=headers)


async def test_a_preflight_that_a_middleware_answers_is_recorded(mode: Mode, folder: Path) -> None:
    app = service(folder, "cors")
    mode.prepare(app)
    observed = observe(app)
    assert (await preflight(app)).status == 200
    assert sum(observed.requests().values()) == 1


async def test_a_timeout_that_a_middleware_answers_is_recorded_as_its_answer(mode: Mode, folder: Path) -> None:
    app = service(folder, "patience")
    mode.prepare(app)
    observed = observe(app)
    call = await get(app, "/forever")
    assert (call.status, call.body) == (504, b"too slow")
    assert observed.requests() == {("GET", "/forever", "504", "504"): 1}
    assert observed.active() == 0
    assert mode.server_spans() in (None, 1)


async def converse(app: Any, path: str, *incoming: Message) -> Call:
    return await exchange(app, websocket_scope(path), [{"type": "websocket.connect"}, *incoming])


HELLO = {"type": "websocket.receive", "text": "hello"}


def leaves(code: int) -> Message:
    return {"type": "websocket.disconnect", "code": code}


@pytest.mark.parametrize(
    ("path", "incoming", "route", "error"),
    [
        ("/ws/7", [HELLO], "/ws/{room}", None),
        ("/ws-listens", [HELLO, leaves(1001)], "/ws-listens", None),
        ("/ws-listens", [HELLO, leaves(1006)], "/ws-listens", "client_disconnect"),
        ("/ws-breaks-later", [], "/ws-breaks-later", "RuntimeError"),
    ],
    ids=["accepted", "left", "dropped", "failed"],
)
async def test_an_accepted_websocket_is_a_stream_and_no_request(
    path: str, incoming: list[Message], route: str, error: str | None, mode: Mode, folder: Path
) -> None:
    app = service(folder)
    mode.prepare(app)
    observed = observe(app)
    call = await converse(app, path, *incoming)
    assert observed.requests() == {}
    assert observed.streams() == {("GET", route, "websocket"): 1}
    [trace] = observed.traces
    assert (trace.root.name, trace.root.error) == (f"WS {route}", error)
    accept = call.sent[0]
    assert (b"x-trace-id", f"{trace.root.trace_id:032x}".encode()) in accept["headers"]
    assert mode.server_spans() in (None, 1)


@pytest.mark.parametrize(
    ("path", "status", "error"), [("/ws-refused", "403", None), ("/ws-breaks", "500", "RuntimeError")]
)
async def test_a_refused_websocket_is_a_request(
    path: str, status: str, error: str | None, mode: Mode, folder: Path
) -> None:
    app = service(folder)
    mode.prepare(app)
    observed = observe(app)
    await converse(app, path)
    assert observed.requests() == {("GET", path, status, error): 1}
    assert observed.streams() == {}
    assert mode.server_spans() in (None, 1)
