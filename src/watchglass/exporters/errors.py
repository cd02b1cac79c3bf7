"""Counts of errors on their way to the store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from watchglass.records import ErrorCount

MOST_BYTES = 8 * 1024 * 1024
"""Memory that counts which wait may take, about."""


def weight(error: ErrorCount) -> int:
    """The bytes of a count in memory, about."""
    return 500 + len(error.message) + len(error.stack)


def merged(errors: Iterable[ErrorCount]) -> list[ErrorCount]:
    """One count a group, of neighbours in order: added up, with what was known last."""
    found: dict[str, ErrorCount] = {}
    for error in errors:
        known = found.get(error.group)
        found[error.group] = error if known is None else _sum(known, error)
    return list(found.values())


def _sum(one: ErrorCount, other: ErrorCount) -> ErrorCount:
    return replace(
        other,
        message=other.message or one.message,
        stack=other.stack or one.stack,
        first_seen=min(one.first_seen, other.first_seen),
        last_seen=max(one.last_seen, other.last_seen),
        count=one.count + other.count,
    )
