"""Spans of OpenTelemetry's SDK as our records, and records of one trace as a trace, once its local root ended."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import Any

from opentelemetry.trace import StatusCode

from watchglass import redaction
from watchglass.records import SpanRecord, Trace
from watchglass.settings import Settings

MOST_WAITING = 10_000
"""Spans held whose root did not end yet; beyond it the traces that began first are let go of."""

MARK = "/* watchglass:"
"""In every statement of Watchglass's own."""

_STATEMENTS = ("db.query.text", "db.statement")
_MINUTE_NS = 60_000_000_000


class Traces:
    """Puts spans together. Keeps errors, slow ones and the first of each name a minute, up to the setting's number."""

    def __init__(self, settings: Settings) -> None:
        self.dropped = 0
        """Spans let go of because their root did not end."""
        self._settings = settings
        self._waiting: OrderedDict[int, list[SpanRecord]] = OrderedDict()
        self._held = 0
        self._minute = 0
        self._kept: Counter[str] = Counter()

    def add(self, spans: Iterable[Any]) -> list[Trace]:
        """Take ended spans; the kept traces of those roots that are among them."""
        kept = [self._add(span) for span in spans if not _is_our_statement(span)]
        while self._held > MOST_WAITING:
            self.dropped += self._let_go(next(iter(self._waiting)))
        return [trace for trace in kept if trace is not None]

    def _add(self, span: Any) -> Trace | None:
        record = record_of(span, self._settings.redaction_key)
        if span.parent is not None and not span.parent.is_remote:
            self._waiting.setdefault(record.trace_id, []).append(record)
            self._held += 1
            return None
        children = self._waiting.get(record.trace_id, [])
        self._let_go(record.trace_id)
        reason = self._reason(record)
        return None if reason is None else Trace(record, (record, *children), reason)

    def _let_go(self, trace_id: int) -> int:
        number = len(self._waiting.pop(trace_id, ()))
        self._held -= number
        return number

    def _reason(self, root: SpanRecord) -> str | None:
        minute = root.start_ns // _MINUTE_NS
        if minute > self._minute:
            self._minute = minute
            self._kept.clear()
        reason = self._worth(root)
        if reason is None or self._kept.total() >= self._settings.traces_per_minute:
            return None
        self._kept[root.name] += 1
        return reason

    def _worth(self, root: SpanRecord) -> str | None:
        if root.error is not None:
            return "error"
        if root.end_ns - root.start_ns >= self._settings.slow_request_seconds * 1e9:
            return "slow"
        return None if root.name in self._kept else "first"


def record_of(span: Any, key: bytes | None = None) -> SpanRecord:
    """An ended span as a record, redacted."""
    return SpanRecord(
        span.context.trace_id,
        span.context.span_id,
        span.parent.span_id if span.parent is not None else None,
        redaction.text(span.name, None, 200),
        span.kind.name.lower(),
        span.start_time,
        span.end_time or span.start_time,
        redaction.attributes(span.attributes or {}, key),
        _error(span),
    )


def _is_our_statement(span: Any) -> bool:
    """Whether it is the store's own work, which older instrumentors of asyncpg trace although they are told not to."""
    attributes = span.attributes or {}
    return any(MARK in str(attributes.get(name, "")) for name in _STATEMENTS)


def _error(span: Any) -> str | None:
    """`error.type`, or what the span says of the exception, where its status is an error."""
    if span.status.status_code is not StatusCode.ERROR:
        return None
    told = (span.attributes or {}).get("error.type")
    thrown = [(event.attributes or {}).get("exception.type") for event in span.events if event.name == "exception"]
    return redaction.text(str(told or next((name for name in reversed(thrown) if name), None) or "error"), None, 200)
