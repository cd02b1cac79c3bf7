"""`Server-Timing` tells an admin where the time of a response went until it began, and nobody else anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse

from support.asgi import Clock, Observed, exchange, get, observe, websocket_scope
from watchglass import guard
from watchglass.instrumentation.budget import HTTP, MAX_WORK, POOL, note, part_of
from watchglass.instrumentation.server_timing import ServerTiming

ONE, OTHER = part_of("postgresql", "SELECT a"), part_of("postgresql", "SELECT b")
CACHE, OUTBOUND = part_of("redis", cache_type="page"), part_of(HTTP, address="api.test")
ADMIN = [(b"cookie", b"a=b; session=admin")]


class Door:
    """Lets in who says so, and remembers who was looked at."""

    def __init__(self) -> None:
        self.looked_at: list[bytes] = []

    def __call__(self, cookies: bytes) -> bool:
        self.looked_at.append(cookies)
        return cookies.endswith(b"session=admin")


def service(handler: Callable[..., Any], clock: Clock, is_admin: Callable[[bytes], bool] | None = None) -> Observed:
    app = FastAPI()
    app.add_api_route("/", handler)
    return observe(app, clock=clock, timing=ServerTiming(b"session=", is_admin or Door()))


async def test_the_parts_add_up_to_the_time_until_the_response_began() -> None:
    clock = Clock()

    async def handler() -> None:
        for part, seconds in ((POOL, 0.25), (ONE, 1.0), (OTHER, 2.0), (CACHE, 0.5), (OUTBOUND, 4.0)):
            note(part, clock.now, clock.now + seconds)
            clock.advance(seconds)
        clock.advance(0.0625)

    call = await get(service(handler, clock).app, "/", headers=ADMIN)
    assert call.header("server-timing") == [
        "total;dur=7812.5, pool;dur=250.0, db;dur=3000.0, redis;dur=500.0, http;dur=4000.0, app;dur=62.5"
    ]


async def test_what_waits_at_the_same_time_counts_once() -> None:
    clock = Clock()

    async def handler() -> None:
        async def wait(start: float) -> None:
            await asyncio.sleep(0)
            note(ONE, start, start + 1.0)

        await asyncio.gather(wait(clock.now), wait(clock.now))
        clock.advance(1.5)

    call = await get(service(handler, clock).app, "/", headers=ADMIN)
    assert call.header("server-timing") == ["total;dur=1500.0, db;dur=1000.0, app;dur=500.0"]


async def test_a_stream_tells_what_was_before_it_and_is_measured_as_ever() -> None:
    clock = Clock()

    async def chunks() -> AsyncIterator[bytes]:
        note(CACHE, clock.now, clock.now + 0.5)
        clock.advance(0.5)
        yield b"one"
        yield b"two"

    async def handler() -> StreamingResponse:
        note(ONE, clock.now, clock.now + 1.0)
        clock.advance(1.0)
        return StreamingResponse(chunks())

    observed = service(handler, clock)
    call = await get(observed.app, "/", headers=ADMIN)
    assert call.header("server-timing") == ["total;dur=1000.0, db;dur=1000.0, app;dur=0.0"]
    assert call.body == b"onetwo"
    assert observed.seconds() == [1.5]


async def test_thousands_of_commands_are_in_it_too_and_their_budget_is_as_ever() -> None:
    clock = Clock()

    async def handler() -> None:
        for _ in range(MAX_WORK + 500):
            note(CACHE, clock.now, clock.now + 0.001)
            clock.advance(0.002)

    observed, alone = service(handler, clock), service(handler, clock)
    call = await get(observed.app, "/", headers=ADMIN)
    await get(alone.app, "/")
    assert call.header("server-timing") == ["total;dur=3000.0, redis;dur=1500.0, app;dur=1500.0"]
    assert sorted(observed.seconds()) == pytest.approx(sorted(alone.seconds()))


async def test_what_the_service_says_itself_stays() -> None:
    async def handler() -> JSONResponse:
        return JSONResponse("x", headers={"Server-Timing": "cache;desc=hit"})

    call = await get(service(handler, Clock()).app, "/", headers=ADMIN)
    assert call.header("server-timing") == ["cache;desc=hit", "total;dur=0.0, app;dur=0.0"]


async def test_an_error_tells_it_too() -> None:
    async def handler() -> None:
        raise HTTPException(503)

    call = await get(service(handler, Clock()).app, "/", headers=ADMIN)
    assert (call.status, len(call.header("server-timing"))) == (503, 1)


@pytest.mark.parametrize(
    ("headers", "looks"),
    [
        ([], 0),
        ([(b"cookie", b"a=b; theme=dark")], 0),
        ([(b"authorization", b"session=admin")], 0),
        ([(b"cookie", b"session=viewer")], 1),
        ([(b"cookie", b"theme=dark"), (b"cookie", b"session=forged")], 1),
    ],
    ids=["no cookie", "other cookies", "another header", "a viewer", "forged"],
)
async def test_nobody_else_gets_it_and_who_has_no_cookie_of_ours_is_not_even_looked_at(
    headers: list[tuple[bytes, bytes]], looks: int
) -> None:
    async def handler() -> None: ...

    door = Door()
    call = await get(service(handler, Clock(), door).app, "/", headers=headers)
    assert call.header("server-timing") == []
    assert len(door.looked_at) == looks


async def test_the_cookies_of_several_headers_are_read() -> None:
    async def handler() -> None: ...

    call = await get(service(handler, Clock()).app, "/", headers=[(b"cookie", b"theme=dark"), *ADMIN])
    assert len(call.header("server-timing")) == 1


async def test_a_websocket_has_none() -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def accepted(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    observed = observe(app, timing=ServerTiming(b"session=", Door()))
    scope = websocket_scope("/ws", headers=ADMIN)
    call = await exchange(observed.app, scope, [{"type": "websocket.connect"}])
    assert all(name != b"server-timing" for name, _ in call.sent[0]["headers"])


async def test_whoever_cannot_be_told_gets_the_plain_response(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler() -> str:
        return "here"

    def broken(cookies: bytes) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(guard, "strict", False)
    call = await get(service(handler, Clock(), broken).app, "/", headers=ADMIN)
    assert (call.status, call.body, call.header("server-timing")) == (200, b'"here"', [])
