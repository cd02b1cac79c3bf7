"""What Watchglass itself costs: one line."""

from __future__ import annotations

from dataclasses import dataclass

from watchglass.api.footprint_answers import FootprintAnswer


@dataclass(frozen=True, slots=True)
class FootprintView:
    """The line of the footer."""

    sentence: str


def view(answer: FootprintAnswer) -> FootprintView:
    """The sentence of the answer."""
    return FootprintView(answer.sentence)
