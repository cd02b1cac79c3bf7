"""Whoever watches the log lines of a real service loses none: to reconnecting, a deploy, or a store that is away."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import httpx
import pytest

from support.pipelines import fetch
from support.service import Service
from support.tailing import Stream, eventually
from support.unruly import Unruly
from watchglass.demo.servers.process import free_port
from watchglass.store.access import Access

WS = "/api/monitoring/logs/ws"


@asynccontextmanager
async def watching(url: str, *addresses: str) -> AsyncIterator[tuple[Stream, list[httpx.AsyncClient]]]:
    """A stream of someone who is logged in, and a client with that login for each address."""
    access = Access(url)
    token = await access.new_login_token()
    await access.database.close()
    cookies = httpx.Cookies()
    clients = [httpx.AsyncClient(base_url=address, cookies=cookies, timeout=30) for address in addresses]
    try:
        answer = await clients[0].post("/ui/monitoring/login", data={"token": token})
        assert answer.status_code == 303
        for client in clients[1:]:
            client.cookies.update(clients[0].cookies)
        yield Stream(clients[0]), clients
    finally:
        for client in clients:
            await client.aclose()


async def log(address: str, numbers: range) -> None:
    """Have the service log a line for each number."""
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:
        for number in numbers:
            assert (await client.get(f"/items/{number}")).status_code == 200
            await asyncio.sleep(0.01)


def shown(stream: Stream) -> list[str]:
    """The ids of the lines that requests wrote."""
    return [line["id"] for line in stream.lines if line["message"].startswith("request ")]


def stored(url: str) -> list[str]:
    rows = fetch(url, "SELECT instance_id, sequence, position FROM watchglass.logs WHERE message LIKE 'request %'")
    return ["-".join(map(str, row)) for row in rows]


async def test_a_viewer_who_reconnects_to_either_of_two_processes_gets_every_line_once(
    url: str, service: Service, tmp_path: Path
) -> None:
    service.flush()
    (tmp_path / "other").mkdir()
    with Service(url, tmp_path / "other") as other:
        other.flush()
        async with watching(url, service.url, other.url) as (stream, clients):
            async with stream.listening():
                pass
            load = [asyncio.ensure_future(log(one.url, range(300))) for one in (service, other)]
            number = 0
            while not all(one.done() for one in load):
                number += 1
                stream._client = clients[number % 2]
                async with stream.listening():
                    await asyncio.sleep(0.5)
                await asyncio.sleep(0.1)
            await asyncio.gather(*load)
            service.flush()
            other.flush()
            async with stream.listening():
                await eventually(lambda: len(shown(stream)) >= 600)
                await asyncio.sleep(1.5)
    assert number >= 3
    assert sorted(shown(stream)) == sorted(stored(url))
    assert len(stored(url)) == 600
    assert stream.named("skipped") == []
    assert len({line["instance"] for line in stream.lines}) == 2


async def test_a_store_that_is_away_is_said_once_and_nothing_is_missing_when_it_is_back(
    server: Unruly, url: str, service: Service
) -> None:
    service.flush()
    async with watching(url, service.url) as (stream, _), stream.listening():
        await log(service.url, range(10))
        await eventually(lambda: len(shown(stream)) == 10)
        server.stop()
        await log(service.url, range(10, 30))
        await eventually(lambda: len(stream.named("unavailable")) == 1)
        await asyncio.sleep(3)
        server.start()
        await log(service.url, range(30, 40))
        await eventually(lambda: len(shown(stream)) == 40)
        await asyncio.sleep(1)
        assert sorted(shown(stream)) == sorted(stored(url))
        assert len(stream.named("unavailable")) == 1
        assert stream.named("available")


async def test_who_comes_while_the_store_is_away_is_told_and_sees_lines_once_it_is_back(
    server: Unruly, url: str, service: Service
) -> None:
    service.flush()
    async with watching(url, service.url) as (stream, _):
        async with stream.listening():
            await log(service.url, range(5))
            await eventually(lambda: len(shown(stream)) == 5)
        server.stop()
        listening = asyncio.ensure_future(stream.listen())
        await eventually(lambda: len(stream.named("unavailable")) >= 1 or listening.done())
        server.start()
        await log(service.url, range(5, 10))
        await eventually(lambda: len(shown(stream)) == 10 or listening.done())
        assert sorted(shown(stream)) == sorted(stored(url))
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_a_viewer_holds_up_no_deploy(url: str, service: Service) -> None:
    """uvicorn waits for open responses before it tells the application that it ends; ours end at the signal."""
    service.flush()
    async with watching(url, service.url) as (stream, clients), aiohttp.ClientSession() as session:
        cookies = "; ".join(f"{name}={value}" for name, value in clients[0].cookies.items())
        async with session.ws_connect(service.url + WS, headers={"cookie": cookies}) as socket, stream.listening():
            assert (await socket.receive_json(timeout=30))["type"] == "hello"
            began = time.monotonic()
            os.kill(service.pid, signal.SIGTERM)
            await eventually(lambda: bool(stream.named("end")))
            message = await socket.receive(timeout=30)
            while message.type is aiohttp.WSMsgType.TEXT:
                message = await socket.receive(timeout=30)
            ended = time.monotonic() - began
            assert message.type is aiohttp.WSMsgType.CLOSE
    await asyncio.to_thread(service.stop)  # fails where the process hangs
    assert ended < 10
    print(f"streams ended {ended:.3f} s after the signal")


async def test_logging_out_ends_the_streams_of_that_session(url: str, service: Service) -> None:
    service.flush()
    async with watching(url, service.url) as (stream, clients), stream.listening():
        session = (await clients[0].get("/api/monitoring/session")).json()
        answer = await clients[0].post("/ui/monitoring/logout", headers={"x-csrf-token": session["csrf_token"]})
        assert answer.status_code == 303
        await eventually(lambda: bool(stream.named("end")), 90)
        assert stream.named("end") == [{"reason": "The session is over. Log in again."}]


@pytest.fixture
def beside(url: str, service: Service) -> Callable[[], tuple[subprocess.Popen[bytes], str]]:
    """`watchglass serve` on the service's store: the process and its address."""

    def start() -> tuple[subprocess.Popen[bytes], str]:
        port = free_port()
        command = [sys.executable, "-m", "watchglass", "serve", "--port", str(port), "--service", "shop"]
        process = subprocess.Popen(command, env={**os.environ, "DATABASE_URL": url}, stdout=subprocess.DEVNULL)
        return process, f"http://127.0.0.1:{port}"

    return start


async def test_watchglass_serve_streams_too_and_ends_at_once(
    url: str, service: Service, beside: Callable[[], tuple[subprocess.Popen[bytes], str]]
) -> None:
    service.flush()
    process, address = beside()
    try:
        await eventually(lambda: _answers(address))
        async with watching(url, address) as (stream, _), stream.listening():
            await log(service.url, range(5))
            await eventually(lambda: len(shown(stream)) == 5)
            process.terminate()
            await eventually(lambda: bool(stream.named("end")))
        assert await asyncio.to_thread(process.wait, 30) == 0
    finally:
        process.kill()
        process.wait()


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health/live").status_code == 200
    except httpx.TransportError:
        return False
