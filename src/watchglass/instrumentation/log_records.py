"""What the service logs, as records: redacted, bounded, with the ids of the trace they belong to."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.trace import get_current_span

from watchglass.instrumentation.propagation import CarriedSpan
from watchglass.instrumentation.request import current_request
from watchglass.records import LogRecord
from watchglass.redaction import fields, text
from watchglass.redaction.text import LIMIT

Ids = tuple[str, str]
"""Trace id and span id, as lower-case hexadecimal text."""

LEVELS: Final = {
    "trace": 5,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "msg": logging.INFO,
    "warning": logging.WARNING,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "err": logging.ERROR,
    "exception": logging.ERROR,
    "failure": logging.ERROR,
    "critical": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}
"""Level numbers of Python by the names of logging methods."""

_LEVEL_NAMES = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
_NAME_LIMIT = 200
_FRAMES = 50
_SEVERITIES = (1, 5, 9, 13, 17, 21)

_OWN_ATTRIBUTES = frozenset(("trace_id", "span_id", "otelTraceID", "otelSpanID"))
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | _OWN_ATTRIBUTES | {
    "message", "asctime", "taskName", "color_message", "otelServiceName", "otelTraceSampled",
    "_logger", "_name", "_record", "_from_structlog",
}  # fmt: skip
_OF_EVENTS = _OWN_ATTRIBUTES | {
    "event", "level", "log_level", "level_number", "logger", "logger_name", "timestamp", "exc_info", "exception",
    "positional_args", "_record", "_from_structlog",
}  # fmt: skip


def current_ids() -> Ids | None:
    """The ids of the span, or else the request, that is being worked on here; None outside of any."""
    request = current_request()
    span = get_current_span()
    if not isinstance(span, CarriedSpan):
        context = span.get_span_context()
        if context.trace_id:
            return f"{context.trace_id:032x}", f"{context.span_id:016x}"
    return None if request is None else (request.trace_hex, request.span_hex)


def severity(level: int) -> int:
    """OpenTelemetry's severity number of a level of Python: 9 for INFO, 13 for WARNING, 17 for ERROR."""
    if level >= logging.CRITICAL:
        return min(_SEVERITIES[5] + (level - logging.CRITICAL) // 10, 24)
    return _SEVERITIES[max(level, 0) // 10] + min(max(level, 0) % 10, 3)


def of_stdlib(record: logging.LogRecord, ids: Ids | None, key: bytes | None = None) -> LogRecord:
    """A record of the standard library's logging; its `extra` become fields."""
    values = vars(record)
    extras = {name: value for name, value in values.items() if name not in _STANDARD}
    message: Any = record.msg
    if isinstance(message, Mapping) and "event" in message:  # structlog's, on its way to its formatter
        extras = {name: value for name, value in message.items() if name not in _OF_EVENTS} | extras
        message = message["event"]
    elif record.args or not isinstance(message, str):
        message = _formatted(record)
    if record.stack_info:
        extras["stack"] = record.stack_info
    return LogRecord(
        time_ns=round(record.created * 1e9),
        severity=severity(record.levelno),
        level=record.levelname if record.levelname.isalpha() else text(record.levelname, None, _NAME_LIMIT),
        logger=text(record.name, None, _NAME_LIMIT),
        message=text(message if isinstance(message, str) else repr(message), key),
        fields=fields(extras, key) if extras else {},
        trace_id=ids[0] if ids else None,
        span_id=ids[1] if ids else None,
        exception=formatted_exception(record.exc_info, key) or _told(record.exc_text, key),
    )


def of_structlog(logger: Any, method: str, event: Mapping[str, Any], ids: Ids | None, key: bytes | None) -> LogRecord:
    """A structlog event before it is rendered; its keywords become fields."""
    level = LEVELS.get(method, logging.INFO)
    extras = {name: value for name, value in event.items() if name not in _OF_EVENTS}
    message = event.get("event", "")
    arguments = event.get("positional_args")
    if arguments:
        message = _interpolated(str(message), arguments)
    name = event.get("logger") or event.get("logger_name") or getattr(logger, "name", None) or _calling_module()
    return LogRecord(
        time_ns=time.time_ns(),
        severity=severity(level),
        level=_LEVEL_NAMES.get(level) or text(method.upper(), None, _NAME_LIMIT),
        logger=text(str(name), None, _NAME_LIMIT),
        message=text(message if isinstance(message, str) else repr(message), key),
        fields=fields(extras, key) if extras else {},
        trace_id=ids[0] if ids else None,
        span_id=ids[1] if ids else None,
        exception=formatted_exception(event.get("exc_info"), key) or _told(event.get("exception"), key),
    )


def _calling_module() -> str:
    """The module that logs, for loggers that have no name; "structlog" where the call came by another thread."""
    frame = sys._getframe(4)  # past this module and the processor
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if not module.startswith("structlog."):
            return "structlog" if module.startswith(("concurrent.", "threading", "asyncio")) else module
        frame = frame.f_back  # type: ignore[assignment]
    return "structlog"


def _formatted(record: logging.LogRecord) -> str:
    """The message with its arguments; a wrong format is the application's mistake, shown by its own handlers."""
    try:
        return record.getMessage()
    except Exception:
        return str(record.msg)


def _interpolated(message: str, arguments: Any) -> str:
    try:
        return str(message % arguments)
    except (TypeError, ValueError, KeyError):
        return message


def formatted_exception(exc_info: Any, key: bytes | None = None) -> str | None:
    """A traceback without local variables, its end if it is long; of whatever `exc_info` may be in a logging call."""
    if not exc_info:
        return None
    if isinstance(exc_info, BaseException):
        error: Any = exc_info
    else:
        error = (exc_info if isinstance(exc_info, tuple) else sys.exc_info())[1]
    if not isinstance(error, BaseException):
        return None
    lines = traceback.TracebackException.from_exception(error, limit=-_FRAMES, capture_locals=False).format()
    return _end("".join(lines).rstrip(), key)


def _told(exception: Any, key: bytes | None) -> str | None:
    """An exception that a processor has already made text, or, with its frames, a structure."""
    if not exception:
        return None
    if isinstance(exception, str):
        return _end(exception, key)
    if isinstance(exception, list):
        return _end("\n".join(_raised(raised) for raised in exception if isinstance(raised, Mapping)), key)
    return None


def _raised(raised: Mapping[str, Any]) -> str:
    """One exception of structlog's `dict_tracebacks`, without what it holds of local variables."""
    frames = [frame for frame in raised.get("frames", ()) if isinstance(frame, Mapping)]
    lines = [f'  File "{f.get("filename")}", line {f.get("lineno")}, in {f.get("name")}' for f in frames[-_FRAMES:]]
    return "\n".join((*lines, f"{raised.get('exc_type')}: {raised.get('exc_value')}"))


def _end(trace: str, key: bytes | None) -> str:
    """The last lines of a trace, which say what happened."""
    if len(trace) > LIMIT:
        trace = f"… [{len(trace) - LIMIT} characters before]\n" + trace[-LIMIT:].partition("\n")[2]
    return text(trace, key, 2 * LIMIT)
