"""What the service logs is kept once, with its trace and without secrets; its own output stays as it was."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import logging.config
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI
from opentelemetry.sdk.trace import TracerProvider
from structlog.testing import capture_logs

from watchglass import guard
from watchglass.instrumentation import log_records, logs
from watchglass.instrumentation.logs import LoggingInstrumentor, current_ids
from watchglass.instrumentation.request import Request, reset_current_request, set_current_request
from watchglass.records import LogRecord

TRACE_ID, SPAN_ID = f"{0xABC:032x}", f"{0xDEF:016x}"


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Loggers, handlers and structlog's configuration are the test's own."""
    root = logging.getLogger()
    before, level, raising = root.handlers[:], root.level, logging.raiseExceptions
    yield
    root.handlers[:], logging.raiseExceptions = before, raising
    root.setLevel(level)
    structlog.reset_defaults()
    if LoggingInstrumentor().is_instrumented_by_opentelemetry:
        LoggingInstrumentor().uninstrument()


@pytest.fixture
def kept() -> list[LogRecord]:
    """Records that were kept."""
    return []


@pytest.fixture
def instrumented(kept: list[LogRecord]) -> LoggingInstrumentor:
    instrumentor = LoggingInstrumentor()
    instrumentor.instrument(offer_log=kept.append, level="INFO", key=b"key")
    return instrumentor


@pytest.fixture
def request_here() -> Iterator[Request]:
    request = Request(0xABC, 0xDEF, None, True, time.perf_counter(), "GET")
    token = set_current_request(request)
    yield request
    reset_current_request(token)


def logger_to(
    stream: io.StringIO, pattern: str = "%(levelname)s:%(name)s:%(message)s", name: str = "shop"
) -> logging.Logger:
    """A logger that writes to the stream and to nothing else."""
    logger = logging.getLogger(name)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(pattern))
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.DEBUG)
    return logger


def test_a_line_becomes_a_record_of_its_request(
    instrumented: LoggingInstrumentor, kept: list[LogRecord], request_here: Request
) -> None:
    stream = io.StringIO()
    before = time.time_ns()

    logger_to(stream).warning("search for %s took %d ms", "python", 12, extra={"hits": 3, "query": {"lang": "en"}})

    (record,) = kept
    assert before - 1_000_000 <= record.time_ns <= time.time_ns() + 1_000_000
    assert (record.severity, record.level, record.logger) == (13, "WARNING", "shop")
    assert record.message == "search for python took 12 ms"
    assert record.fields == {"hits": 3, "query": {"lang": "en"}}
    assert (record.trace_id, record.span_id) == (TRACE_ID, SPAN_ID)
    assert record.exception is None
    assert stream.getvalue() == "WARNING:shop:search for python took 12 ms\n"


def test_a_line_outside_of_any_request_has_no_trace(instrumented: LoggingInstrumentor, kept: list[LogRecord]) -> None:
    stream = io.StringIO()

    logger_to(stream, "[%(trace_id)s/%(span_id)s/%(otelTraceID)s] %(message)s").info("started")

    assert (kept[0].trace_id, kept[0].span_id) == (None, None)
    assert stream.getvalue() == "[//0] started\n"


def test_formats_of_the_service_can_show_the_ids(instrumented: LoggingInstrumentor, request_here: Request) -> None:
    stream = io.StringIO()

    logger_to(stream, "%(trace_id)s %(span_id)s %(otelTraceID)s %(otelSpanID)s").info("x")

    assert stream.getvalue().split() == [TRACE_ID, SPAN_ID] * 2


def test_ids_that_the_service_sets_itself_are_left_alone(
    instrumented: LoggingInstrumentor, kept: list[LogRecord], request_here: Request
) -> None:
    stream = io.StringIO()

    logger_to(stream, "%(trace_id)s").info("x", extra={"trace_id": "mine"})

    assert stream.getvalue() == "mine\n"
    assert kept[0].trace_id == TRACE_ID


def test_a_span_of_the_application_is_the_one_that_its_lines_belong_to(
    instrumented: LoggingInstrumentor, kept: list[LogRecord], request_here: Request
) -> None:
    tracer = TracerProvider().get_tracer("shop")
    with tracer.start_as_current_span("work") as span:
        logger_to(io.StringIO()).info("x")

    context = span.get_span_context()
    assert (kept[0].trace_id, kept[0].span_id) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")


