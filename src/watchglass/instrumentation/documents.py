"""What is known of a request, as a document for a black box: its spans, as the store has those of traces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from watchglass import guard
from watchglass.instrumentation.attributes import of_outcome, span_name
from watchglass.instrumentation.request import Request
from watchglass.instrumentation.tail import Handled, children_of

MOST_SPANS: Final = 100
"""Spans of a request that runs that are told beside its own: those that ended last."""


def running(request: Request, handled: Handled, until: float) -> dict[str, Any]:
    """What is known of a request that runs until now, a reading of the recorder's clock."""
    known: dict[str, Any] = {}
    with guard.protected("black box"):
        known = handled.known()
    told = described(request, until, known)
    root, *children = told["spans"]
    left_out = max(0, len(children) - MOST_SPANS)
    return told | {"spans": [root, *children[left_out:]], "dropped_spans": told["dropped_spans"] + left_out}


def described(request: Request, until: float = 0.0, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What is known of a request that ended, or that runs `until` then; `known` are attributes of its span.

    Spans are as the store has those of traces: the root first, in nanoseconds since its start.
    """
    end = request.time_ns(request.end or until)
    attributes = {"http.request.method": request.method, **(known or {}), **of_outcome(request)}
    spans = [_span(request, span_name(request), "server", request.span_id, request.parent_id, 0, end, attributes)]
    for span in children_of(request):
        began = span.start_ns - request.start_ns
        ids = span.span_id, span.parent_id
        spans.append(_span(request, span.name, span.kind, *ids, began, span.end_ns, span.attributes, span.error))
    return {
        "trace_id": request.trace_hex,
        "span_id": request.span_hex,
        "time": request.start_ns / 1e9,
        "name": span_name(request),
        "method": request.method,
        "route": request.route,
        "dropped_spans": request.dropped_children,
        "spans": spans,
    }


def _span(
    request: Request,
    name: str,
    kind: str,
    span_id: int,
    parent_id: int | None,
    start_ns: int,
    end_ns: int,
    attributes: Any,
    error: str | None = None,
) -> dict[str, Any]:
    return {
        "span_id": f"{span_id:016x}",
        "parent_id": f"{parent_id:016x}" if parent_id else None,
        "name": name,
        "kind": kind,
        "start_ns": start_ns,
        "duration_ns": max(0, end_ns - request.start_ns - start_ns),
        "attributes": attributes,
        "error": error,
    }
