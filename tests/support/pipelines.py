"""A pipeline of one process, what it is given, and what is then in the store."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import asyncpg

from support.databases import run
from watchglass.analysis.windows import Window
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION, Meter
from watchglass.records import Instance, LogRecord, SpanRecord, Trace
from watchglass.store.reader import Group, Reader


def process(pid: int = 1) -> Instance:
    return Instance("shop", "", "1.0", os.urandom(8).hex(), "host-a", pid, time.time())


def answer(recorder: Recorder, route: str = "/a", status: str = "200", seconds: float = 0.1) -> None:
    recorder.histogram(HTTP_SERVER_REQUEST_DURATION, ("GET", route, status, None, "http")).record(seconds)


def line(message: str, time_ns: int | None = None) -> LogRecord:
    return LogRecord(time_ns or time.time_ns(), 9, "INFO", "shop", message, {"user": 7}, "ab" * 16, "cd" * 8)


def trace(route: str = "/a") -> Trace:
    now = time.time_ns()
    attributes = {"http.route": route, "http.request.method": "GET", "http.response.status_code": 500}
    root = SpanRecord(1 << 100, 1 << 60, None, f"GET {route}", "server", now - 2_000_000, now, attributes, "ValueError")
    child = SpanRecord(
        1 << 100, 5, 1 << 60, "SELECT", "client", now - 1_500_000, now - 500_000, {"db.system.name": "postgresql"}
    )
    return Trace(root, [root, child], "error", 3)


def select(dsn: str, meter: Meter, **more: object) -> list[Group]:
    async def ask() -> list[Group]:
        reader = Reader(dsn)
        try:
            return await reader.select(meter.name, Window(time.time() - 86_400, time.time() + 60), **more)  # type: ignore[arg-type]
        finally:
            await reader.close()

    return run(ask())


def fetch(dsn: str, query: str) -> list[asyncpg.Record]:
    async def ask() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetch(query)
        finally:
            await connection.close()

    return run(ask())


def until(condition: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@contextmanager
def writer_frozen(dsn: str) -> Iterator[None]:
    """The process of the server that the writer is connected to stands still."""
    [row] = fetch(dsn, "SELECT pid FROM pg_stat_activity WHERE application_name = 'watchglass writer'")
    os.kill(row["pid"], signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(row["pid"], signal.SIGCONT)
