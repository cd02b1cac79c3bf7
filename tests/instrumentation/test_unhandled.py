"""What nobody handled is kept once, as a line of the log, and printed or reported as it always was."""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import logging
import re
import subprocess
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

import watchglass
from support.databases import run
from support.pipelines import until
from watchglass import guard
from watchglass.instrumentation.log_capture import LogCapture
from watchglass.instrumentation.logs import LoggingInstrumentor
from watchglass.records import LogRecord
from watchglass.settings import Settings
from watchglass.wiring import unobserve

SECRET = "2retnuh"[::-1]


@pytest.fixture
def kept() -> list[LogRecord]:
    return []


@pytest.fixture
def hooks_of_the_test() -> Iterator[list[Any]]:
    """Python's hooks are the test's own, silent and listed, and are put back."""
    called: list[Any] = []
    before = sys.excepthook, sys.unraisablehook, threading.excepthook
    sys.excepthook = lambda *args: called.append(args[1])
    sys.unraisablehook = lambda args: called.append(type(args.exc_value))
    threading.excepthook = lambda args: called.append(args.exc_value)
    yield called
    sys.excepthook, sys.unraisablehook, threading.excepthook = before


@pytest.fixture
def instrumented(kept: list[LogRecord], hooks_of_the_test: list[Any]) -> Iterator[LoggingInstrumentor]:
    instrumentor = LoggingInstrumentor()
    instrumentor.instrument(offer_log=kept.append, key=b"key")
    yield instrumentor
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


def failure() -> ValueError:
    try:
        raise ValueError(f"password={SECRET}")
    except ValueError as error:
        return error


def uncaught(error: BaseException) -> None:
    sys.excepthook(type(error), error, error.__traceback__)


def test_an_uncaught_exception_is_kept_and_the_hosts_hook_called(
    instrumented: LoggingInstrumentor, kept: list[LogRecord], hooks_of_the_test: list[Any]
) -> None:
    error = failure()
    uncaught(error)

    (record,) = kept
    assert (record.level, record.logger, record.message) == ("CRITICAL", "sys.excepthook", "Uncaught exception")
    assert record.exception is not None
    assert record.exception.startswith("Traceback") and record.exception.endswith("ValueError: password=[redacted]")
    assert hooks_of_the_test == [error]


def test_an_exception_that_ends_a_thread_is_kept(
    instrumented: LoggingInstrumentor, kept: list[LogRecord], hooks_of_the_test: list[Any]
) -> None:
    def fail() -> None:
        raise failure()

    thread = threading.Thread(target=fail, name="worker-7")
    thread.start()
    thread.join()

    (record,) = kept
    assert (record.level, record.logger) == ("ERROR", "threading.excepthook")
    assert record.fields == {"thread.name": "worker-7"}
    assert record.exception is not None and SECRET not in repr(record)
    assert len(hooks_of_the_test) == 1


def test_an_exception_that_python_ignores_is_kept(
    instrumented: LoggingInstrumentor, kept: list[LogRecord], hooks_of_the_test: list[Any]
) -> None:
    class Resource:
        def __del__(self) -> None:
            raise failure()

    Resource()
    gc.collect()

    (record,) = kept
    assert record.logger == "sys.unraisablehook"
    assert record.message.startswith("Exception ignored in") and "Resource.__del__" in record.message
    assert record.exception is not None and SECRET not in repr(record)
    assert hooks_of_the_test == [ValueError]


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), SystemExit(1)])
def test_the_end_of_a_program_is_no_error(
    instrumented: LoggingInstrumentor, kept: list[LogRecord], hooks_of_the_test: list[Any], ending: BaseException
) -> None:
    uncaught(ending)

    assert kept == []
    assert hooks_of_the_test == [ending]


def test_a_hook_of_the_hosts_that_logs_the_exception_makes_the_one_record(
    kept: list[LogRecord], hooks_of_the_test: list[Any]
) -> None:
    error = failure()
    sys.excepthook = lambda *args: logging.getLogger("shop").critical("going down", exc_info=args)
    LoggingInstrumentor().instrument(offer_log=kept.append)
    try:
        uncaught(error)
    finally:
        LoggingInstrumentor().uninstrument()

    assert [(record.logger, record.message) for record in kept] == [("shop", "going down")]


def test_a_hook_that_logs_something_else_does_not_hide_the_exception(
    kept: list[LogRecord], hooks_of_the_test: list[Any]
) -> None:
    sys.excepthook = lambda *_: logging.getLogger("shop").critical("bye")
    LoggingInstrumentor().instrument(offer_log=kept.append)
    try:
        uncaught(failure())
    finally:
        LoggingInstrumentor().uninstrument()

    assert [record.message for record in kept] == ["bye", "Uncaught exception"]


