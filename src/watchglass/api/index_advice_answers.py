"""What the questions about indexes and slow statements answer. Costs are PostgreSQL's, without a unit."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from watchglass.api.models import Answer, Model


class AdvisedIndex(Model):
    """An index that would help. `statement` is to be run by an administrator, after CREATE EXTENSION of `extension`.

    `superseded` are indexes that it makes superfluous. `within` is what to run in its place where another statement of
    the answer is advised an index that serves this one, too. Costs are the whole statement's. The index will take from
    `least_size_bytes` to `size_bytes` once it is built, which `size` says in words.
    """

    table: str
    method: str
    keys: tuple[str, ...]
    statement: str
    sentence: str
    reason: str
    basis: Literal["estimated", "verified"]
    cost_before: float
    cost_after: float
    size: str
    size_bytes: int
    least_size_bytes: int
    writes: str
    extension: str | None
    superseded: tuple[str, ...]
    within: str | None = None


class AdvisedRewrite(Model):
    """Another way to ask, with an example in SQL where one can be given."""

    kind: str
    sentence: str
    example: str | None


class StatementAdvice(Model):
    """A slow statement, and what would make it faster. `cost` is that of its plan now.

    `note` says what is not known.
    """

    fingerprint: str
    summary: str
    text: str
    calls: int
    total_seconds: float
    impact: float
    cost: float | None
    how: Literal["parameters", "generic", "analyze"] | None
    indexes: list[AdvisedIndex]
    rewrites: list[AdvisedRewrite]
    note: str | None


class MeasuredCalls(Model):
    """Calls of one statement as the service's client saw them, in seconds; None where there were none."""

    calls: int
    p95: float | None
    mean: float | None


class BuiltIndex(Model):
    """An index that was advised and is there since `built_at`, when it was found; `after` was measured since."""

    fingerprint: str
    text: str
    statement: str
    built_at: datetime
    before: MeasuredCalls
    after: MeasuredCalls
    sentence: str


class SuggestionsAnswer(Answer):
    """Slow statements by impact, with advice. `looked_at` were planned; `more` were not, for there are many.

    `built` are indexes that were advised and are there now.
    """

    looked_at: int
    more: int
    statements: list[StatementAdvice]
    built: list[BuiltIndex]


class SuperfluousIndex(Model):
    """An index that costs and does not serve. `serving` is the one that does its work, where there is one."""

    table: str
    name: str
    bytes: int
    scans: int
    reason: str
    statement: str
    serving: str | None


class IndexesAnswer(Answer):
    """Indexes of the service's database. `scans_since`: what was scanned before that is not known.

    `caveat` holds for all that is said of scans. `more` says that only the largest were looked at.
    """

    indexes: int
    bytes: int
    scans_since: datetime
    replica: bool
    caveat: str
    unused: list[SuperfluousIndex]
    duplicates: list[SuperfluousIndex]
    invalid: list[SuperfluousIndex]
    more: bool
