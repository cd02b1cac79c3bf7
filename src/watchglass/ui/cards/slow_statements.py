"""The statements that take the most time: their share, how often, how slow."""

from __future__ import annotations

from dataclasses import dataclass

from watchglass.api import words
from watchglass.api.answers import SlowStatementsAnswer, Statement
from watchglass.api.models import Missing
from watchglass.ui import format
from watchglass.ui.levels import Level, latency_level

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One statement's shape; `line` is as much of it as one line holds, `fingerprint` finds its traces.

    `over` is the calls beyond the threshold, empty when there is none.
    """

    id: str
    summary: str
    text: str
    line: str
    share: float
    share_text: str
    calls: str
    p95: format.Quantity
    p95_change: str
    p95_level: Level | None
    longest: format.Quantity
    over: str
    errors: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class SlowStatementsView:
    """`threshold` is the duration from which on a call is slow."""

    sentence: str
    threshold: format.Quantity
    rows: list[Row]
    more: int
    missing: Missing | None


def view(answer: SlowStatementsAnswer) -> SlowStatementsView:
    """The five with the most time."""
    rows = [_row(one, answer.threshold) for one in answer.statements[:SHOWN]]
    more = answer.more + len(answer.statements) - len(rows)
    return SlowStatementsView(answer.sentence, format.quantity(answer.threshold, "s"), rows, more, answer.missing)


def _row(one: Statement, slow: float) -> Row:
    return Row(
        id=f"statement-{one.fingerprint}",
        summary=one.summary,
        text=one.text or "",
        line=" ".join((one.text or one.summary).split())[:200],
        share=round(one.impact * 100, 1),
        share_text=words.percent(one.impact),
        calls=f"{one.calls:,}",
        p95=format.of(one.p95),
        p95_change=format.change(one.p95.change, "s"),
        p95_level=latency_level(one.p95, slow),
        longest=format.quantity(one.max, "s"),
        over=f"{one.over_threshold:,}" if one.over_threshold else "",
        errors=words.plural(one.errors, "error") if one.errors else "",
        fingerprint=one.fingerprint if one.text else "",
    )
