"""The list of black boxes that were frozen."""

from __future__ import annotations

from dataclasses import dataclass

from watchglass.api import words
from watchglass.api.incident_answers import IncidentLine, IncidentsAnswer
from watchglass.api.models import Missing
from watchglass.ui import format

REASONS = {
    "alert": ("alert", "An alert fired."),
    "error_burst": ("errors", "Errors burst."),
    "sigterm": ("end", "The process was told to end."),
    "by_hand": ("by hand", "Somebody asked for it."),
}
FINDINGS = frozenset(("alert", "error_burst"))


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """One of the list."""

    line: IncidentLine
    reason: str
    why: str
    level: str
    size: format.Quantity
    reach: str


@dataclass(frozen=True, slots=True)
class IncidentsView:
    """The newest first."""

    sentence: str
    rows: list[IncidentRow]
    more: bool
    missing: Missing | None


def view(answer: IncidentsAnswer) -> IncidentsView:
    """The list."""
    return IncidentsView(answer.sentence, [row(one) for one in answer.incidents], answer.more, answer.missing)


def row(line: IncidentLine) -> IncidentRow:
    """An incident as a row, and as the head of its own page."""
    word, why = REASONS.get(line.reason, (line.reason, ""))
    level = "critical" if line.reason in FINDINGS else ""
    reach = words.duration((line.window.end - line.window.start).total_seconds())
    return IncidentRow(line, word, why, level, format.quantity(line.bytes, "By"), reach)
