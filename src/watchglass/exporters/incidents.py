"""Incidents on their way to the store."""

from __future__ import annotations

from watchglass.exporters.queue import Queue
from watchglass.records import Incident

MOST = 20
"""Incidents that may wait."""

MOST_BYTES = 16 * 1024 * 1024
"""Memory that they may take, about."""

A_FLUSH = 1
"""Incidents that one flush takes: one may be as large as a thousand traces."""


def incident_queue() -> Queue[Incident]:
    """An empty queue of incidents."""
    return Queue(MOST, MOST_BYTES, weight)


def weight(incident: Incident) -> int:
    """The bytes of an incident in memory, about: nearly all of it is text."""
    return 1_000 + sum(len(value) for value in incident.content.values() if isinstance(value, str))
