"""What a batch found out besides measurements and records: groups of errors, and incidents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from watchglass import sql
from watchglass.records import Batch, ErrorCount, Incident
from watchglass.store.partitions import Bounds
from watchglass.store.text import storable, storable_json

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

_OLDEST = timedelta(days=400)


async def add_found(connection: Connection, batch: Batch, service: str, instance_id: int, bounds: Bounds) -> None:
    """Add it in the batch's own transaction: what is counted is counted once."""
    service = storable(service, bounds.encoding)
    for incident in batch.incidents:
        await connection.execute(
            sql.load("incidents")["add_incident"], *_incident(incident, service, instance_id, bounds)
        )
    if batch.errors:
        await connection.execute(sql.load("errors")["add_errors"], service, *_errors(batch.errors, bounds))
    examples = sorted({trace.error_group: trace.root.trace_id for trace in batch.traces if trace.error_group}.items())
    if examples:
        groups, traces = zip(*examples, strict=True)
        ids = [(trace_id % 2**128).to_bytes(16, "big") for trace_id in traces]
        await connection.execute(sql.load("errors")["set_examples"], service, groups, ids)


def _errors(errors: Sequence[ErrorCount], bounds: Bounds) -> list[list[Any]]:
    """The columns of the groups, in the order in which every process locks them."""
    rows = [
        (
            error.group,
            *(storable(text, bounds.encoding) for text in (error.error_type, error.frame, error.message, error.stack)),
            _time(error.first_seen, bounds),
            _time(error.last_seen, bounds),
            error.count,
        )
        for error in sorted(errors, key=lambda error: error.group)
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _incident(incident: Incident, service: str, instance_id: int, bounds: Bounds) -> tuple[Any, ...]:
    return (
        storable(incident.id, bounds.encoding),
        _time(incident.time, bounds),
        service,
        instance_id,
        incident.reason,
        storable(incident.title, bounds.encoding),
        _time(incident.window_start, bounds),
        _time(incident.window_end, bounds),
        _content(incident, bounds),
    )


def _content(incident: Incident, bounds: Bounds) -> str:
    """The document; a text that is packed is longer than others, and is plain ASCII."""
    packed = incident.content.get("packed")
    rest = storable_json({name: value for name, value in incident.content.items() if name != "packed"}, bounds.encoding)
    return rest if packed is None else json.dumps({**json.loads(rest), "packed": packed}, separators=(",", ":"))


def _time(seconds: float, bounds: Bounds) -> datetime:
    """A time that is not in the future of the database, whatever the clock of its process says."""
    try:
        time = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return bounds.now
    return min(max(time, bounds.now - _OLDEST), bounds.now)
