"""Kept traces as spans of OpenTelemetry's SDK."""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from watchglass.exporters.otlp.resource import SCOPE, cleaned
from watchglass.records import SpanRecord, Trace

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


def spans_of(traces: Iterable[Trace], resource: Resource) -> list[ReadableSpan]:
    """The spans of each trace, root first; the parent of a root is remote."""
    return [span for trace in traces for span in _spans(trace, resource)]


def _spans(trace: Trace, resource: Resource) -> Iterable[ReadableSpan]:
    about: dict[str, object] = {
        "watchglass.trace.reason": trace.reason,
        "watchglass.trace.dropped_spans": trace.dropped_spans or None,
    }
    for span in trace.spans:
        is_root = span.span_id == trace.root.span_id
        yield _readable(span, resource, about if is_root else {}, parent_is_remote=is_root)


def _readable(
    span: SpanRecord, resource: Resource, about: dict[str, object], *, parent_is_remote: bool
) -> ReadableSpan:
    parent = _context(span.trace_id, span.parent_id, is_remote=parent_is_remote) if span.parent_id else None
    failed = {} if span.error is None else {"error.type": span.error}
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace_id, span.span_id, is_remote=False),
        parent=parent,
        resource=resource,
        attributes=cleaned({**failed, **span.attributes, **about}),
        kind=SpanKind[span.kind.upper()],
        status=Status(StatusCode.UNSET if span.error is None else StatusCode.ERROR),
        start_time=span.start_ns,
        end_time=max(span.end_ns, span.start_ns),
        instrumentation_scope=SCOPE,
    )


def _context(trace_id: int, span_id: int, *, is_remote: bool) -> SpanContext:
    return SpanContext(trace_id % 2**128, span_id % 2**64, is_remote, _SAMPLED)
