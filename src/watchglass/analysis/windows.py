"""Spans of time: the window of an answer, the earlier one it is compared with, and the slots between two points."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

STEPS = (10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
"""Widths of a slot in seconds; each divides a day, so that slots of equal width always lie on each other."""

_LONG = 21 * 86_400

MOST_SLOTS = 90
"""Points of a line: more cannot be told apart on a screen."""


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time in unix seconds, start included, end excluded."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start

    def earlier(self, seconds: float) -> Window:
        """The window of equal length, `seconds` before."""
        return Window(self.start - seconds, self.end - seconds)

    def step(self, least: float = 30, most: int = MOST_SLOTS) -> int:
        """The smallest slot width, not below `least`, that cuts the window into at most `most` slots.

        Of three weeks and more it is a day: nobody looks for an hour there, and days are read from fewer rows.
        """
        if self.seconds >= _LONG:
            return STEPS[-1]
        for step in STEPS:
            if step >= least and self.seconds / step <= most:
                return step
        return STEPS[-1]

    def slots(self, step: int) -> list[int]:
        """The starts of the slots that the window touches, aligned to `step`."""
        first = int(self.start // step) * step
        return list(range(first, ceil(self.end / step) * step, step))

    def overlap(self, start: float, end: float) -> float:
        """Seconds of the window that lie within start and end."""
        return max(0.0, min(self.end, end) - max(self.start, start))
