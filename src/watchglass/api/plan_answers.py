"""What the questions about plans answer. Names and conditions are those of the service's own tables."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from watchglass.api.models import Model
from watchglass.api.statement_answers import PlanChange, PlanSummary


class PlanStep(Model):
    """A step of the plan; one `depth` deeper than the step that it feeds, which is the nearest such before it.

    `share` of the plan's cost is its own, without the steps below. Rows are those of all loops together; `actual_rows`,
    `loops`, `removed` (read and thrown away), `misjudged` (actual rows over expected ones) and `spilled` (kB on disk)
    are known only of a plan that was run.
    """

    place: int
    depth: int
    name: str
    kind: Literal["sequential", "index", "join", "sort", "aggregate", "other"]
    relation: str | None
    index: str | None
    cost: float
    share: float
    rows: float
    actual_rows: float | None
    loops: float | None
    removed: float | None
    misjudged: float | None
    spilled: int | None
    conditions: dict[str, str]


class PlanAnswer(Model):
    """One plan: `sentence` names its worst step, `worst` is that step's place; `text` and `plan` are to be copied.

    `id` is None of a plan that is being written. `planned` is what was planned in place of a statement that changes or
    locks rows: the SELECT that finds them.
    """

    id: int | None
    fingerprint: str
    shape: str
    how: Literal["parameters", "generic", "analyze"]
    cost: float
    seconds: float | None
    server_version: str
    trace_id: str | None
    captured_at: datetime
    seen_at: datetime
    sentence: str
    worst: int
    steps: list[PlanStep]
    text: str
    plan: dict[str, Any]
    planned: str | None = None


class PlansAnswer(Model):
    """The plans of a statement, the one seen last first and whole as `latest`, and when they changed.

    `problem` says why the process that answers got none when it asked last. `may_analyze` is whether the statement may
    be run by an admin here and now; else `why_not` says what is needed. An index that was advised for the statement is
    there since `index_built_at`; a plan seen before that does not know it.
    """

    fingerprint: str
    plans: list[PlanSummary]
    changes: list[PlanChange]
    latest: PlanAnswer | None
    problem: str | None
    may_analyze: bool
    why_not: str | None
    index_built_at: datetime | None = None
