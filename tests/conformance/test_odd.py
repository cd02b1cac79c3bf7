"""Servers that say only what ASGI asks of them, and applications that say it in unusual ways."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router

from conformance.modes import Mode
from support.asgi import Call, Message, body_of, exchange, get, http_scope, observe, websocket_scope
from watchglass import guard
from watchglass.instrumentation import exchange as exchanges
from watchglass.instrumentation import websocket

HEADERS = [(b"host", b"service.test"), (b"aa", b"1"), (b"aa", b"2")]


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(repr(request.headers.raw))


class Once:
    """An application that answers with headers which can be read only once; a WebSocket as well."""

    headers = ((b"content-length", b"0"), (b"own", b"1"))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept", "headers": iter(self.headers)})
            return
        await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": iter(self.headers)})
        await send({"type": "http.response.body"})


def as_is(scope: Message) -> Message:
    return scope


def of_an_iterator(scope: Message) -> Message:
    return {**scope, "headers": iter(HEADERS)}


def of_a_tuple(scope: Message) -> Message:
    return {**scope, "headers": tuple(HEADERS)}


def of_lists(scope: Message) -> Message:
    return {**scope, "headers": [list(pair) for pair in HEADERS]}


def without_what_may_be_missing(scope: Message) -> Message:
    missing = ("client", "server", "root_path", "raw_path", "state", "scheme")
    return {name: value for name, value in scope.items() if name not in missing}


def of_another_mapping(scope: Message) -> Any:
    return UserDict(scope)


async def asked(app: Any, make: Callable[[Message], Any], **more: Any) -> Call:
    return await exchange(app, make(http_scope("/echo", headers=HEADERS[1:], **more)), body_of())


@pytest.mark.parametrize(
    "make", [as_is, of_an_iterator, of_a_tuple, of_lists, without_what_may_be_missing, of_another_mapping]
)
async def test_whatever_kind_of_scope_a_server_makes(make: Callable[[Message], Any], mode: Mode) -> None:
    def service() -> FastAPI:
        app = FastAPI()
        app.add_route("/echo", echo)
        return app

    alone, app = await asked(service(), make), service()
    mode.prepare(app)
    observed = observe(app, excluded_urls="/nothing-of-the-sort")
    call = await asked(observed.app, make)
    assert call.plain == alone.plain and call.error is None
    assert observed.requests() == {("GET", "/echo", "200", None): 1}
    assert mode.server_spans() in (None, 1)


async def test_a_method_in_small_letters_is_another_one(mode: Mode) -> None:
    app = FastAPI()
    app.add_route("/echo", echo)
    mode.prepare(app)
    observed = observe(app)
    assert (await asked(observed.app, as_is, method="get")).status == 405
    assert observed.requests() == {("_OTHER", "/echo", "405", None): 1}


def list_of(headers: Iterable[Any]) -> list[Any]:
    return [pair for pair in headers if pair[0] not in (b"x-trace-id", b"traceparent")]


@pytest.mark.parametrize("broken", [False, True])
async def test_headers_that_can_be_read_once_are_sent_whole(broken: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where we fail behind the reading."""
    observed = observe(Once())
    if broken:
        monkeypatch.setattr(guard, "strict", False)
        for module in (exchanges, websocket):
            monkeypatch.setattr(module, "response_headers", lambda *_: 1 / 0)
    answer = await get(observed.app, "/")
    assert list_of(answer.headers) == list(Once.headers)
    socket = await exchange(observed.app, websocket_scope("/"), [{"type": "websocket.connect"}])
    assert list_of(socket.sent[0]["headers"]) == list(Once.headers)
    assert (len(answer.headers) == 2) == broken
    assert observed.requests() == {("GET", None, "200", None): 1}


async def test_what_is_included_or_mounted_twice_has_a_route_for_each_place(mode: Mode) -> None:
    inner, outer, sub = APIRouter(), APIRouter(prefix="/outer"), FastAPI()
    inner.add_api_route("/things/{thing}", lambda thing: thing)
    outer.include_router(inner, prefix="/inner")
    sub.include_router(inner)
    sub.mount("/below", Router([Mount("/more", routes=[Route("/{star}", lambda request: PlainTextResponse("*"))])]))
    app = FastAPI()
    for prefix in ("", "/v1", "/of/{tenant}"):
        app.include_router(inner, prefix=prefix)
        app.include_router(outer, prefix=prefix)
    app.mount("/sub", sub)
    app.mount("/subs/{name}", sub)
    mode.prepare(app)
    observed = observe(app)
    places = ["/things/{thing}", "/outer/inner/things/{thing}"]
    routes = [f"{prefix}{place}" for prefix in ("", "/v1", "/of/{tenant}") for place in places]
    mounted = [f"{mount}{place}" for mount in ("/sub", "/subs/{name}") for place in (places[0], "/below/more/{star}")]
    for route in routes + mounted:
        assert (await get(observed.app, route.replace("{", "").replace("}", ""))).status == 200
    assert observed.requests() == {("GET", route, "200", None): 1 for route in routes + mounted}


class Unwilling(FastAPI):
    """An application that allows no subclass without a word."""

    def __init_subclass__(cls, *, word: str, **options: Any) -> None:
        if not word:
            raise ValueError("which word?")


class Strict(FastAPI):
    """The same, which says so by an error of its own."""

    def __init_subclass__(cls, **options: Any) -> None:
        raise ValueError("no subclasses, please")


@pytest.mark.parametrize("kind", [Unwilling, Strict])
async def test_an_application_that_allows_no_subclass_is_wrapped(kind: Callable[[], FastAPI]) -> None:
    app = kind()
    app.add_route("/echo", echo)
    observed = observe(app)
    assert (await get(observed.app, "/echo")).status == 200
    assert observed.requests() == {("GET", "/echo", "200", None): 1}
