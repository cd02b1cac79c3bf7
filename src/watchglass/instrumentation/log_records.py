"""What the service logs, as records: redacted, bounded, with the ids of the trace they belong to."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any, Final

from watchglass import guard, redaction
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
_OF_RECORDS: Final = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None)))
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


Event = tuple[Mapping[str, Any], Ids, str | None]
"""An event of structlog before it is rendered, its ids, and the text of ours of its exception if there is one."""


def level_name(level: int) -> str:
    """The name of a level that `level_of` returns."""
    return _NAMES.get(level, "TRACE")


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
        self._level = lru_cache(maxsize=256)(_level)
        self._name = lru_cache(maxsize=1024)(_name)

    def of_record(self, record: logging.LogRecord, ids: Ids, event: Event | None = None) -> LogRecord:
        """A record of the standard library that has its ids; `event` is what structlog rendered it from."""
        if event is None and type(record.msg) is not str:
            event = _logged_event(record, ids)
        if event is not None:
            if record.stack_info:
                event = {**event[0], "stack": record.stack_info}, *event[1:]
            return self.of_event(event, record.created, record.levelno, record.levelname, record.name)
        values: Mapping[str, Any] = record.__dict__
        if record.stack_info:
            values = {**values, "stack": record.stack_info}
        severity_number, level = self._level(record.levelno, record.levelname)
        return LogRecord(
            int(record.created * 1e9),
            severity_number,
            level,
            self._name(record.name),
            redaction.text(_formatted(record), self._key),
            self._fields(values, _NO_FIELDS) if len(values) > _FEWEST else {},
            ids[0] or None,
            ids[1] or None,
            self.exception(record.exc_info) if record.exc_info else self._told(record.exc_text),
        )

    def of_event(self, event: Event, seconds: float, level_number: int, level_name: str, name: str) -> LogRecord:
        """An event of structlog, logged at this time by the logger of this name."""
        values, ids, exception = event
        message = values.get("event", "")
        if type(message) is not str or "positional_args" in values:
            message = _as_formatted(message, values.get("positional_args"))
        if exception is None and ("exc_info" in values or "exception" in values):
            exception = self._exception_of(values)
        try:
            fields = redaction.fields(values, self._key, _NO_KEYWORDS)
        except Exception:  # a class of the service's that cannot be read; the line is kept without its fields
            guard.caught("log fields")
            fields = {}
        severity_number, level = self._level(level_number, level_name)
        return LogRecord(
            int(seconds * 1e9),
            severity_number,
            level,
            self._name(name),
            redaction.text(message, self._key),
            fields,
            ids[0] or None,
            ids[1] or None,
            exception,
        )

    def exception(self, exc_info: Any) -> str | None:
        """The text of what `exc_info=` of a logging call stands for: without the variables of any frame."""
        error = error_of(exc_info)
        return None if error is None else exception_text(error, self._key)

    def _exception_of(self, values: Mapping[str, Any]) -> str | None:
        exc_info = values.get("exc_info")
        return self.exception(exc_info) if exc_info else self._told(values.get("exception"))

    def _told(self, exception: Any) -> str | None:
        """The text that somebody else has made of an exception."""
        return traceback_text(exception, self._key) if isinstance(exception, str) and exception else None

    def _fields(self, values: Mapping[str, Any], skip: AbstractSet[str]) -> dict[str, Any]:
        try:
            return redaction.fields(values, self._key, skip)
        except Exception:  # a class of the service's that cannot be read; the line is kept without its fields
            guard.caught("log fields")
            return {}


def _level(level: int, name: str) -> tuple[int, str]:
    return severity(level), redaction.text(name, None, _NAME_LIMIT)


def _name(name: str) -> str:
    return redaction.text(name, None, _NAME_LIMIT)


def _logged_event(record: logging.LogRecord, ids: Ids) -> Event | None:
    """The event that a record has for its message, as some services log them."""
    if not isinstance(record.msg, Mapping) or "event" not in record.msg:
        return None
    return ({**record.msg, "exc_info": record.exc_info} if record.exc_info else record.msg), ids, None


def _formatted(record: logging.LogRecord) -> str:
    """The message with its arguments; a wrong format is the application's mistake, shown by its own handlers."""
    try:
        return record.getMessage()
    except Exception:
        return _as_text(record.msg)


def _as_formatted(message: Any, arguments: Any) -> str:
    """What an event says, with the arguments that its formatter would put in."""
    try:
        return _as_text(message % arguments if arguments else message)
    except Exception:
        return _as_text(message)


def _as_text(value: Any) -> str:
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__module__}.{type(value).__qualname__}>"


def calling_module() -> str:
    """The module that logs by a logger without a name; "structlog" where the call came by another thread."""
    frame: Any = sys._getframe(6)  # past this module's callers and most of structlog
    while frame is not None:
        module: str = frame.f_globals.get("__name__", "")
        if not module.startswith(_LOGGING):
            return "structlog" if module.startswith(_THREADS) else module
        frame = frame.f_back
    return "structlog"
