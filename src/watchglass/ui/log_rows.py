"""A log line as a row among spans, or of a black box."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from watchglass.api import words
from watchglass.api.log_lines import LogLine, instant
from watchglass.ui.drawing import Segment
from watchglass.ui.spans import Scale, indent

WARNING, ERROR = 13, 17
"""OpenTelemetry's severity numbers from which on a line is a finding."""

MARK = 0.3
INLINE_FIELDS = 4
MOST = 2_000


@dataclass(frozen=True, slots=True)
class LogRow:
    """One line. `offset` is its time after the trace's start in words, `mark` its place on the axis."""

    id: str
    indent: int
    time: str
    offset: str
    mark: float | None
    finding: str
    level: str
    logger: str
    message: str
    inline: list[tuple[str, str]]
    whole: str
    exception: str
    last: str
    fields: list[tuple[str, str]]
    trace_id: str


def row(line: LogLine, offset: float | None, depth: int, scale: Scale | None) -> LogRow:
    """The row of a line so many seconds after its trace's start."""
    return LogRow(
        id=f"log-{line.id}",
        indent=indent(depth),
        time=line.time,
        offset="" if offset is None else words.duration(offset),
        mark=None if offset is None or scale is None else scale.at(offset),
        finding=finding(line.severity),
        level=line.level,
        logger=line.logger,
        message=line.message[:MOST],
        inline=[(name, written(value)[:120]) for name, value in list(line.fields.items())[:INLINE_FIELDS]],
        whole=line.message,
        exception=line.exception or "",
        last=(line.exception or "").rstrip().rpartition("\n")[2][:300],
        fields=fields(line.fields),
        trace_id=line.trace_id or "",
    )


def of_black_box(document: Mapping[str, Any], number: int) -> LogRow:
    """The row of a line as a black box holds it."""
    given = document.get("fields")
    severity, time = document.get("severity"), document.get("time")
    line = LogLine(
        id=f"box-{number}",
        time=instant(datetime.fromtimestamp(time if isinstance(time, int | float) else 0.0, UTC)),
        severity=severity if isinstance(severity, int) else 0,
        level=str(document.get("level") or ""),
        logger=str(document.get("logger") or ""),
        service="",
        instance="",
        host="",
        message=str(document.get("message") or ""),
        fields=given if isinstance(given, dict) else {},
        trace_id=str(document["trace_id"]) if document.get("trace_id") else None,
        span_id=None,
        exception=str(document["exception"]) if document.get("exception") else None,
        trace_kept=False,
    )
    return row(line, None, 0, None)


def finding(severity: int) -> str:
    """The level of a finding; empty for what is none."""
    return "critical" if severity >= ERROR else "warning" if severity >= WARNING else ""


def marks(offsets: Sequence[float], scale: Scale) -> list[Segment]:
    """Lines on the axis."""
    places = dict.fromkeys(round(scale.at(offset), 1) for offset in offsets)
    return [Segment("mark", min(place, 100 - MARK), MARK) for place in places]


def fields(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values as text."""
    return [(name, written(value)) for name, value in given.items()]


def written(value: Any) -> str:
    """A value of a field as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
