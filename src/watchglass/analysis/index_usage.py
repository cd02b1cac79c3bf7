"""Indexes that cost and do not serve: never scanned, or beside another that serves the same.

What enforces something (a primary key, uniqueness, a constraint, a replica's identity) is never among them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

DAY = 86400.0

LEAST_DAYS = 7.0
"""Younger statistics do not tell that an index is not used: what runs once a week has not run."""

TOO_YOUNG = "Scans were counted for less than a week, which is too short to call an index unused."

REPLICAS = (
    "Each server counts its own scans: before an index is dropped, look at the same statistics on every other server, "
    "for a replica may be reading through it."
)


@dataclass(frozen=True, slots=True)
class IndexUse:
    """An index and its scans since statistics began; `keys` are texts that are equal where two keys are."""

    schema: str
    table: str
    name: str
    quoted_table: str
    quoted: str
    oid: int
    method: str
    keys: tuple[str, ...]
    included: int
    expressions: str | None
    predicate: str | None
    unique: bool
    primary: bool
    constraint: str | None
    replica_identity: bool
    valid: bool
    bytes: int
    scans: int

    @property
    def enforces(self) -> bool:
        return self.unique or self.primary or self.constraint is not None or self.replica_identity


@dataclass(frozen=True, slots=True)
class Superfluous:
    """An index that may go. `serving` is the one that serves the same; None where it was never scanned."""

    index: IndexUse
    reason: str
    statement: str
    serving: str | None = None


def unused(indexes: Iterable[IndexUse], counted_seconds: float) -> list[Superfluous]:
    """Those never scanned, the largest first; none before statistics are a week old."""
    if counted_seconds < LEAST_DAYS * DAY:
        return []
    since = f"in the {counted_seconds / DAY:,.0f} days that scans were counted"
    found = [one for one in indexes if one.valid and not one.scans and not one.enforces]
    return [_superfluous(one, f"It was not scanned {since}.") for one in _largest(found)]


def duplicates(indexes: Iterable[IndexUse]) -> list[Superfluous]:
    """Those whose keys another index has as well, or begins with; the largest first."""
    of_table = defaultdict(list)
    for index in indexes:
        if index.valid:
            of_table[index.quoted_table].append(index)
    found = {one: other for all in of_table.values() for one in all if (other := _serving(one, all))}
    return [
        _superfluous(one, f"{found[one].name} {_how(one, found[one])}.", found[one].name) for one in _largest(found)
    ]


def invalid(indexes: Iterable[IndexUse]) -> list[Superfluous]:
    """Those left behind by a CREATE INDEX CONCURRENTLY that failed, or being built now."""
    reason = "It is not valid: it is being built, or its building failed. Written to all the same, read by nothing."
    found = [one for one in indexes if not one.valid and not (one.primary or one.constraint or one.replica_identity)]
    return [_superfluous(one, reason) for one in _largest(found)]


def _serving(one: IndexUse, others: Sequence[IndexUse]) -> IndexUse | None:
    """Another that has the same keys and more, or the same: of two alike the one that enforces, or is older, stays."""
    if one.enforces or one.included:
        return None
    for other in others:
        alike = other is not one and _comparable(one, other) and other.keys[: len(one.keys)] == one.keys
        longer = len(other.keys) > len(one.keys)
        if alike and (longer or other.enforces or other.oid < one.oid):
            return other
    return None


def _comparable(one: IndexUse, other: IndexUse) -> bool:
    """GIN and others serve by single keys: only B-trees serve what begins as they do."""
    same = (one.method, one.predicate) == (other.method, other.predicate)
    if one.expressions or other.expressions or one.method != "btree":
        return same and one.expressions == other.expressions and len(one.keys) == len(other.keys)
    return same


def _how(one: IndexUse, other: IndexUse) -> str:
    return "has the same keys" if len(one.keys) == len(other.keys) else "begins with the same keys"


def _superfluous(index: IndexUse, reason: str, serving: str | None = None) -> Superfluous:
    return Superfluous(index, reason, f"DROP INDEX CONCURRENTLY {index.quoted}", serving)


def _largest(indexes: Iterable[IndexUse]) -> list[IndexUse]:
    return sorted(indexes, key=lambda one: one.bytes, reverse=True)
