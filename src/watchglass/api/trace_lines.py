"""Local roots as answers list them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from watchglass.api.endpoint import identify
from watchglass.api.log_lines import instant
from watchglass.api.trace_answers import TraceLine
from watchglass.api.trace_spans import documents, is_statement

if TYPE_CHECKING:
    import asyncpg


def listed(row: asyncpg.Record) -> TraceLine:
    """Of a row of `find_traces`, where spans and statements are counted."""
    return _ended(row, row["spans"], row["statements"])


def part(row: asyncpg.Record) -> TraceLine:
    """Of a part of one trace, whose spans are here."""
    return _ended(row, *_counted(row))


def pending(row: asyncpg.Record) -> TraceLine:
    """Of a part that has not ended; it lasted until it was seen last."""
    spans, statements = _counted(row)
    return TraceLine(
        **_common(row),
        time=instant(row["started_at"]),
        duration=max((row["seen_at"] - row["started_at"]).total_seconds(), 0.0),
        status=None,
        error_type=None,
        error_group=None,
        reason="pending",
        spans=spans,
        dropped_spans=0,
        statements=statements,
    )


def _ended(row: asyncpg.Record, spans: int, statements: int) -> TraceLine:
    return TraceLine(
        **_common(row),
        time=instant(row["time"]),
        duration=row["duration"],
        status=row["status"],
        error_type=row["error_type"],
        error_group=row["error_group"],
        reason=row["reason"],
        spans=spans,
        dropped_spans=row["dropped_spans"],
        statements=statements,
    )


def _common(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "trace_id": row["trace_id"].hex(),
        "span_id": row["span_id"].hex(),
        "name": row["name"],
        "method": row["method"],
        "route": row["route"],
        "endpoint_id": identify((row["method"], row["route"]) if row["route"] else (None, None)),
        "service": row["service_name"] or "",
        "instance": row["service_instance_id"] or "",
    }


def _counted(row: asyncpg.Record) -> tuple[int, int]:
    spans = documents(row["spans"])
    return len(spans), sum(is_statement(span.get("attributes")) for span in spans)
