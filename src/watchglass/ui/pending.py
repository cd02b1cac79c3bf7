"""What runs now, and what never ended."""

from __future__ import annotations

from dataclasses import dataclass

from watchglass.api.incident_answers import PendingAnswer, PendingRequest
from watchglass.api.models import Missing
from watchglass.ui import format


@dataclass(frozen=True, slots=True)
class PendingRow:
    """A request that runs, or that never ended."""

    request: PendingRequest
    duration: format.Quantity
    lost: bool


@dataclass(frozen=True, slots=True)
class PendingView:
    """Those that run first, those that never ended after them."""

    sentence: str
    rows: list[PendingRow]
    lost: int
    more: bool
    missing: Missing | None


def view(answer: PendingAnswer) -> PendingView:
    """The requests, those that run first."""
    rows = [_pending(one) for one in sorted(answer.requests, key=lambda one: one.state == "never_ended")]
    lost = sum(one.lost for one in rows)
    return PendingView(answer.sentence, rows, lost, answer.more, answer.missing)


def _pending(one: PendingRequest) -> PendingRow:
    return PendingRow(one, format.quantity(one.seconds, "s"), one.state == "never_ended")
