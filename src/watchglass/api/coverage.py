"""How long telemetry was kept within a window: what a rate is divided by.

A service that started ten minutes ago has no requests/s over an hour, but over ten minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from watchglass.analysis.windows import Window
from watchglass.api.asking import Asked, Reading

NOTHING_COVERED = "No telemetry in this window: no process of the service was reporting."

_GRID = 10
"""Points lie on a grid of ten seconds; each stands for the flush interval that begins there."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The spans in which at least one process was reporting, in order, not overlapping."""

    spans: tuple[Window, ...]

    @property
    def seconds(self) -> float:
        return sum(span.seconds for span in self.spans)

    def within(self, slot: int, step: int) -> float:
        """Seconds of the slot that are covered."""
        return sum(span.overlap(slot, slot + step) for span in self.spans)

    def rate(self, amount: float, per: float = 1.0) -> float | None:
        """An amount per `per` seconds of the time covered; None where nothing is."""
        return amount / self.seconds * per if self.seconds else None

    def rates(
        self, amounts: Sequence[float | None], slots: Sequence[int], step: int, per: float = 1.0
    ) -> list[float | None]:
        """The rate in each slot: zero where it was covered and nothing came, None where it was not covered."""
        shares = [self.within(slot, step) for slot in slots]
        return [(amount or 0.0) / share * per if share else None for amount, share in zip(amounts, shares, strict=True)]

    def reading(
        self,
        amounts: Sequence[float | None],
        slots: Sequence[int],
        step: int,
        per: float = 1.0,
        samples: int | None = None,
    ) -> Reading:
        """The rate over the whole window, and its line."""
        value = self.rate(sum(amount or 0.0 for amount in amounts), per)
        if value is None:
            return Reading(None, reason=NOTHING_COVERED)
        return Reading(value, samples=samples, spark=self.rates(amounts, slots, step, per))


async def coverage(asked: Asked, window: Window) -> Coverage:
    """When the processes of the service reported within the window."""
    known: Coverage | None = asked.memo.get(window)
    if known is None:
        known = asked.memo[window] = await _read(asked, window)
    return known


async def _read(asked: Asked, window: Window) -> Coverage:
    interval = asked.context.settings.flush_interval
    lives = [
        Window(_on_grid(instance.started_at), _on_grid(instance.last_seen) + interval)
        for instance in await asked.reader.instances(window)
    ]
    bounds = Window(_on_grid(window.start, up=True), _on_grid(window.end, up=True))
    return Coverage(tuple(_union(lives, bounds, interval)))


def _on_grid(time: float, up: bool = False) -> float:
    return -(-time // _GRID) * _GRID if up else time // _GRID * _GRID


def _union(lives: Iterable[Window], bounds: Window, interval: float) -> list[Window]:
    """The lives within the bounds, joined; the last may stand out by the interval that its last point began."""
    spans: list[Window] = []
    for life in sorted(lives, key=lambda life: life.start):
        start, end = max(life.start, bounds.start), bounds.end if life.end > bounds.end + interval else life.end
        if end <= start:
            continue
        if spans and start <= spans[-1].end:
            spans[-1] = Window(spans[-1].start, max(spans[-1].end, end))
        else:
            spans.append(Window(start, end))
    return spans
