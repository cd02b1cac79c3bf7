"""What would make a statement faster: indexes to create, other ways to ask, and what an index that was made brought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from watchglass.api import words
from watchglass.api.index_advice_answers import (
    AdvisedIndex,
    AdvisedRewrite,
    BuiltIndex,
    MeasuredCalls,
    StatementAdvice,
    SuggestionsAnswer,
)
from watchglass.api.models import Missing
from watchglass.api.statement_answers import AdvisedBefore
from watchglass.store.advising import LOCKED
from watchglass.ui import format
from watchglass.ui.statement_planless import planless

LEAST = 0.5
"""The least width of a bar, in percent: something that is not nothing can be seen."""

NOTHING = (
    "No B-tree, trigram or jsonb index would halve the cost of this statement, and nothing in its text keeps it slow. "
    "Indexes of other kinds, as for full-text search, are not looked at."
)
NOT_SENT = (
    "The service's own processes did not send it in this window, so that nothing is advised: choose a longer one."
)
NEVER = "No index is advised for it: under Plan it is said where its time goes."
BASIS = {
    "verified": "Verified: PostgreSQL planned with it by HypoPG, and uses it.",
    "estimated": "Estimated by PostgreSQL's own formulas.",
}


@dataclass(frozen=True, slots=True)
class Bars:
    """Two values beside each other, as widths from 0 to 100."""

    before: float
    after: float


@dataclass(frozen=True, slots=True)
class IndexRow:
    """An index that would help."""

    id: str
    index: AdvisedIndex
    basis: str
    cost_before: str
    cost_after: str
    times: str
    bars: Bars
    size: str


@dataclass(frozen=True, slots=True)
class RewriteRow:
    """Another way to ask."""

    id: str
    rewrite: AdvisedRewrite


@dataclass(frozen=True, slots=True)
class Measured:
    """Calls before the index, or since."""

    calls: str
    p95: format.Quantity
    mean: format.Quantity


@dataclass(frozen=True, slots=True)
class BuiltRow:
    """An advised index that is there; `bars` are of the P95, None before it was called since."""

    id: str
    statement: str
    sentence: str
    built_at: datetime
    before: Measured
    after: Measured
    bars: Bars | None


@dataclass(frozen=True, slots=True)
class StandingRow:
    """An index that was advised before, and is not there."""

    id: str
    advised: AdvisedBefore


@dataclass(frozen=True, slots=True)
class AdviceView:
    """`nothing` says that there is none, and why; `note` what is not known; `missing` why nothing can be advised.

    `locked`: it is not known because somebody holds a lock.

    `standing` was advised before, where nothing can be advised now because the window has none of the statement.
    """

    sentence: str = ""
    indexes: Sequence[IndexRow] = ()
    rewrites: Sequence[RewriteRow] = ()
    built: Sequence[BuiltRow] = ()
    standing: Sequence[StandingRow] = ()
    note: str = ""
    locked: bool = False
    nothing: str = ""
    missing: Missing | None = None


def view(answer: SuggestionsAnswer, advised: Sequence[AdvisedBefore] = (), text: str | None = None) -> AdviceView:
    """The advice on the one statement that was asked for; what was `advised` before stands where nothing newer is.

    `text` is the statement's: of one that never has a plan it is said so.
    """
    one = answer.statements[0] if answer.statements else None
    indexes = [_index(at, index) for at, index in enumerate(one.indexes)] if one else []
    rewrites = [RewriteRow(f"rewrite-{at}", rewrite) for at, rewrite in enumerate(one.rewrites)] if one else []
    built = [_built(at, index) for at, index in enumerate(answer.built)]
    any_ = bool(indexes or rewrites or built)
    never = not any_ and planless(text) is not None
    open_ = [] if one else [before for before in advised if before.state == "open"]
    return AdviceView(
        sentence=_sentence(indexes, rewrites, built),
        indexes=indexes,
        rewrites=rewrites,
        built=built,
        standing=[StandingRow(f"standing-{at}", before) for at, before in enumerate(open_)],
        note=(one.note or "") if one and not never else "",
        locked=bool(one and one.note == LOCKED),
        nothing=NEVER if never else _nothing(one, any_),
    )


def _sentence(indexes: Sequence[IndexRow], rewrites: Sequence[RewriteRow], built: Sequence[BuiltRow]) -> str:
    if indexes:
        number = "One index" if len(indexes) == 1 else f"{len(indexes)} indexes together"
        return f"{number} would make the statement {indexes[0].times} cheaper."
    if built:
        return "An index that was advised is there."
    return "No index, but another way to ask would help." if rewrites else ""


def _nothing(one: StatementAdvice | None, any_: bool) -> str:
    if any_:
        return ""
    if one is None:
        return NOT_SENT
    return "" if one.note and one.cost is None else NOTHING


def _index(at: int, index: AdvisedIndex) -> IndexRow:
    return IndexRow(
        id=f"index-{at}",
        index=index,
        basis=BASIS[index.basis],
        cost_before=_cost(index.cost_before),
        cost_after=_cost(index.cost_after),
        times=_times(index.cost_before, index.cost_after),
        bars=_bars(index.cost_before, index.cost_after),
        size=index.size,
    )


def _times(before: float, after: float) -> str:
    return f"{words.number(before / after)} times" if after > 0 else "much"


def _bars(before: float, after: float) -> Bars:
    longest = max(before, after) or 1.0
    return Bars(_width(before / longest), _width(after / longest))


def _width(share: float) -> float:
    return round(max(share * 100, LEAST), 1)


def _built(at: int, index: BuiltIndex) -> BuiltRow:
    before, after = index.before.p95, index.after.p95
    return BuiltRow(
        id=f"built-{at}",
        statement=index.statement,
        sentence=index.sentence,
        built_at=index.built_at,
        before=_measured(index.before),
        after=_measured(index.after),
        bars=_bars(before, after) if before is not None and after is not None else None,
    )


def _measured(calls: MeasuredCalls) -> Measured:
    p95, mean = format.quantity(calls.p95, "s"), format.quantity(calls.mean, "s")
    return Measured(f"{calls.calls:,}", p95, mean)


def _cost(cost: float) -> str:
    return f"{cost:,.1f}" if cost < 100 else f"{cost:,.0f}"
