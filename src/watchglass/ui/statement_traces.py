"""Kept traces that ran a statement, the slowest first."""

from __future__ import annotations

from dataclasses import dataclass

from watchglass.api.models import Missing
from watchglass.api.trace_answers import TracesAnswer
from watchglass.ui.traces import DAY, Row, row

SHOWN = 6


@dataclass(frozen=True, slots=True)
class RanView:
    """`form` is how times are written."""

    form: str
    rows: list[Row]
    missing: Missing | None


def view(answer: TracesAnswer, slow: float) -> RanView:
    """The slowest of those that were found; over `slow` seconds a duration is a finding."""
    slowest = sorted(answer.traces, key=lambda one: -one.duration)[:SHOWN]
    longest = slowest[0].duration if slowest else 0.0
    form = "day" if (answer.window.end - answer.window.start).total_seconds() >= DAY else "clock"
    return RanView(form, [row(one, longest, slow) for one in slowest], answer.missing)
