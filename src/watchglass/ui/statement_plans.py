"""The plans of a statement: the one that is shown, those before it, what changed, and having the statement run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from watchglass.api import words
from watchglass.api.models import Missing
from watchglass.api.plan_answers import PlanAnswer, PlansAnswer
from watchglass.api.statement_answers import PlanChange, PlanSummary
from watchglass.api.visitors import Visitor
from watchglass.jobs.plans import LOCKED
from watchglass.store.explain import NEEDS_ROLE, SECONDS
from watchglass.ui import format, plan
from watchglass.ui.levels import Level
from watchglass.ui.plan import PlanView
from watchglass.ui.statement_planless import Planless, planless

HOW = {"parameters": "with parameters", "generic": "for any parameters", "analyze": "by EXPLAIN ANALYZE"}
RECENT = 86_400.0
"""Seconds for which a change of the plan stands above it."""

ROLE = "watchglass migrate --explain-role watchglass_explain"
THRESHOLD = "WATCHGLASS_SLOW_STATEMENT_SECONDS"
MISSING_ROLE = (
    "EXPLAIN ANALYZE runs the statement, so that it needs a role that may only read. Make one, and set "
    "WATCHGLASS_EXPLAIN_DATABASE_URL to the URL that this prints:"
)


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """A plan that was captured, with what it reads."""

    id: int
    shown: bool
    reads: str
    sign: str
    how: str
    cost: str
    seconds: format.Quantity
    captures: str
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """Since when it has another plan; a sequential scan in place of an index is a finding."""

    time: datetime
    sentence: str
    level: Level | None


@dataclass(frozen=True, slots=True)
class Running:
    """Whether the statement may be run here and now by who looks; else why not, and what changes that."""

    may: bool
    sentence: str
    command: str


@dataclass(frozen=True, slots=True)
class PlansView:
    """`plan` is the one that is shown; `missing` says why there is none, `note` what keeps newer ones away;
    `locked` is whether that is a lock that somebody holds.

    `planless` says so of a statement that never has one. `outdated`: it was seen before an index was made that was
    advised.
    """

    fingerprint: str
    plan: PlanView | None
    newest: ChangeRow | None
    changes: list[ChangeRow]
    history: list[HistoryRow]
    running: Running
    note: str
    locked: bool
    outdated: bool
    planless: Planless | None
    missing: Missing | None


def view(
    answer: PlansAnswer, chosen: PlanAnswer | None, visitor: Visitor, slow: float, now: float, text: str | None = None
) -> PlansView:
    """All about the plans; `chosen` is the one that the address names, else the latest is shown.

    `text` is the statement's, by which it is said why it has none.
    """
    shown = chosen or answer.latest
    never = None if shown else planless(text)
    changes = [_change(one) for one in answer.changes]
    recent = bool(changes) and now - changes[0].time.timestamp() < RECENT
    return PlansView(
        fingerprint=answer.fingerprint,
        plan=plan.view(shown) if shown else None,
        newest=changes[0] if recent else None,
        changes=changes,
        history=[_history(one, shown) for one in answer.plans],
        running=_running(answer, visitor),
        note=f"When this process asked for a plan last, it got none: {answer.problem}" if answer.problem else "",
        locked=answer.problem == LOCKED,
        outdated=bool(shown and answer.index_built_at and shown.seen_at < answer.index_built_at),
        planless=never,
        missing=None if shown or never else _missing(answer, slow),
    )


def chosen_of(query: Mapping[str, str]) -> int | None:
    """The id of the plan that an address names."""
    given = query.get("plan", "")
    return int(given) if given.isascii() and given.isdigit() and 0 < len(given) < 19 else None


def _change(one: PlanChange) -> ChangeRow:
    now = one.sentence.partition(", before ")[0]
    return ChangeRow(one.time, one.sentence, "warning" if "sequential scan" in now else None)


def _history(one: PlanSummary, shown: PlanAnswer | None) -> HistoryRow:
    sequential = any(scan.startswith("Seq Scan") for scan in one.scans)
    return HistoryRow(
        id=one.id,
        shown=shown is not None and shown.id == one.id,
        reads=", ".join(one.scans) or "no table",
        sign="all" if sequential else "index" if one.scans else "",
        how=HOW[one.how],
        cost=f"{one.cost:,.0f}" if one.cost >= 100 else f"{one.cost:,.1f}",
        seconds=format.quantity(one.seconds, "s"),
        captures=f"{one.captures:,}",
        first=one.captured_at,
        last=one.seen_at,
    )


def _running(answer: PlansAnswer, visitor: Visitor) -> Running:
    if answer.why_not == NEEDS_ROLE:
        return Running(False, MISSING_ROLE, ROLE)
    if answer.why_not is not None:
        return Running(False, answer.why_not, "")
    if visitor.role != "admin":
        return Running(
            False, f"EXPLAIN ANALYZE runs the statement: it needs the role admin; {visitor.name} is a viewer.", ""
        )
    text = (
        "This runs the statement once more, with the parameters of its latest slow execution, as a role that may only "
        f"read, in a transaction that is rolled back. After {SECONDS:g} s it is cancelled. Who asked is written down."
    )
    return Running(True, text, "")


def missing_of(problem: str) -> Missing:
    """A problem, with the command that mends it to be copied where it names one."""
    reason, _, command = problem.partition(" Install it with: ")
    if not command:
        return Missing(reason=problem)
    return Missing(reason=reason, remedy="Install it where the service runs, and restart it:", command=command)


def _missing(answer: PlansAnswer, slow: float) -> Missing:
    if answer.problem:
        found = missing_of(answer.problem)
        return found.model_copy(update={"reason": f"No plan. {found.reason}"})
    took = words.duration(slow)
    return Missing(
        reason=f"No plan yet: one is asked for when this service waits longer than {took} for it.",
        remedy="To have plans of faster statements, lower that for the service:",
        command=f"{THRESHOLD}={slow / 10:g}",
    )
