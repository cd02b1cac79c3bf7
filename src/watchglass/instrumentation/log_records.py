"""What the service logs, as records: redacted, bounded, with the ids of the trace they belong to."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from watchglass import redaction
from watchglass.instrumentation.exceptions import error_of, exception_text, traceback_text
from watchglass.records import LogRecord

Ids = tuple[str, str]
"""Trace id and span id, as logs spell them; empty where there are none."""

_LEVELS: Final = {
    "trace": 5,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "err": logging.ERROR,
    "exception": logging.ERROR,
    "failure": logging.ERROR,
    "critical": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}
_NAMES: Final = {level: logging.getLevelName(level) for level in (10, 20, 30, 40, 50)}
_SEVERITIES: Final = (1, 5, 9, 13, 17, 21)
_NAME_LIMIT: Final = 200
_LOGGING: Final = ("structlog.", "watchglass.instrumentation.")
_THREADS: Final = ("concurrent.", "threading", "asyncio")

_IDS: Final = frozenset(("trace_id", "span_id", "otelTraceID", "otelSpanID", "otelServiceName", "otelTraceSampled"))
_OF_RECORDS: Final = frozenset(vars(logging.makeLogRecord({})))
_FEWEST: Final = len(_OF_RECORDS) + 4
"""Attributes that every record has, its ids among them; one with no more has no fields."""

_NO_FIELDS: Final = _OF_RECORDS | _IDS | {
    "message", "asctime", "taskName", "color_message", "_logger", "_name", "_record", "_from_structlog"
}  # fmt: skip
"""What the standard library, structlog and servers add to a record."""

_NO_KEYWORDS: Final = _IDS | {
    "event", "level", "log_level", "level_number", "logger", "logger_name", "timestamp", "exc_info", "exception",
    "stack_info", "positional_args", "_record", "_from_structlog",
}  # fmt: skip
"""What structlog and its processors add to an event."""


class Event(NamedTuple):
    """An event of structlog before it is rendered; `exception` is the text of ours, if there is one already."""

    values: Mapping[str, Any]
    exception: str | None = None


def level_of(method: str) -> int:
    """Python's number of the level that a logging method has by its name; INFO for one that is not known."""
    return _LEVELS.get(method, logging.INFO)


def severity(level: int) -> int:
    """OpenTelemetry's severity number of a level of Python: 9 for INFO, 13 for WARNING, 17 for ERROR."""
    if level >= logging.CRITICAL:
        return min(_SEVERITIES[5] + (level - logging.CRITICAL) // 10, 24)
    return _SEVERITIES[max(level, 0) // 10] + min(max(level, 0) % 10, 3)


class LogRecords:
    """Makes records; `key` marks e-mail and IP addresses."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key

    def of_record(self, record: logging.LogRecord, ids: Ids, event: Event | None = None) -> LogRecord:
        """A record of the standard library that has its ids; `event` is what structlog rendered it from."""
        values = record.__dict__
        skip = _NO_FIELDS
        fields: Mapping[str, Any] = values if len(values) > _FEWEST else {}
        if event is None and isinstance(record.msg, Mapping) and "event" in record.msg:
            event = Event(record.msg)
        if event is None:
            message, exception = _formatted(record), None
        else:
            message, exception = _of_event(event.values), self._exception_of(event)
            extras = {name: fields[name] for name in fields.keys() - _NO_FIELDS}
            fields, skip = {**extras, **event.values}, _NO_KEYWORDS
        if record.stack_info:
            fields = {**fields, "stack": record.stack_info}
        if exception is None and record.exc_info:
            exception = self.exception(record.exc_info)
        level = record.levelno, record.levelname
        shown = redaction.fields(fields, self._key, skip) if fields else {}
        return self._made(record.created, level, record.name, message, shown, ids, exception)

    def of_event(self, event: Event, ids: Ids, seconds: float, method: str, name: str) -> LogRecord:
        """An event of structlog, logged by `method`, that never reaches the standard library."""
        message, exception = _of_event(event.values), self._exception_of(event)
        fields = redaction.fields(event.values, self._key, _NO_KEYWORDS)
        level = _LEVELS.get(method, logging.INFO)
        return self._made(seconds, (level, _NAMES.get(level, "TRACE")), name, message, fields, ids, exception)

    def exception(self, exc_info: Any) -> str | None:
        """The text of what `exc_info=` of a logging call stands for: without the variables of any frame."""
        error = error_of(exc_info)
        return None if error is None else exception_text(error, self._key)

    def _exception_of(self, event: Event) -> str | None:
        if event.exception is not None:
            return event.exception
        exc_info = event.values.get("exc_info")
        if exc_info:
            return self.exception(exc_info)
        told = event.values.get("exception")
        return traceback_text(told, self._key) if isinstance(told, str) and told else None

    def _made(
        self,
        seconds: float,
        level: tuple[int, str],
        name: str,
        message: str,
        fields: dict[str, Any],
        ids: Ids,
        exception: str | None,
    ) -> LogRecord:
        return LogRecord(
            round(seconds * 1e9),
            severity(level[0]),
            level[1] if level[1].isalpha() else redaction.text(level[1], None, _NAME_LIMIT),
            redaction.text(name, None, _NAME_LIMIT),
            redaction.text(message, self._key),
            fields,
            ids[0] or None,
            ids[1] or None,
            exception,
        )


def _formatted(record: logging.LogRecord) -> str:
    """The message with its arguments; a wrong format is the application's mistake, shown by its own handlers."""
    try:
        return record.getMessage()
    except Exception:
        return str(record.msg)


def _of_event(values: Mapping[str, Any]) -> str:
    """What the event says, with the arguments that its formatter would put in."""
    message = values.get("event", "")
    arguments = values.get("positional_args")
    try:
        return str(message % arguments if arguments else message)
    except (TypeError, ValueError, KeyError):
        return str(message)


def calling_module() -> str:
    """The module that logs by a logger without a name; "structlog" where the call came by another thread."""
    frame: Any = sys._getframe(6)  # past this module's callers and most of structlog
    while frame is not None:
        module: str = frame.f_globals.get("__name__", "")
        if not module.startswith(_LOGGING):
            return "structlog" if module.startswith(_THREADS) else module
        frame = frame.f_back
    return "structlog"
