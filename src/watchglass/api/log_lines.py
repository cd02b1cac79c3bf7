"""A log line as every answer has it: the history, the export and the live tail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from json.encoder import encode_basestring as _quoted
from typing import Any

from pydantic import Field

from watchglass.api.models import Model


class LogLine(Model):
    """One line. `severity` is OpenTelemetry's severity number (9 INFO, 13 WARN, 17 ERROR); times are UTC.

    Texts are as the service logged them, control characters included: whoever shows them has to expect anything.
    """

    id: str = Field(description="instance, sequence and position, by which a line is the same in every answer")
    time: str = Field(description="ISO 8601 in UTC, with microseconds")
    severity: int
    level: str
    logger: str
    service: str
    instance: str = Field(description="service.instance.id of the process")
    host: str
    message: str
    fields: dict[str, Any]
    trace_id: str | None
    span_id: str | None
    exception: str | None
    trace_kept: bool = Field(description="whether the trace was kept, as far as is known by now")


def log_line(row: Mapping[str, Any]) -> LogLine:
    """Of a row of `logs`, with service_name, service_instance_id and host_name of its process, and trace_kept.

    `fields` is JSON as text, as the driver gives it.
    """
    return LogLine.model_construct(
        id=f"{row['instance_id']}-{row['sequence']}-{row['position']}",
        time=instant(row["time"]),
        severity=row["severity"],
        level=row["level"],
        logger=row["logger"],
        service=row["service_name"] or "",
        instance=row["service_instance_id"] or "",
        host=row["host_name"] or "",
        message=row["message"],
        fields=_fields(row["fields"]),
        trace_id=row["trace_id"].hex() if row["trace_id"] else None,
        span_id=row["span_id"].hex() if row["span_id"] else None,
        exception=row["exception"],
        trace_kept=row["trace_kept"],
    )


def log_line_json(row: Mapping[str, Any]) -> str:
    """The JSON of `log_line`, four times as fast: the live tail makes thousands a second. `fields` stay as they are."""
    if not row["fields"].startswith("{"):
        return log_line(row).model_dump_json()
    trace_id, span_id, exception = row["trace_id"], row["span_id"], row["exception"]
    return (
        f'{{"id":"{row["instance_id"]}-{row["sequence"]}-{row["position"]}","time":"{instant(row["time"])}",'
        f'"severity":{row["severity"]},"level":{_quoted(row["level"])},"logger":{_quoted(row["logger"])},'
        f'"service":{_quoted(row["service_name"] or "")},"instance":{_quoted(row["service_instance_id"] or "")},'
        f'"host":{_quoted(row["host_name"] or "")},"message":{_quoted(row["message"])},"fields":{row["fields"]},'
        f'"trace_id":{_quoted(trace_id.hex()) if trace_id else "null"},'
        f'"span_id":{_quoted(span_id.hex()) if span_id else "null"},'
        f'"exception":{"null" if exception is None else _quoted(exception)},'
        f'"trace_kept":{"true" if row["trace_kept"] else "false"}}}'
    )


def instant(time: datetime) -> str:
    """A time of the store, which is UTC: 2026-11-25T14:02:03.000123Z."""
    return time.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _fields(text: str) -> dict[str, Any]:
    found = json.loads(text) if text != "{}" else {}
    return found if isinstance(found, dict) else {"value": found}