def test_lines_below_the_level_are_not_kept(instrumented: LoggingInstrumentor, kept: list[LogRecord]) -> None:
    stream = io.StringIO()
    logger = logger_to(stream)
    logger.debug("detail")
    logger.info("x")

    assert [record.message for record in kept] == ["x"]
    assert stream.getvalue().count("\n") == 2


def test_levels_have_opentelemetrys_severity_numbers() -> None:
    numbers = {level: log_records.severity(level) for level in (0, 5, 10, 20, 25, 30, 40, 50, 60, 1_000)}

    assert numbers == {0: 1, 5: 4, 10: 5, 20: 9, 25: 12, 30: 13, 40: 17, 50: 21, 60: 22, 1_000: 24}


def test_the_services_output_and_loggers_are_untouched(instrumented: LoggingInstrumentor) -> None:
    program = """
import logging, sys
from watchglass.instrumentation.logs import LoggingInstrumentor
if "yes" in sys.argv:
    LoggingInstrumentor().instrument(offer_log=lambda record: None)
logging.getLogger("a").warning("by the last resort")
assert not logging.getLogger().handlers
logging.basicConfig(format="%(levelname)s|%(name)s|%(message)s", level="INFO")
logging.getLogger("b").info("configured after")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("c").exception("failed")
"""
    outputs = [
        subprocess.run([sys.executable, "-c", program, flag], capture_output=True, text=True, timeout=60, check=True)
        for flag in ("no", "yes")
    ]

    assert "by the last resort" in outputs[0].stderr
    assert outputs[1].stderr == outputs[0].stderr


def test_configuration_that_comes_later_changes_nothing(
    instrumented: LoggingInstrumentor, kept: list[LogRecord], request_here: Request, capfd: Any
) -> None:
    for _ in range(2):
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "formatters": {"plain": {"format": "%(trace_id)s %(message)s"}},
                "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "plain"}},
                "root": {"handlers": ["out"], "level": "INFO"},
            }
        )
        structlog.configure(processors=[structlog.processors.JSONRenderer()])
    logging.getLogger("any").info("standard")
    structlog.get_logger().info("structured")

    assert [record.message for record in kept] == ["standard", "structured"]
    out, err = capfd.readouterr()
    assert err == f"{TRACE_ID} standard\n"
    assert json.loads(out) == {"event": "structured", "trace_id": TRACE_ID, "span_id": SPAN_ID}


def test_loggers_that_do_not_propagate_are_heard_once(instrumented: LoggingInstrumentor, kept: list[LogRecord]) -> None:
    logging.getLogger().addHandler(logging.NullHandler())
    for name in ("uvicorn.error", "uvicorn.access", "uvicorn"):
        logger_to(io.StringIO(), name=name).info("from %s", name)

    assert [(record.logger, record.message) for record in kept] == [
        ("uvicorn.error", "from uvicorn.error"),
        ("uvicorn.access", "from uvicorn.access"),
        ("uvicorn", "from uvicorn"),
    ]


PLANTED = [
    ("login with password=%s", ("hunter2",), {}),
    ("called %s", ("postgresql://shop:hunter2@db/shop",), {}),
    ("got headers %s", ({"Authorization": "Bearer hunter2"},), {}),
    ("x", (), {"api_key": "hunter2"}),
    ("x", (), {"body": {"nested": [{"client_secret": "hunter2"}]}}),
    ("x", (), {"url": "https://x/?access_token=hunter2"}),
    ("mail to %s", ("hunter2@example.com",), {}),
]


@pytest.mark.parametrize(("message", "arguments", "extra"), PLANTED)
def test_no_planted_secret_is_kept(
    instrumented: LoggingInstrumentor,
    kept: list[LogRecord],
    message: str,
    arguments: tuple[Any, ...],
    extra: dict[str, Any],
) -> None:
    logger_to(io.StringIO()).info(message, *arguments, extra=extra)
    structlog.wrap_logger(structlog.ReturnLogger()).info(message % arguments, **extra)
    structlog.wrap_logger(logger_to(io.StringIO()), processors=[structlog.processors.JSONRenderer()]).info(
        message % arguments, **extra
    )

    assert len(kept) == 3
    assert "hunter2" not in repr(kept)


