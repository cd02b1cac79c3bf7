"""The requests that are running now, and those that never ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from watchglass.api import words
from watchglass.api.asking import Asked
from watchglass.api.incident_answers import PendingAnswer, PendingRequest
from watchglass.api.models import Missing
from watchglass.store import incidents as store

if TYPE_CHECKING:
    import asyncpg

SILENT = 30.0
"""Seconds after which a request of which nobody said anything has never ended: it is noted every five."""

MOST = 500
NO_REQUESTS = "No request has been running for longer than two seconds."


async def pending(asked: Asked) -> PendingAnswer:
    """Those of the service, whichever of its processes runs them or ran them last."""
    rows = await store.pending(asked.reader.database, asked.reader.service, MOST + 1)
    requests = [_request(row) for row in rows[:MOST]]
    return PendingAnswer(
        **asked.head("pending", "Running now", _sentence(requests), None if requests else Missing(reason=NO_REQUESTS)),
        requests=requests,
        more=len(rows) > MOST,
    )


def _request(row: asyncpg.Record) -> PendingRequest:
    return PendingRequest(
        state="running" if row["now"] - row["seen_at"] < SILENT else "never_ended",
        trace_id=row["trace_id"],
        span_id=row["span_id"],
        name=row["name"],
        method=row["method"],
        route=row["route"],
        started_at=_time(row["started_at"]),
        seen_at=_time(row["seen_at"]),
        seconds=max(0.0, row["seen_at"] - row["started_at"]),
        spans=row["spans"],
        service=row["service_name"],
        instance=row["service_instance_id"],
        host=row["host_name"],
        pid=row["process_pid"],
        last_seen=_time(row["last_seen"]),
    )


def _sentence(requests: list[PendingRequest]) -> str:
    if not requests:
        return NO_REQUESTS
    running = [request for request in requests if request.state == "running"]
    parts = []
    if running:
        longest = words.duration(max(request.seconds for request in running))
        parts.append(f"{words.plural(len(running), 'request')} running, the longest for {longest}")
    if lost := len(requests) - len(running):
        parts.append(f"{words.plural(lost, 'request')} that never ended")
    return "; ".join(parts) + "."


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
