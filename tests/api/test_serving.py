"""The API runs on a loop of its own: the host's loop only passes messages across, and never notices."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from support.pipelines import until
from watchglass import guard
from watchglass.api import serving
from watchglass.api.serving import OwnLoop

Serve = Callable[..., str]


@pytest.fixture
def own() -> Iterator[OwnLoop]:
    loop = OwnLoop()
    yield loop
    loop.stop(timeout=5)


def inner() -> FastAPI:
    app = FastAPI()
    app.state.ended = threading.Event()
    app.state.sent = 0

    @app.get("/thread")
    async def thread() -> dict[str, Any]:
        return {
            "thread": threading.current_thread().name,
            "own_work": guard.own_work.get(),
            "instrumented by contrib": is_instrumentation_enabled(),
        }

    @app.post("/echo")
    async def echo(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                app.state.sent += 1
                yield b"tick\n"
                await asyncio.sleep(0.01)
        finally:
            app.state.ended.set()

    @app.get("/endless")
    async def stream() -> StreamingResponse:
        return StreamingResponse(endless())

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("a secret reason")

    async def breaks() -> AsyncIterator[bytes]:
        yield b"begun"
        raise RuntimeError("half way")

    @app.get("/breaks")
    async def half() -> StreamingResponse:
        return StreamingResponse(breaks())

    @app.get("/blocks")
    async def blocks(seconds: float) -> str:
        time.sleep(seconds)  # noqa: ASYNC251 - a read that hogs the own loop
        return "done"

    return app


async def test_the_application_runs_on_the_own_thread_and_as_own_work(own: OwnLoop, serve: Serve) -> None:
    url = serve(own.bridge(inner()), lifespan="off")
    async with httpx.AsyncClient() as client:
        answer = (await client.get(f"{url}/thread")).json()
    assert answer == {"thread": "watchglass-serve", "own_work": True, "instrumented by contrib": False}
    assert is_instrumentation_enabled(), "the host's own work goes on being observed"


async def test_what_the_own_loop_is_given_is_own_work_too(own: OwnLoop) -> None:
    async def marks() -> tuple[bool, bool]:
        return guard.own_work.get(), is_instrumentation_enabled()

    assert await asyncio.wrap_future(own.run(marks())) == (True, False)


async def test_bodies_cross_whole(own: OwnLoop, serve: Serve) -> None:
    url = serve(own.bridge(inner()), lifespan="off")
    async with httpx.AsyncClient() as client:
        assert (await client.post(f"{url}/echo", content=b"x" * 3_000_000)).text == "3000000"


async def test_a_stream_arrives_chunk_by_chunk_and_ends_when_the_client_leaves(own: OwnLoop, serve: Serve) -> None:
    app = inner()
    url = serve(own.bridge(app), lifespan="off")
    async with httpx.AsyncClient() as client, client.stream("GET", f"{url}/endless") as response:
        chunks = response.aiter_raw()
        assert (await anext(chunks)).startswith(b"tick\n")
        assert app.state.sent < 50
    assert await asyncio.to_thread(app.state.ended.wait, 2)


async def test_a_slow_reader_holds_the_sender_back(own: OwnLoop) -> None:
    app = inner()
    gate = asyncio.Event()
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == 3:
            await gate.wait()

    task = asyncio.create_task(own.bridge(app)(_scope("/endless"), receive, send))
    await asyncio.sleep(0.3)
    assert len(sent) == 3 and app.state.sent <= 3
    gate.set()
    await asyncio.sleep(0.2)
    assert len(sent) > 5
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(app.state.ended.wait, 2)


async def test_an_error_becomes_a_plain_500_that_tells_nothing(
    own: OwnLoop, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "strict", False)
    guard.errors.clear()

    async def raises(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("a secret reason")

    url = serve(own.bridge(raises), lifespan="off")
    async with httpx.AsyncClient() as client:
        response = await client.get(f"{url}/broken")
    assert response.status_code == 500
    assert response.text == "Watchglass failed to answer. The service is not affected.\n"
    await asyncio.to_thread(until, lambda: guard.errors["serving"] == 1)  # counted once the answer is on its way


async def test_a_stream_that_breaks_does_not_pass_for_a_whole_one(
    own: OwnLoop, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "strict", False)
    url = serve(own.bridge(inner()), lifespan="off")
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"{url}/breaks")


async def test_a_strict_guard_raises_to_the_test(own: OwnLoop) -> None:
    async def raises(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("shown to tests")

    with pytest.raises(RuntimeError, match="shown to tests"):
        await own.bridge(raises)(_scope("/"), _nothing, _swallow)


async def test_a_stuck_own_loop_does_not_hold_up_the_host(own: OwnLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "PATIENCE", 0.3)
    app = own.bridge(inner())
    stuck = asyncio.create_task(app(_scope("/blocks", b"seconds=1.5"), _nothing, _swallow))
    await asyncio.sleep(0.1)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    worst, begun = 0.0, time.perf_counter()
    other = asyncio.create_task(app(_scope("/thread"), _nothing, send))
    while not other.done():
        before = time.perf_counter()
        await asyncio.sleep(0.005)
        worst = max(worst, time.perf_counter() - before)
    assert time.perf_counter() - begun < 1.2
    assert worst < 0.15
    assert sent[0]["status"] == 503
    await stuck
    assert len(sent) == 2


async def test_open_streams_end_within_a_second_of_stop_and_as_whole_responses(own: OwnLoop, serve: Serve) -> None:
    app = inner()
    url = serve(own.bridge(app), lifespan="off")
    async with httpx.AsyncClient() as client, client.stream("GET", f"{url}/endless") as response:
        chunks = response.aiter_raw()
        await anext(chunks)
        begun = time.perf_counter()
        own.stop()
        async for _ in chunks:
            pass
        assert time.perf_counter() - begun < 1
    assert app.state.ended.is_set()


async def test_stopping_closes_what_was_registered_and_a_later_use_starts_again(own: OwnLoop) -> None:
    closed: list[str] = []

    async def closer() -> None:
        closed.append(threading.current_thread().name)

    async def name() -> str:
        return threading.current_thread().name

    own.at_stop(closer)
    assert await asyncio.wrap_future(own.run(name())) == "watchglass-serve"
    await asyncio.to_thread(own.stop, 3)
    assert closed == ["watchglass-serve"]
    assert await asyncio.wrap_future(own.run(name())) == "watchglass-serve"


def test_nothing_starts_before_it_is_used() -> None:
    before = threading.active_count()
    OwnLoop().bridge(inner())
    assert threading.active_count() == before


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_has_a_loop_of_its_own_and_leaves_the_parents_alone(own: OwnLoop) -> None:
    async def pid() -> int:
        return os.getpid()

    assert own.run(pid()).result(5) == os.getpid()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, str(own.run(pid()).result(5)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(reading, 20)) == child
    assert own.run(pid()).result(5) == os.getpid()
    os.close(reading)
    os.close(writing)


async def test_a_host_that_cancels_the_request_cancels_it_here(own: OwnLoop) -> None:
    cancelled = threading.Event()

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    task = asyncio.create_task(own.bridge(waits)(_scope("/"), _nothing, _swallow))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(cancelled.wait, 2)


async def test_a_client_that_breaks_off_is_no_error_of_ours(own: OwnLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "strict", False)
    guard.errors.clear()

    async def gone(message: Any) -> None:
        raise ConnectionResetError("peer")

    await own.bridge(inner())(_scope("/thread"), _nothing, gone)
    assert not guard.errors


async def test_a_websocket_crosses_and_is_closed_when_the_loop_stops(own: OwnLoop) -> None:
    app = inner()

    @app.websocket("/ws")
    async def echoes(socket: WebSocket) -> None:
        await socket.accept()
        while True:
            await socket.send_text((await socket.receive_text()).upper())

    came: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    went: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def send(message: Any) -> None:
        await went.put(message)

    scope = {**_scope("/ws"), "type": "websocket", "scheme": "ws", "subprotocols": []}
    task = asyncio.create_task(own.bridge(app)(scope, came.get, send))
    came.put_nowait({"type": "websocket.connect"})
    assert (await went.get())["type"] == "websocket.accept"
    for word in ("one", "two"):
        came.put_nowait({"type": "websocket.receive", "text": word})
        assert (await went.get())["text"] == word.upper()
    own.stop()
    assert await asyncio.wait_for(went.get(), 1) == {"type": "websocket.close", "code": 1001}
    await asyncio.wait_for(task, 1)


def _scope(path: str, query: bytes = b"") -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "scheme": "http",
        "headers": [(b"host", b"test")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }


async def _nothing() -> dict[str, Any]:
    await asyncio.sleep(60)
    return {"type": "http.disconnect"}


async def _swallow(message: Any) -> None:
    pass
