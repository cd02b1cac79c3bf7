"""A request's duration is what its caller waited for, and known requests give exactly the known figures."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI, HTTPException, Request
from fastapi.responses import Response, StreamingResponse

from support.asgi import Clock, Message, body_of, exchange, get, http_scope, observe, websocket_scope
from watchglass import meters
from watchglass.analysis.buckets import bounds_of, pack
from watchglass.analysis.histograms import percentiles

STREAM = meters.HTTP_SERVER_STREAM_DURATION


def known_requests() -> list[tuple[str, int, float]]:
    """1,000 requests, (route, status, seconds): log-normal ones, and point masses on the edges of buckets."""
    chance = random.Random(7)
    routes = ["/fast/{n}", "/slow/{n}", "/edge/{n}"]
    requests = []
    for number in range(1_000):
        route = routes[number % 3]
        status = 200 if number % 10 else (404 if number % 20 else 503)
        if route == "/edge/{n}":
            seconds = bounds_of(-320 + 32 * (number % 4))[1]
        else:
            seconds = chance.lognormvariate(-5 if route == "/fast/{n}" else -2, 0.8)
        requests.append((route, status, seconds))
    return requests


def timed_service(clock: Clock) -> FastAPI:
    """Routes that take as long, and answer as, the request says."""
    app = FastAPI()

    async def answer(request: Request, n: int) -> dict[str, int]:
        clock.advance(float(request.query_params["seconds"]))
        if (status := int(request.query_params["status"])) != 200:
            raise HTTPException(status)
        return {"n": n}

    for path in ("/fast/{n}", "/slow/{n}", "/edge/{n}"):
        app.add_api_route(path, answer)
    return app


async def test_a_thousand_known_requests_give_exactly_their_counts_and_percentiles() -> None:
    clock = Clock()
    observed = observe(timed_service(clock), clock=clock)
    requests = known_requests()
    for number, (route, status, seconds) in enumerate(requests):
        clock.now = 0.0  # so that the edges of buckets are met to the last bit
        call = await get(observed.app, route.format(n=number), query=f"seconds={seconds!r}&status={status}")
        assert call.status == status

    expected = Counter(("GET", route, str(status), "503" if status == 503 else None) for route, status, _ in requests)
    assert observed.requests() == expected
    for route in {route for route, _, _ in requests}:
        known = sorted(seconds for other, _, seconds in requests if other == route)
        states = [s for s in observed.recorder.collect() if s.meter is meters.HTTP_SERVER_REQUEST_DURATION]
        mine = [s for s in states if s.values[1] == route]
        packed = b"".join(pack(s.buckets or {}) for s in mine)
        assert sum(s.sum for s in mine) == pytest.approx(math.fsum(known))
        found = percentiles([packed], QUANTILES, [min(s.min or 0 for s in mine)], [max(s.max or 0 for s in mine)])
        for q, value in zip(QUANTILES, found[0], strict=True):
            true = known[math.ceil(q * len(known)) - 1]
            assert value == pytest.approx(true, rel=0.022), (route, q)


QUANTILES = (0.5, 0.9, 0.95, 0.99, 1.0)


def stepping(clock: Clock, *steps: tuple[float, bytes]) -> Any:
    """A body whose chunks come after so many seconds each."""

    async def chunks() -> AsyncIterator[bytes]:
        for seconds, chunk in steps:
            clock.advance(seconds)
            yield chunk

    return chunks()


async def test_a_streams_duration_is_until_its_first_byte() -> None:
    app, clock = FastAPI(), Clock()

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        clock.advance(0.5)
        return StreamingResponse(stepping(clock, (1, b""), (2, b"first"), (60, b"second")))

    observed = observe(app, clock=clock)
    await get(app, "/stream")
    assert observed.seconds() == [pytest.approx(3.5)]
    assert observed.seconds(STREAM) == [pytest.approx(63.5)]


async def test_event_streams_are_streams_and_known_lengths_are_not() -> None:
    app, clock = FastAPI(), Clock()

    @app.get("/events")
    async def events() -> StreamingResponse:
        return StreamingResponse(stepping(clock, (1, b"data: x\n\n"), (9, b"")), media_type="text/event-stream")

    @app.get("/download")
    async def download() -> StreamingResponse:
        body = stepping(clock, (1, b"1234"), (9, b"5678"))
        return StreamingResponse(body, headers={"content-length": "8"})

    @app.get("/empty")
    async def empty() -> Response:
        clock.advance(4)
        return Response(status_code=204)

    observed = observe(app, clock=clock)
    for path in ("/events", "/download", "/empty"):
        await get(app, path)
    durations = {
        s.values[1]: s.sum for s in observed.recorder.collect() if s.meter.name == "http.server.request.duration"
    }
    assert durations == {"/events": pytest.approx(1), "/download": pytest.approx(10), "/empty": pytest.approx(4)}
    assert observed.streams() == {("GET", "/events", "http"): 1}


async def test_background_tasks_are_not_in_the_duration() -> None:
    app, clock = FastAPI(), Clock()

    async def later() -> None:
        clock.advance(100)

    @app.get("/")
    async def answer(tasks: BackgroundTasks) -> str:
        clock.advance(1)
        tasks.add_task(later)
        return "done"

    observed = observe(app, clock=clock)
    await get(app, "/")
    assert observed.seconds() == [pytest.approx(1)]
    [trace] = observed.traces
    assert trace.root.end_ns - trace.root.start_ns == 1_000_000_000


async def test_a_request_is_recorded_with_its_last_message_and_not_after_its_background_tasks() -> None:
    app, released = FastAPI(), asyncio.Event()

    @app.get("/")
    async def answer(tasks: BackgroundTasks) -> str:
        tasks.add_task(released.wait)
        return "done"

    observed = observe(app)
    call = asyncio.create_task(get(app, "/"))
    await asyncio.sleep(0.05)
    assert sum(observed.requests().values()) == 1
    assert observed.active() == 0
    assert observed.traces == []
    released.set()
    await call
    assert len(observed.traces) == 1


async def test_active_requests_are_those_under_way() -> None:
    app, released = FastAPI(), asyncio.Event()
    app.add_api_route("/", released.wait)
    observed = observe(app)
    calls = [asyncio.create_task(get(app, "/")) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert observed.active() == 3
    released.set()
    await asyncio.gather(*calls)
    assert observed.active() == 0


async def test_an_application_that_never_answers_is_an_error() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/half":
            await send({"type": "http.response.start", "status": 200, "headers": []})

    observed = observe(silent)
    for path in ("/none", "/half"):
        await get(observed.app, path)
    assert observed.requests() == {
        ("GET", None, None, "incomplete_response"): 1,
        ("GET", None, "200", "incomplete_response"): 1,
    }


async def test_an_exception_before_any_response_is_the_servers_500() -> None:
    async def breaks(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError

    observed = observe(breaks)
    assert isinstance((await get(observed.app, "/")).error, LookupError)
    assert observed.requests() == {("GET", None, "500", "LookupError"): 1}


async def test_a_file_sent_by_path_ends_the_response() -> None:
    clock = Clock()

    async def sends(scope: Any, receive: Any, send: Any) -> None:
        clock.advance(2)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        await send({"type": "http.response.pathsend", "path": "/nowhere"})
        clock.advance(5)

    observed = observe(sends, clock=clock)
    await get(observed.app, "/")
    assert observed.seconds() == [2]


async def test_messages_of_extensions_pass_untouched() -> None:
    sent: list[Message] = [
        {"type": "http.response.push", "path": "/style.css", "headers": []},
        {"type": "http.response.debug", "info": {}},
        {"type": "http.response.start", "status": 200, "headers": [], "trailers": True},
        {"type": "http.response.body", "body": b"x", "more_body": True},
        {"type": "http.response.body"},
        {"type": "http.response.trailers", "headers": [(b"checksum", b"1")]},
    ]

    async def sends(scope: Any, receive: Any, send: Any) -> None:
        for message in sent:
            await send(message)

    observed = observe(sends)
    call = await get(observed.app, "/")
    assert call.plain == sent
    assert sent[2]["headers"] == [], "the application's own message is not changed"
    assert sum(observed.requests().values()) == 1


async def test_a_large_body_is_handed_through_message_by_message() -> None:
    chunks = [{"type": "http.request", "body": bytes(65_536), "more_body": True} for _ in range(16)]
    received: list[Message] = []

    async def reads(scope: Any, receive: Any, send: Any) -> None:
        while True:
            received.append(message := await receive())
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    observed = observe(reads)
    await exchange(observed.app, http_scope("/", "POST"), [*chunks, *body_of()])
    assert all(passed is sent for passed, sent in zip(received, chunks, strict=False))


async def test_a_websockets_lifetime_is_recorded_until_either_side_ends_it() -> None:
    clock = Clock()

    async def socket(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        clock.advance(1)
        await send({"type": "websocket.accept"})
        clock.advance(10)
        await receive()
        clock.advance(100)

    observed = observe(socket, clock=clock)
    leaving = {"type": "websocket.disconnect", "code": 1001}
    await exchange(observed.app, websocket_scope("/"), [{"type": "websocket.connect"}, leaving])
    assert observed.seconds(STREAM) == [11]


async def test_a_refusal_with_a_response_of_its_own_has_its_status() -> None:
    async def refuses(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"no"})

    observed = observe(refuses)
    call = await exchange(observed.app, websocket_scope("/"), [{"type": "websocket.connect"}])
    assert len(call.header("x-trace-id")) == 1
    assert observed.requests() == {("GET", None, "401", None): 1}
