"""A blocked event loop leaves the stack of who blocked it; a healthy one leaves nothing."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from support.asgi import get, observe
from watchglass import meters
from watchglass.instrumentation import watchdog
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.runtime import RuntimeInstrumentor
from watchglass.records import LogRecord

NAME = "watchglass-watchdog"


@pytest.fixture
def lines() -> list[LogRecord]:
    return []


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def instrumentor(recorder: Recorder, lines: list[LogRecord]) -> Iterator[RuntimeInstrumentor]:
    instrumentor = RuntimeInstrumentor()
    instrumentor.instrument(recorder=recorder, offer_log=lines.append, blocked_seconds=0.2)
    yield instrumentor
    instrumentor.uninstrument()


def expensive(seconds: float = 0.7) -> None:
    secret = "hunter2"
    time.sleep(seconds)
    assert secret


def watchdogs() -> int:
    return sum(thread.name == NAME for thread in threading.enumerate())


async def ended() -> None:
    for _ in range(100):
        if not watchdogs():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the thread did not end")


async def test_who_blocks_the_loop_is_reported_once_with_its_stack_and_without_variables(
    instrumentor: RuntimeInstrumentor, lines: list[LogRecord], recorder: Recorder
) -> None:
    instrumentor.watch_loop()
    await asyncio.sleep(0.25)
    expensive()
    await asyncio.sleep(0.25)
    instrumentor.leave_loop()
    [line] = lines
    assert (line.level, line.severity, line.logger) == ("warning", 13, "watchglass.event_loop")
    assert " s by expensive (test_watchdog.py:" in line.message
    assert line.fields["code.function.name"] == "expensive"
    assert 0.2 <= line.fields["watchglass.blocked.seconds"] < 0.7
    stack = line.fields["code.stacktrace"].splitlines()
    assert stack[-1].startswith(__file__) and stack[-1].endswith(" expensive")
    assert "test_who_blocks_the_loop" in stack[-2]
    assert "hunter2" not in str(line)
    [blocks] = [state.sum for state in recorder.collect() if state.meter is meters.EVENT_LOOP_BLOCKED]
    assert blocks == 1


async def test_the_report_leads_to_the_request_that_blocks(
    instrumentor: RuntimeInstrumentor, lines: list[LogRecord]
) -> None:
    app = FastAPI()

    @app.get("/report")
    async def report() -> None:
        expensive()

    observed = observe(app)
    instrumentor.watch_loop()
    await asyncio.sleep(0.15)
    await get(observed.app, "/report")
    instrumentor.leave_loop()
    [line] = lines
    [trace] = observed.traces
    assert (line.trace_id, line.span_id) == (f"{trace.root.trace_id:032x}", f"{trace.root.span_id:016x}")


async def test_a_loop_that_waits_is_not_blocked(instrumentor: RuntimeInstrumentor, lines: list[LogRecord]) -> None:
    instrumentor.watch_loop()
    await asyncio.sleep(0.6)
    await asyncio.to_thread(time.sleep, 0.5)
    instrumentor.leave_loop()
    assert lines == []


async def test_reports_are_limited_and_the_next_one_says_how_many_there_were(
    instrumentor: RuntimeInstrumentor, lines: list[LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    instrumentor.watch_loop()
    for _ in range(3):
        await asyncio.sleep(0.25)
        expensive(0.6)
    await asyncio.sleep(0.25)
    assert len(lines) == 1
    monkeypatch.setattr(watchdog, "EVERY", 0.0)
    expensive(0.6)
    instrumentor.leave_loop()
    assert [line.fields.get("watchglass.blocked.unreported") for line in lines] == [None, 2]


async def test_the_thread_ends_with_the_last_loop_and_starts_again(instrumentor: RuntimeInstrumentor) -> None:
    await ended()
    for _ in range(2):
        instrumentor.watch_loop()
        assert watchdogs() == 1
        instrumentor.leave_loop()
        await ended()
    instrumentor.watch_loop()
    instrumentor.uninstrument()
    await ended()


async def test_nobody_is_blamed_when_the_whole_process_stood_still(
    instrumentor: RuntimeInstrumentor, lines: list[LogRecord]
) -> None:
    instrumentor.watch_loop()
    waker = await asyncio.create_subprocess_shell(
        f"sleep 0.1; kill -STOP {os.getpid()}; sleep 0.6; kill -CONT {os.getpid()}", stdin=asyncio.subprocess.DEVNULL
    )
    await asyncio.sleep(0.9)
    await waker.wait()
    instrumentor.leave_loop()
    assert lines == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_forked_child_watches_its_own_loop() -> None:
    read, write = os.pipe()

    async def block(instrumentor: RuntimeInstrumentor) -> None:
        instrumentor.watch_loop()
        await asyncio.sleep(0.15)
        expensive()
        instrumentor.leave_loop()

    async def parent(instrumentor: RuntimeInstrumentor) -> None:
        instrumentor.watch_loop()
        await asyncio.sleep(0)

    found: list[Any] = []
    instrumentor = RuntimeInstrumentor()
    instrumentor.instrument(recorder=Recorder(), offer_log=found.append, blocked_seconds=0.2)
    asyncio.run(parent(instrumentor))
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(block(instrumentor))
            os.write(write, str(len(found)).encode())
        finally:
            os._exit(0)
    os.close(write)
    _, status = os.waitpid(pid, 0)
    answer = os.read(read, 10)
    os.close(read)
    instrumentor.uninstrument()
    assert (answer, os.WEXITSTATUS(status), os.WIFSIGNALED(status)) == (b"1", 0, False)