def test_an_exception_is_kept_without_the_variables_of_its_frames(
    instrumented: LoggingInstrumentor, kept: list[LogRecord]
) -> None:
    def fail(token: str) -> None:
        local = f"{token}-in-a-local"
        raise ValueError(f"cannot use password={token}") from KeyError(len(local))

    structured = structlog.wrap_logger(
        structlog.ReturnLogger(), processors=[structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    )
    formatted = structlog.wrap_logger(
        structlog.ReturnLogger(), processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    secret = "2retnuh"[::-1]
    try:
        fail(secret)
    except ValueError:
        logger_to(io.StringIO()).exception("failed")
        structured.exception("failed", exc_info=True)
        formatted.exception("failed", exc_info=True)

    assert len(kept) == 3
    for record in kept:
        assert record.exception is not None
        assert record.exception.startswith("KeyError: ")
        assert 'in fail\n    raise ValueError(f"cannot use password' in record.exception
        assert record.exception.splitlines()[-1] == "ValueError: cannot use password=[redacted]"
        assert secret not in repr(record)
        assert (record.severity, record.level) == (17, "ERROR")


def test_a_long_trace_keeps_its_end(instrumented: LoggingInstrumentor, kept: list[LogRecord]) -> None:
    def recurse(n: int) -> None:
        if n == 0:
            raise RuntimeError("the end " + "x" * 3_000)
        recurse_again(n - 1)

    def recurse_again(n: int) -> None:
        recurse(n)

    try:
        recurse(400)
    except RuntimeError:
        logger_to(io.StringIO()).exception("failed")

    assert kept[0].exception is not None
    assert len(kept[0].exception) < 9_000
    assert kept[0].exception.endswith("RuntimeError: the end " + "x" * 3_000)


def test_forged_lines_stay_one_safe_record(instrumented: LoggingInstrumentor, kept: list[LogRecord]) -> None:
    forged = "ok\r\n2026-01-01 ERROR admin \x1b[2J\x00 \udcff" + "z" * 9_000

    logger_to(io.StringIO()).info("user agent: %s", forged)

    (record,) = kept
    assert record.message.startswith("user agent: ok\\x0d\n2026-01-01 ERROR admin \\x1b[2J\\x00 \\udcff")
    assert len(record.message) < 8_300
    record.message.encode()


def test_lines_that_the_service_gets_wrong_are_kept_as_they_are(
    instrumented: LoggingInstrumentor, kept: list[LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logger = logger_to(io.StringIO())

    class Odd:
        def __str__(self) -> str:
            logger.info("from within")
            return "odd"

    logger.info("wrong %d", "format")
    logger.info({"a": 1})
    logger.info(Odd())
    logger.log(35, "between")

    messages = [record.message for record in kept]
    assert messages[:2] == ["wrong %d", "{'a': 1}"]
    assert "odd" in messages and "from within" in messages
    assert (kept[-1].level, kept[-1].severity) == ("Level 35", 16)


def test_own_work_and_own_logger_are_not_kept(instrumented: LoggingInstrumentor, kept: list[LogRecord]) -> None:
    logger = logger_to(io.StringIO())
    with guard.as_own_work():
        logger.info("x")
        structlog.wrap_logger(structlog.ReturnLogger()).info("x")
    logging.getLogger("watchglass").warning("about itself")

    assert kept == []


# structlog ---------------------------------------------------------------------------------------------------------

SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso"),
]


def printing(stream: io.StringIO, *processors: Any) -> Any:
    return structlog.wrap_logger(structlog.PrintLogger(stream), processors=[*SHARED, *processors])


def test_a_structlog_line_becomes_a_record_and_shows_its_ids(
    instrumented: LoggingInstrumentor, kept: list[LogRecord], request_here: Request
) -> None:
    stream = io.StringIO()

    with structlog.contextvars.bound_contextvars(tenant="acme"):
        printing(stream, structlog.processors.JSONRenderer()).bind(hits=3).warning("search done", seconds=0.5)

    shown = json.loads(stream.getvalue())
    timestamp = shown.pop("timestamp")
    assert timestamp
    assert shown == {
        "event": "search done",
        "hits": 3,
        "level": "warning",
        "seconds": 0.5,
        "span_id": SPAN_ID,
        "tenant": "acme",
        "trace_id": TRACE_ID,
    }
    (record,) = kept
    assert (record.message, record.severity, record.level) == ("search done", 13, "WARNING")
    assert record.fields == {"hits": 3, "seconds": 0.5, "tenant": "acme"}
    assert (record.trace_id, record.span_id) == (TRACE_ID, SPAN_ID)
    assert record.logger == __name__


def test_outside_of_any_request_structlog_prints_what_it_always_did(
    instrumented: LoggingInstrumentor, kept: list[LogRecord]
) -> None:
    def line() -> str:
        stream = io.StringIO()
        structlog.wrap_logger(structlog.PrintLogger(stream), processors=[structlog.processors.JSONRenderer()]).info(
            "started", name="x", args=[1], process="own"
        )
        return stream.getvalue()

    with_us = line()
    instrumented.uninstrument()

    assert with_us == line()
    assert kept[0].fields == {"name": "x", "args": [1], "process": "own"}


def routed(stream: io.StringIO, last: Any, formatter: logging.Formatter) -> Any:
    """A structlog logger whose lines go on to the standard library."""
    logger = logger_to(stream, name="shop.routed")
    logger.handlers[0].setFormatter(formatter)
    return structlog.wrap_logger(logger, processors=[*SHARED, last], wrapper_class=structlog.stdlib.BoundLogger)


ROUTES: dict[str, Callable[[io.StringIO], Any]] = {
    "rendered as JSON": lambda stream: routed(stream, structlog.processors.JSONRenderer(), logging.Formatter()),
    "rendered for a console": lambda stream: routed(stream, structlog.dev.ConsoleRenderer(), logging.Formatter()),
    "rendered by the formatter": lambda stream: routed(
        stream,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ]
        ),
    ),
    "as arguments": lambda stream: routed(
        stream, structlog.stdlib.render_to_log_kwargs, logging.Formatter("%(message)s %(hits)s %(trace_id)s")
    ),
}


@pytest.mark.parametrize("route", ROUTES)
def test_structlog_lines_that_go_on_to_the_standard_library_are_kept_once(
    instrumented: LoggingInstrumentor, kept: list[LogRecord], request_here: Request, route: str
) -> None:
    stream = io.StringIO()

    ROUTES[route](stream).info("search done", hits=3, password="hunter2")

    (record,) = kept
    assert (record.message, record.logger, record.level) == ("search done", "shop.routed", "INFO")
    assert record.fields == {"hits": 3, "password": "[redacted]"}
    assert record.trace_id == TRACE_ID
    assert stream.getvalue().count("search done") == 1
    assert TRACE_ID in stream.getvalue()


@pytest.mark.parametrize("route", ROUTES)
def test_a_line_that_the_standard_library_drops_is_not_mixed_up_with_the_next(
    instrumented: LoggingInstrumentor, kept: list[LogRecord], route: str
) -> None:
    stream = io.StringIO()
    structured = ROUTES[route](stream)
    standard = logging.getLogger("shop.routed")
    standard.addFilter(only_plain := lambda record: "plain" in str(record.msg))
    structured.info("dropped", hits=1)
    standard.removeFilter(only_plain)
    standard.info("plain")
    standard.setLevel(logging.WARNING)
    structured.info("dropped too", hits=1)
    standard.warning("plain again")

    assert [(record.message, record.fields) for record in kept] == [("plain", {}), ("plain again", {})]


def test_exceptions_of_routed_lines_are_kept(instrumented: LoggingInstrumentor, kept: list[LogRecord]) -> None:
    for make in ROUTES.values():
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError:
            make(io.StringIO()).exception("failed", hits=0)

    assert len(kept) == len(ROUTES)
    assert all(record.exception and record.exception.endswith("division by zero") for record in kept)
    assert {record.level for record in kept} == {"ERROR"}


def test_foreign_lines_get_their_ids_in_structlogs_formatter(
    instrumented: LoggingInstrumentor, kept: list[LogRecord], request_here: Request
) -> None:
    stream = io.StringIO()
    logger = logger_to(stream)
    logger.handlers[0].setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=structlog.processors.JSONRenderer(), foreign_pre_chain=SHARED)
    )

    logger.info("standard")

    assert json.loads(stream.getvalue())["trace_id"] == TRACE_ID
    assert len(kept) == 1


