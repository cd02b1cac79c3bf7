"""What the question about PostgreSQL's health answers: one check each of what goes wrong slowly."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from watchglass.api.activity_answers import Role
from watchglass.api.models import Model

Name = Literal[
    "cache_hit_ratio",
    "dead_tuples",
    "autovacuum",
    "growth",
    "wraparound",
    "checkpoints",
    "replication",
    "temporary_files",
    "deadlocks",
]

State = Literal["good", "attention", "bad", "unknown"]
"""good: nothing to do; attention: see to it; bad: see to it now; unknown: the sentence says what is missing."""

Cell = str | float | int | bool | None
"""A value of a row. Times are ISO 8601 text; None is not known."""


class Column(Model):
    """A column of the rows. `unit` is UCUM ("By", "s", "1" for a ratio, "%"), "iso" for a time, None for text."""

    key: str
    title: str
    unit: str | None = None


class HealthCheck(Model):
    """One check. `sentence` is what it is and what to do, `command` the statement or setting to run, if one helps.

    `value` with `unit` is its one figure. `basis` says over what it was counted. `rows` are what is concerned, the
    worst first, at most 20, with the keys of `columns`; `left_off` counts the others, as far as was looked. `trend` is
    (time, value in `trend_unit`) by slots of the window, None where nothing is kept. `manual` is PostgreSQL's.
    """

    name: Name
    title: str
    state: State
    sentence: str
    value: float | None = None
    unit: str | None = None
    basis: str | None = None
    command: str | None = None
    rows: tuple[dict[str, Cell], ...] = ()
    columns: tuple[Column, ...] = ()
    left_off: int = 0
    trend: tuple[tuple[datetime, float | None], ...] | None = None
    trend_unit: str | None = None
    manual: str


class HealthChecksAnswer(Model):
    """The checks, always the same ones in the same order. `state` is the worst of them, `sentence` names what it is.

    `role` is None where PostgreSQL does not answer; then every check is unknown. `told` says what is missing and why.
    """

    at: datetime
    sentence: str
    state: State
    checks: list[HealthCheck]
    role: Role | None
    told: list[str]
