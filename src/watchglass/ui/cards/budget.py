"""Where the time of one endpoint goes: below its row, each component and what is behind it."""

from __future__ import annotations

from dataclasses import dataclass

from watchglass.analysis.fingerprints import of_statement
from watchglass.api import words
from watchglass.api.budget_answers import BudgetAnswer, BudgetComponent, BudgetDetail
from watchglass.instrumentation.budget import POSTGRESQL
from watchglass.ui import format

MOST = 5
"""Statements, cache types and hosts that are shown of one component."""


@dataclass(frozen=True, slots=True)
class Line:
    """A component, or something behind it: its share, and the mean of a request. `why` says how it was estimated.

    `fingerprint` is that of a statement, which has a page.
    """

    name: str
    share: str
    mean: format.Quantity
    change: str = ""
    why: str = ""
    text: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A component with what is behind it; `more` is how many of those are left out."""

    component: str
    line: Line
    details: list[Line]
    more: int


@dataclass(frozen=True, slots=True)
class BudgetView:
    """`id` is that of the endpoint."""

    id: str
    sentence: str
    entries: list[Entry]


def view(answer: BudgetAnswer) -> BudgetView:
    """The components, those that take the most first."""
    components = sorted(answer.components, key=lambda one: -one.share)
    return BudgetView(answer.endpoint_id, answer.sentence, [_entry(one, answer.details) for one in components])


def _entry(one: BudgetComponent, details: list[BudgetDetail]) -> Entry:
    mine = [detail for detail in details if detail.component == one.component]
    line = Line(
        name=one.mean.label,
        share=words.percent(one.share),
        mean=format.of(one.mean),
        change=format.change(one.mean.change, "s"),
        why=(one.mean.reason or "") if one.mean.basis == "estimated" else "",
    )
    return Entry(one.component, line, [_detail(detail) for detail in mine[:MOST]], max(0, len(mine) - MOST))


def _detail(one: BudgetDetail) -> Line:
    mean = format.quantity(one.mean, "s")
    fingerprint = of_statement(one.text) if one.text and one.component == POSTGRESQL else ""
    return Line(one.text or one.label, words.percent(one.share), mean, text=one.text or "", fingerprint=fingerprint)
