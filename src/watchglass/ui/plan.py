"""A plan as a table of its steps, indented as a tree: what each reads, its share of the cost, what was wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass

from watchglass.analysis.plan_words import MISJUDGED
from watchglass.api import words
from watchglass.api.plan_answers import PlanAnswer, PlanStep
from watchglass.ui.levels import Level

STEP, DEEPEST = 16, 24
"""Pixels by which a step is moved to the right of the one it feeds, up to so many levels."""

NOTABLE = 2.0
"""From how many times more, or fewer, rows than expected on it is shown; from `MISJUDGED` on it is a finding."""

READS = {"sequential": ("all", "reads all"), "index": ("index", "by index")}
"""How rows are found: the sign, and the words beside it."""

SLOW_SHARE = 0.2
"""A sequential scan with less of the cost is no finding: it is red all the same, as the field reads plans."""


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step. `off` says how far the expected rows were off; `notes` are what it threw away and what spilled."""

    id: str
    indent: int
    below: bool
    name: str
    relation: str
    index: str
    sign: str
    reads: str
    share: float
    share_text: str
    cost: str
    expected: str
    came: str
    off: str
    off_level: Level | None
    loops: str
    conditions: list[tuple[str, str]]
    notes: list[tuple[str, Level | None]]
    is_worst: bool


@dataclass(frozen=True, slots=True)
class PlanView:
    """One plan: `sentence` names its worst step; `was_run` is whether actual rows are known."""

    answer: PlanAnswer
    level: Level | None
    sentence: str
    how: str
    cost: str
    was_run: bool
    rows: list[StepRow]
    text: str
    json: str


def view(answer: PlanAnswer) -> PlanView:
    """The plan, step by step, as it is read."""
    return PlanView(
        answer=answer,
        level=_level(answer),
        sentence=answer.sentence,
        how=_how(answer),
        cost=_cost(answer.cost),
        was_run=any(step.actual_rows is not None for step in answer.steps),
        rows=[_row(step, answer) for step in answer.steps],
        text=answer.text,
        json=json.dumps([answer.plan], indent=2, ensure_ascii=False),
    )


def _level(answer: PlanAnswer) -> Level | None:
    """What was read and thrown away, spilled or misjudged is a finding."""
    worst = answer.steps[answer.worst] if answer.steps else None
    reads_all = worst is not None and worst.kind == "sequential" and worst.share >= SLOW_SHARE
    off = any(_times_off(step) >= MISJUDGED or step.spilled for step in answer.steps)
    return "warning" if reads_all or off else None


def _how(answer: PlanAnswer) -> str:
    took = words.duration(answer.seconds) if answer.seconds is not None else ""
    if answer.how == "analyze":
        return f"Executed by EXPLAIN ANALYZE{f' in {took}' if took else ''}"
    if answer.how == "parameters":
        return f"Planned with the parameters of an execution that took {took}" if took else "Planned with parameters"
    return "Planned for any parameters, for those of the slow execution were not known"


def _row(step: PlanStep, answer: PlanAnswer) -> StepRow:
    sign, reads = READS.get(step.kind, ("", ""))
    place, following = step.place, answer.steps[step.place + 1 : step.place + 2]
    off = _times_off(step)
    return StepRow(
        id=f"step-{place}",
        indent=min(step.depth, DEEPEST) * STEP,
        below=bool(following and following[0].depth > step.depth),
        name=step.name,
        relation=step.relation or "",
        index=step.index or "",
        sign=sign,
        reads=reads,
        share=round(step.share * 100, 1),
        share_text=words.percent(round(step.share, 3)),
        cost=_cost(step.cost),
        expected=_count(step.rows),
        came="" if step.actual_rows is None else _count(step.actual_rows),
        off=_off(step) if off >= NOTABLE else "",
        off_level="warning" if off >= MISJUDGED else None,
        loops=f"{step.loops:,.0f} loops" if step.loops and step.loops > 1 else "",
        conditions=list(step.conditions.items()),
        notes=_notes(step),
        is_worst=place == answer.worst,
    )


def _times_off(step: PlanStep) -> float:
    times = step.misjudged or 1.0
    return max(times, 1 / times)


def _off(step: PlanStep) -> str:
    return f"{words.number(_times_off(step))} times {'more' if (step.misjudged or 1) > 1 else 'fewer'}"


def _notes(step: PlanStep) -> list[tuple[str, Level | None]]:
    notes: list[tuple[str, Level | None]] = []
    if step.removed:
        kept = step.actual_rows or 0.0
        wasteful = step.removed >= 10 * max(kept, 1.0) and step.removed >= 1_000
        text = f"{_count(step.removed)} rows read and thrown away"
        notes.append((text, "warning" if wasteful else None))
    if step.spilled:
        notes.append((f"did not fit in memory: {words.size(step.spilled * 1024)} on disk", "warning"))
    return notes


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _cost(cost: float) -> str:
    return f"{cost:,.1f}" if cost < 100 else f"{cost:,.0f}"
