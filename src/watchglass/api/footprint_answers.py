"""What the questions about Watchglass's own cost answer."""

from __future__ import annotations

from watchglass.api.models import Answer, Figure, Model


class FootprintAnswer(Answer):
    """Watchglass's own cost: figures by name."""

    figures: dict[str, Figure]


class StoredTable(Model):
    """A table of the store with its partitions and indexes; rows as PostgreSQL last estimated them."""

    name: str
    holds: str
    partitions: int
    rows: int
    bytes: int


class Loss(Model):
    """What was lost or went wrong in the window. `what` is a signal's records, or "errors" of Watchglass's own."""

    what: str
    why: str
    count: int


class OwnStatement(Model):
    """A statement with which the page asks the store."""

    name: str
    calls: int
    p95: float | None
    max: float | None
    total_seconds: float


class FootprintDetails(FootprintAnswer):
    """The cost in detail: tables by size, losses by number, own statements by the time they took."""

    tables: list[StoredTable]
    losses: list[Loss]
    statements: list[OwnStatement]
