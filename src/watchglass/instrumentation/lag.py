"""How late the event loop is at a random moment, from the timers that ran late."""

from __future__ import annotations

from typing import Final

GRAIN: Final = 0.001
"""Seconds that a timer may be late for no reason but the clock of the poll, which counts in milliseconds."""

MEMORY: Final = 50
"""Looks after which one counts for about a third of what it did: five seconds of them."""


class MeanLag:
    """The mean lag of late, in seconds: what something that becomes ready at a random moment waits for its turn.

    A timer that runs every `tick` seconds and was late by l stands for the looks that it kept from happening, at which
    the loop would have been late by l - tick, l - 2 tick and so on: without them a loop that stands still hardly shows
    (Gil Tene's correction for coordinated omission, as in HdrHistogram).
    """

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0

    def looked(self, late: float, tick: float) -> None:
        """Take note of a timer that was late by so many seconds."""
        late -= GRAIN
        while True:
            self.seconds += (max(0.0, late) - self.seconds) / MEMORY
            late -= tick
            if late <= 0:
                break
        if self.seconds < GRAIN / 100:
            self.seconds = 0.0
