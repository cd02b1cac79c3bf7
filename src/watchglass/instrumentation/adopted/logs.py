"""Log records of OpenTelemetry's SDK as ours, redacted."""

from __future__ import annotations

import time
from typing import Any

from watchglass import redaction
from watchglass.instrumentation.exceptions import traceback_text
from watchglass.records import LogRecord

_NAMES = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_EXCEPTION = frozenset({"exception.stacktrace", "exception.message", "exception.type"})


def record_of(data: Any, key: bytes | None = None) -> LogRecord:
    """What an SDK of any version gives its exporters, as a record."""
    record = data.log_record
    attributes = dict(record.attributes or {})
    severity = getattr(record.severity_number, "value", 9) or 9
    stack = attributes.get("exception.stacktrace")
    return LogRecord(
        record.timestamp or record.observed_timestamp or time.time_ns(),
        severity,
        redaction.text(record.severity_text or _NAMES[min((severity - 1) // 4, 5)], None, 200),
        redaction.text(getattr(data.instrumentation_scope, "name", "") or "root", None, 200),
        redaction.text(str(record.body if record.body is not None else ""), key),
        redaction.fields(attributes, key, _EXCEPTION if stack else frozenset()),
        f"{record.trace_id:032x}" if record.trace_id else None,
        f"{record.span_id:016x}" if record.span_id else None,
        traceback_text(str(stack), key) if stack else None,
    )