def test_loggers_that_were_cached_before_are_entered_too(kept: list[LogRecord], request_here: Request) -> None:
    stream = io.StringIO()
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    logger = structlog.get_logger()
    bound = logger.bind(a=1)
    logger.info("before")

    LoggingInstrumentor().instrument(offer_log=kept.append)
    logger.info("during")
    bound.info("bound")
    LoggingInstrumentor().uninstrument()
    logger.info("after")

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [("trace_id" in line) for line in lines] == [False, True, True, False]
    assert [record.message for record in kept] == ["during", "bound"]


def test_tests_of_the_service_that_capture_logs_see_what_they_always_saw(
    instrumented: LoggingInstrumentor, request_here: Request
) -> None:
    structlog.configure(processors=[structlog.processors.JSONRenderer()])
    with capture_logs() as entries:
        structlog.get_logger().info("x", a=1)

    assert entries == [{"event": "x", "a": 1, "log_level": "info"}]


async def test_asynchronous_methods_and_threads_keep_their_trace(
    instrumented: LoggingInstrumentor, kept: list[LogRecord], request_here: Request
) -> None:
    logger = structlog.wrap_logger(
        structlog.ReturnLogger(),
        processors=[structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    await logger.ainfo("asynchronous")
    await logger.adebug("filtered")
    await asyncio.to_thread(logger.info, "in a thread")
    thread = threading.Thread(target=logger.info, args=("in a thread of its own",))
    thread.start()
    thread.join()

    assert [(record.message, record.trace_id) for record in kept] == [
        ("asynchronous", TRACE_ID),
        ("in a thread", TRACE_ID),
        ("in a thread of its own", None),
    ]


def test_many_threads_do_not_mix_up_their_lines(instrumented: LoggingInstrumentor, kept: list[LogRecord]) -> None:
    structured = ROUTES["rendered as JSON"](io.StringIO())

    def work(number: int) -> None:
        for n in range(200):
            structured.info(f"{number}-{n}", number=number, n=n)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(kept) == 1_200
    assert all(record.message == f"{record.fields['number']}-{record.fields['n']}" for record in kept)


class Hostile:
    """Cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError

    __str__ = __repr__


FORGED: dict[str, Any] = {
    "lines": "a\r\n2026-01-01 ERROR admin",
    "terminal": "\x1b]0;title\x07\x1b[2J\x9b31m",
    "NUL": "a\x00b",
    "9 kB": "z" * 9_000,
    "surrogate": "\udcff\ud800",
    "bytes": b"\xff\xfe\x00",
    "direction": "\u202egnp.exe",
    "hostile": Hostile(),
    "wide": {f"name {n}" * 50: "x" * 2_000 for n in range(2_000)},
    "deep": [[[[[[[[["x"]]]]]]]]],
}


@pytest.mark.parametrize("kind", FORGED)
def test_forged_values_stay_in_one_safe_and_bounded_record_by_every_way(
    instrumented: LoggingInstrumentor, kept: list[LogRecord], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    value = FORGED[kind]
    silent = logger_to(io.StringIO())
    silent.handlers = [logging.NullHandler()]
    silent.info("text %s", value)
    silent.info("field", extra={"value": value})
    printed = structlog.wrap_logger(structlog.ReturnLogger(), processors=[lambda *_: "rendered"])
    printed.info("keyword", value=value)
    printed.info(value)
    structlog.wrap_logger(silent, processors=[structlog.stdlib.render_to_log_kwargs]).info("routed", value=value)

    assert len(kept) == 5
    for record in kept:
        shown = json.dumps([record.message, record.fields, record.logger], ensure_ascii=False)
        shown.encode()
        assert not any(character in shown for character in "\r\x00\x07\x1b\x9b\u202e")
        assert len(shown) < 80_000
        assert len(record.message) < 8_300


def test_lines_as_bytes_are_kept_and_printed_as_ever(
    instrumented: LoggingInstrumentor, kept: list[LogRecord], request_here: Request
) -> None:
    stream = io.BytesIO()
    logger = structlog.wrap_logger(
        structlog.BytesLogger(stream),
        processors=[structlog.processors.JSONRenderer(serializer=lambda event, **_: json.dumps(event).encode())],
    )

    logger.info("as bytes", hits=3)

    assert json.loads(stream.getvalue()) == {
        "event": "as bytes", "hits": 3, "trace_id": TRACE_ID, "span_id": SPAN_ID
    }  # fmt: skip
    assert [(record.message, record.fields, record.trace_id) for record in kept] == [
        ("as bytes", {"hits": 3}, TRACE_ID)
    ]


def test_uvicorns_access_lines_are_kept_without_addresses_and_tokens(
    instrumented: LoggingInstrumentor, kept: list[LogRecord]
) -> None:
    access = logger_to(io.StringIO(), name="uvicorn.access")
    for client in ("203.0.113.77:51234", "203.0.113.77:51235", "2001:db8::ff00:42:51234"):
        access.info('%s - "%s %s HTTP/%s" %d', client, "GET", "/x?access%5Ftoken=hunter2&page=2", "1.1", 200)

    assert all("hunter2" not in record.message and "page=2" in record.message for record in kept)
    first, second, third = (record.message.split(" - ")[0] for record in kept)
    assert first.startswith("[ip:") and first.split(":51")[0] == second.split(":51")[0]
    assert third.startswith("[ip:") and "db8" not in third


# Leaving, and failing -----------------------------------------------------------------------------------------------


def test_uninstrumenting_leaves_logging_and_structlog_as_they_were() -> None:
    def current() -> list[Any]:
        return [
            vars(logging.Logger).get("filter"),
            logging.getLogRecordFactory(),
            dict(vars(structlog.BoundLoggerBase)),
            dict(vars(structlog.stdlib.ProcessorFormatter)),
            list(structlog.get_config()["processors"]),
        ]

    before = current()
    instrumentor = LoggingInstrumentor()
    instrumentor.instrument(offer_log=lambda record: None)
    logger = structlog.get_logger().bind(a=1)
    assert vars(logging.Logger).get("filter") is not before[0]
    instrumentor.uninstrument()

    assert current() == before
    assert logger._processors is structlog.get_config()["processors"]


def test_without_capture_lines_only_get_ids(request_here: Request) -> None:
    LoggingInstrumentor().instrument(offer_log=None)
    stream, printed = io.StringIO(), io.StringIO()

    logger_to(stream, "%(trace_id)s").info("x")
    printing(printed, structlog.processors.JSONRenderer()).info("x")

    assert stream.getvalue() == f"{TRACE_ID}\n"
    assert json.loads(printed.getvalue())["trace_id"] == TRACE_ID


def test_an_error_of_ours_never_reaches_the_service(
    instrumented: LoggingInstrumentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "strict", False)
    monkeypatch.setattr(guard, "errors", Counter())

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("ours")

    for owner, name in (
        (logs, "current_ids"),
        (logs, "_put"),
        (log_records.LogRecords, "of_record"),
        (log_records.LogRecords, "of_event"),
        (log_records.redaction, "text"),
        (log_records.redaction, "fields"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, broken)
            stream, printed = io.StringIO(), io.StringIO()
            logger_to(stream).info("x")
            structlog.wrap_logger(
                structlog.PrintLogger(printed), processors=[structlog.processors.JSONRenderer()]
            ).info("x", a=1)
            assert stream.getvalue() == "INFO:shop:x\n"
            assert printed.getvalue() == '{"a": 1, "event": "x"}\n'
    assert sum(guard.errors.values()) >= 6


def test_a_line_costs_little(kept: list[LogRecord], request_here: Request) -> None:
    """A generous bound, for machines that do other things as well; `benchmarks` measure it."""
    logger = logger_to(io.StringIO())
    logger.handlers = [logging.NullHandler()]

    def cost() -> float:
        best = 1.0
        for _ in range(20):
            start = time.process_time()
            for _ in range(200):
                logger.info("search for %s took %d ms", "python", 12, extra={"hits": 3})
            best = min(best, (time.process_time() - start) / 200)
        return best

    plain = cost()
    LoggingInstrumentor().instrument(offer_log=lambda record: None)

    assert cost() - plain < 40e-6


def test_outside_of_everything_there_are_no_ids() -> None:
    assert current_ids() == ("", "")


async def test_the_servers_report_of_an_unhandled_exception_belongs_to_its_request(
    instrumented: LoggingInstrumentor, kept: list[LogRecord], serve: Callable[..., str]
) -> None:
    from watchglass import Settings, observe, unobserve

    instrumented.uninstrument()
    secret = "2retnuh"[::-1]
    app = FastAPI()

    @app.get("/fail")
    async def fail() -> None:
        raise RuntimeError(f"password={secret}")

    observe(app, Settings(capture_logs=True, migrations="off"))
    LoggingInstrumentor().uninstrument()
    LoggingInstrumentor().instrument(offer_log=kept.append)
    try:
        async with httpx.AsyncClient() as client:
            response = await client.get(f"{serve(app)}/fail")
        while not (reports := [r for r in kept if "Exception in ASGI" in r.message]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # uvicorn says so after it has answered
    finally:
        unobserve(app)

    assert response.status_code == 500
    assert [report.trace_id for report in reports] == [response.headers["x-trace-id"]]
    assert secret not in repr(kept)
