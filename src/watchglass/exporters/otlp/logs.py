"""Log records as those of OpenTelemetry's SDK, in the form that the SDK at hand has for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk import _logs as sdk
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from watchglass.exporters.otlp.resource import cleaned
from watchglass.records import LogRecord
from watchglass.store.text import storable


def logs_of(records: Iterable[LogRecord], resource: Resource) -> list[Any]:
    """The lines as the SDK's exporters take them; the logger is the scope."""
    return [_export_form(record, resource) for record in records]


def _values(record: LogRecord) -> dict[str, Any]:
    stack = {"exception.stacktrace": record.exception} if record.exception else {}
    return {
        "timestamp": record.time_ns,
        "observed_timestamp": time.time_ns(),
        "severity_text": record.level,
        "severity_number": SeverityNumber(min(max(record.severity, 0), 24)),
        "body": storable(record.message),
        "attributes": cleaned({**record.fields, **stack}),
    }


def _readable(record: LogRecord, resource: Resource) -> Any:
    """Since SDK 1.39."""
    from opentelemetry._logs import LogRecord as ApiRecord

    context = set_span_in_context(NonRecordingSpan(_context(record)))
    return sdk.ReadableLogRecord(ApiRecord(**_values(record), context=context), resource, scope_of(record.logger))


def _log_data(record: LogRecord, resource: Resource) -> Any:
    """Before: ids as fields, the resource on the record."""
    found = _context(record)
    ids = {"trace_id": found.trace_id, "span_id": found.span_id, "trace_flags": found.trace_flags}
    made = sdk.LogRecord(**_values(record), **ids, resource=resource)  # type: ignore[attr-defined]
    return sdk.LogData(made, scope_of(record.logger))  # type: ignore[attr-defined]


_export_form: Callable[[LogRecord, Resource], Any] = _readable if hasattr(sdk, "ReadableLogRecord") else _log_data


@lru_cache(maxsize=1000)
def scope_of(logger: str) -> InstrumentationScope:
    """The logger's name as a scope."""
    return InstrumentationScope(storable(logger) or "root")


def _context(record: LogRecord) -> SpanContext:
    return SpanContext(_id(record.trace_id), _id(record.span_id), False, TraceFlags(bool(record.trace_id)))


def _id(text: str | None) -> int:
    try:
        return int(text, 16) if text else 0
    except ValueError:
        return 0