def test_a_hook_that_is_set_later_is_heard_too_and_no_exception_twice(
    instrumented: LoggingInstrumentor, kept: list[LogRecord], hooks_of_the_test: list[Any]
) -> None:
    ours = sys.excepthook
    sys.excepthook = later = functools.partial(ours)
    instrumented.meet()
    instrumented.meet()
    uncaught(failure())

    assert len(kept) == len(hooks_of_the_test) == 1
    instrumented.uninstrument()
    assert sys.excepthook is later
    uncaught(failure())
    assert len(kept) == 1
    assert len(hooks_of_the_test) == 2


def test_uninstrumenting_puts_every_hook_back(hooks_of_the_test: list[Any]) -> None:
    def current() -> list[Any]:
        loop = vars(asyncio.BaseEventLoop)["call_exception_handler"]
        return [sys.excepthook, sys.unraisablehook, threading.excepthook, vars(warnings)["_showwarnmsg"], loop]

    before = current()
    for _ in range(2):
        LoggingInstrumentor().instrument(offer_log=lambda record: None)
        assert not any(one is other for one, other in zip(current(), before, strict=True))
        LoggingInstrumentor().uninstrument()
        assert current() == before


def test_without_capture_no_hook_is_entered(hooks_of_the_test: list[Any]) -> None:
    before = sys.excepthook
    LoggingInstrumentor().instrument(offer_log=None)
    try:
        assert sys.excepthook is before
    finally:
        LoggingInstrumentor().uninstrument()


async def fail_unseen() -> None:
    async def fail() -> None:
        raise failure()

    task = asyncio.create_task(fail(), name="forgotten")
    await asyncio.wait([task])
    del task
    gc.collect()


async def test_a_task_that_nobody_awaits_is_kept_once(instrumented: LoggingInstrumentor, kept: list[LogRecord]) -> None:
    await fail_unseen()

    (record,) = kept
    assert record.logger == "asyncio"
    assert record.message.startswith("Task exception was never retrieved")
    assert record.exception is not None and SECRET not in repr(record)


async def test_a_handler_of_the_hosts_for_its_loop_is_called_and_the_exception_kept(
    instrumented: LoggingInstrumentor, kept: list[LogRecord]
) -> None:
    called: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: called.append(context["message"]))
    await fail_unseen()

    (record,) = kept
    assert (record.logger, record.message) == ("asyncio", "Task exception was never retrieved")
    assert record.fields == {"task": "forgotten"}
    assert record.exception is not None and SECRET not in repr(record)
    assert called == ["Task exception was never retrieved"]


def test_uvloops_handlers_are_heard_too(kept: list[LogRecord], hooks_of_the_test: list[Any]) -> None:
    uvloop = pytest.importorskip("uvloop")
    LoggingInstrumentor().instrument(offer_log=kept.append)
    loop = uvloop.new_event_loop()
    try:
        loop.set_exception_handler(lambda *_: None)
        loop.run_until_complete(fail_unseen())
    finally:
        loop.close()
        LoggingInstrumentor().uninstrument()

    assert [(record.logger, record.fields) for record in kept] == [("asyncio", {"task": "forgotten"})]


