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
_SEVERITIES: Final = (1, 5, 9, 13, 17, 21)
_NAME_LIMIT: Final = 200

_IDS: Final = frozenset(("trace_id", "span_id", "otelTraceID", "otelSpanID", "otelServiceName", "otelTraceSampled"))
_OF_RECORDS: Final = frozenset(vars(logging.makeLogRecord({}))) | _IDS | {
    "message", "asctime", "taskName", "color_message", "_logger", "_name", "_record", "_from_structlog",
}  # fmt: skip
"""Attributes of a record that are no fields: the standard library's, and those that servers and structlog add."""

_OF_EVENTS: Final = _IDS | {
    "event", "level", "log_level", "level_number", "logger", "logger_name", "timestamp", "exc_info", "exception",
    "stack_info", "positional_args", "_record", "_from_structlog",
}  # fmt: skip


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
        """A record of the standard library; `event` is what structlog rendered it from."""
        values = record.__dict__
        fields = {name: values[name] for name in values.keys() - _OF_RECORDS} if len(values) > _FEWEST else {}
        if event is None and isinstance(record.msg, Mapping) and "event" in record.msg:
            event = Event(record.msg)
        if event is not None:
            fields.update((name, value) for name, value in event.values.items() if name not in _OF_EVENTS)
        if record.stack_info:
            fields["stack"] = record.stack_info
        message = _formatted(record) if event is None else _of_event(event.values)
        exception = None if event is None else self._exception_of(event)
        if exception is None and record.exc_info:
            exception = self.exception(record.exc_info)
        return self._made(
            record.created, record.levelno, record.levelname, record.name, message, fields, ids, exception
        )

    def of_event(self, event: Event, ids: Ids, seconds: float, level: int, level_name: str, name: str) -> LogRecord:
        """An event of structlog that never reaches the standard library."""
        fields = {key: value for key, value in event.values.items() if key not in _OF_EVENTS}
        message, exception = _of_event(event.values), self._exception_of(event)
        return self._made(seconds, level, level_name, name, message, fields, ids, exception)

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
        level: int,
        level_name: str,
        name: str,
        message: str,
        fields: Mapping[str, Any],
        ids: Ids,
        exception: str | None,
    ) -> LogRecord:
        return LogRecord(
            round(seconds * 1e9),
            severity(level),
            level_name if level_name.isalpha() else redaction.text(level_name, None, _NAME_LIMIT),
            redaction.text(name, None, _NAME_LIMIT),
            redaction.text(message, self._key),
            redaction.fields(fields, self._key) if fields else {},
            ids[0] or None,
            ids[1] or None,
            exception,
        )


_FEWEST: Final = len(vars(logging.makeLogRecord({})))
"""Attributes that every record has; one with no more has no fields."""


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


def calling_module(depth: int) -> str:
    """The module that logs, from `depth` frames above on; "structlog" where the call came by another thread."""
    frame: Any = sys._getframe(depth)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if not module.startswith(("structlog.", "watchglass.instrumentation.")):
            return "structlog" if module.startswith(("concurrent.", "threading", "asyncio")) else module
        frame = frame.f_back
    return "structlog"
