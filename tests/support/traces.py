"""Kept traces and their log lines, as processes of several services write them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from watchglass.records import Batch, ErrorCount, Instance, LogRecord, SpanRecord, Trace
from watchglass.store.writer import Writer

SECOND = 1_000_000_000
SQL = {"db.system.name": "postgresql", "db.operation.name": "SELECT", "db.query.summary": "SELECT books"}
BOOKS = "SELECT title FROM books WHERE id = $1"


def statement(text: str = BOOKS, **more: Any) -> dict[str, Any]:
    """The attributes of a statement's span."""
    return {**SQL, "db.query.text": text, **more}


class Writing:
    """A process that writes kept traces and log lines."""

    def __init__(self, dsn: str, service: str = "shop", host: str = "host-a") -> None:
        self.instance = Instance(service, "", "1.0", os.urandom(8).hex(), host, 1, time.time() - 60)
        self._writer = Writer(dsn, self.instance)
        self._sequence = 0

    async def write(self, *traces: Trace, logs: Sequence[LogRecord] = (), errors: Sequence[ErrorCount] = ()) -> None:
        if not self._writer.is_open:
            await self._writer.open()
        self._sequence += 1
        await self._writer.write(Batch(self._sequence, (), list(logs), list(traces), list(errors)))

    async def close(self) -> None:
        await self._writer.close()


def kept(
    at: float,
    *children: SpanRecord,
    seconds: float = 0.1,
    route: str | None = "/books/{id}",
    method: str = "GET",
    status: int = 200,
    error: str | None = None,
    reason: str = "first",
    trace_id: int = 0,
    parent_id: int | None = None,
    **more: Any,
) -> Trace:
    """A trace that began at `at`; its children are moved there, below its root where they have no parent."""
    start, trace_id = round(at * SECOND), trace_id or int.from_bytes(os.urandom(16))
    attributes: dict[str, Any] = {"http.request.method": method, "http.response.status_code": status}
    if route:
        attributes["http.route"] = route
    name = f"{method} {route}" if route else method
    span_id = int.from_bytes(os.urandom(8))
    end = start + round(seconds * SECOND)
    root = SpanRecord(trace_id, span_id, parent_id, name, "server", start, end, attributes, error)
    moved = [
        replace(
            child,
            trace_id=trace_id,
            parent_id=child.parent_id or span_id,
            start_ns=start + child.start_ns,
            end_ns=start + child.end_ns,
        )
        for child in children
    ]
    return Trace(root, [root, *moved], reason, **more)


def child(name: str, start: float, end: float, attributes: dict[str, Any] | None = None, **more: Any) -> SpanRecord:
    """A span from and until so many seconds after its root's start."""
    values: dict[str, Any] = {"parent_id": None, "kind": "client", "span_id": int.from_bytes(os.urandom(8)), **more}
    return SpanRecord(
        0,
        name=name,
        start_ns=round(start * SECOND),
        end_ns=round(end * SECOND),
        attributes=attributes or {},
        **values,
    )


def log(at: float, message: str, trace: Trace | None = None, **more: Any) -> LogRecord:
    """A line, of a trace's root if one is given."""
    ids = {} if trace is None else {"trace_id": f"{trace.root.trace_id:032x}", "span_id": f"{trace.root.span_id:016x}"}
    return LogRecord(round(at * SECOND), 9, "INFO", "shop", message, {}, **{**ids, **more})