def test_a_warning_that_is_caught_is_nobodys_line(instrumented: LoggingInstrumentor, kept: list[LogRecord]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn("x", stacklevel=1)

    assert len(caught) == 1
    assert kept == []


PROGRAM = """
import asyncio, gc, json, logging, sys, threading, tracemalloc, warnings
kept = []
if sys.argv[1] == "yes":
    from watchglass.instrumentation.logs import LoggingInstrumentor
    LoggingInstrumentor().instrument(offer_log=kept.append)
tracemalloc.start(5)
warnings.simplefilter("always")
warnings.warn("by itself, password=" + "2retnuh"[::-1], DeprecationWarning)
def leak():
    open("/dev/null")
leak()
gc.collect()
logging.captureWarnings(True)
warnings.warn("captured")
logging.basicConfig(format="%(levelname)s|%(name)s|%(message)s")
warnings.warn("captured and configured")
logging.captureWarnings(False)
def fail():
    raise ValueError("in a thread")
thread = threading.Thread(target=fail, name="worker")
thread.start()
thread.join()
class Resource:
    def __del__(self):
        raise ValueError("in a finalizer")
Resource()
async def forget(handler):
    asyncio.get_running_loop().set_exception_handler(handler)
    async def fail():
        raise ValueError("in a task")
    task = asyncio.create_task(fail(), name="forgotten")
    await asyncio.wait([task])
    del task
    gc.collect()
asyncio.run(forget(None))
asyncio.run(forget(lambda loop, context: print(context["message"], file=sys.stderr)))
def tell():
    print(json.dumps([[r.logger, r.message, r.fields, r.exception] for r in kept]))
import atexit
atexit.register(tell)
try:
    1 / 0
except ZeroDivisionError as error:
    error.add_note("a note")
    raise ExceptionGroup("at the end", [error, KeyError("x")]) from error
"""


def test_a_program_prints_byte_for_byte_what_it_always_did_and_each_is_kept_once() -> None:
    runs = [
        subprocess.run([sys.executable, "-c", PROGRAM, flag], capture_output=True, text=True, timeout=60, check=False)
        for flag in ("no", "yes")
    ]
    shown = [re.sub("0x[0-9a-f]+", "0x", run.stderr) for run in runs]

    assert [run.returncode for run in runs] == [1, 1]
    assert "Object allocated at" in shown[0] and "Exception Group" in shown[0]
    assert shown[1] == shown[0]
    kept = json.loads(runs[1].stdout)
    assert [(logger, message.split("\n")[0].split(" (")[0]) for logger, message, *_ in kept] == [
        ("py.warnings", "DeprecationWarning: by itself, password=[redacted]"),
        (
            "py.warnings",
            "ResourceWarning: unclosed file <_io.TextIOWrapper name='/dev/null' mode='r' encoding='UTF-8'>",
        ),
        ("py.warnings", "<string>:15: UserWarning: captured"),
        ("py.warnings", "<string>:17: UserWarning: captured and configured"),
        ("threading.excepthook", "Uncaught exception in a thread"),
        ("sys.unraisablehook", "Exception ignored in: Resource.__del__"),
        ("asyncio", "Task exception was never retrieved"),
        ("asyncio", "Task exception was never retrieved"),
        ("sys.excepthook", "Uncaught exception"),
    ]
    assert kept[1][1].startswith("ResourceWarning: unclosed file <_io.TextIOWrapper name='/dev/null'")
    assert kept[0][2] == {"code.file.path": "<string>", "code.line.number": 9}
    assert "a note" in kept[-1][3] and "KeyError: 'x'" in kept[-1][3]


def test_an_error_of_ours_reaches_nobody_who_fails(
    instrumented: LoggingInstrumentor, hooks_of_the_test: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "strict", False)
    monkeypatch.setattr(guard, "errors", Counter())
    monkeypatch.setattr(LogCapture, "tell", lambda *_: 1 / 0)
    error = failure()
    uncaught(error)
    thread = threading.Thread(target=uncaught, args=[error])
    thread.start()
    thread.join()
    assert hooks_of_the_test == [error, error]
    assert guard.errors == {"unhandled": 2}


@pytest.fixture
def silenced() -> Iterator[None]:
    """The server's logger as a `dictConfig` of the application leaves it that disables existing loggers."""
    logger = logging.getLogger("uvicorn.error")
    logger.disabled = True
    yield
    logger.disabled = False


def test_what_a_request_ended_with_is_kept_where_the_server_is_silenced(
    instrumented: LoggingInstrumentor, kept: list[LogRecord], silenced: None
) -> None:
    instrumented.failed(failure())
    instrumented.failed(asyncio.CancelledError())
    [record] = kept
    assert (record.logger, record.level, record.message) == ("uvicorn.error", "ERROR", "Exception in ASGI application")
    assert record.exception is not None and "ValueError" in record.exception and SECRET not in record.exception


def test_where_the_server_logs_it_is_the_one_line(instrumented: LoggingInstrumentor, kept: list[LogRecord]) -> None:
    instrumented.failed(failure())
    assert kept == []


async def test_an_application_that_silences_its_server_still_has_a_line_of_its_failed_request(
    store_url: str, serve: Callable[..., str], silenced: None
) -> None:
    app = FastAPI()

    @app.get("/fails")
    async def fails() -> None:
        raise LookupError("no such shelf")

    watchglass.observe(app, Settings(service_name="shop", app_database_url=store_url))
    try:
        async with httpx.AsyncClient(base_url=serve(app)) as client:
            answer = await client.get("/fails")
        assert answer.status_code == 500
        rows = await asyncio.to_thread(found, store_url)
    finally:
        unobserve(app)
    assert [(row["message"], row["trace_id"].hex()) for row in rows] == [
        ("Exception in ASGI application", answer.headers["x-trace-id"])
    ]


def found(store_url: str) -> list[Any]:
    """The lines about the exception, once there are any."""
    query = "SELECT message, trace_id FROM watchglass.logs WHERE exception LIKE '%no such shelf%'"

    async def ask() -> list[Any]:
        connection = await asyncpg.connect(store_url)
        try:
            return await connection.fetch(query)
        except asyncpg.UndefinedTableError:
            return []
        finally:
            await connection.close()

    until(lambda: bool(run(ask())), 30)
    return run(ask())
