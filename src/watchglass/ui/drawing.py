"""Small drawings as SVG paths: sparklines, and what an analog indicator needs. Coordinates, no styles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 100.0, 20.0
"""The view box of a sparkline; it is stretched to the room there is."""

CALM = 1 / 3
"""The least range a sparkline shows, as a part of its largest value."""


@dataclass(frozen=True, slots=True)
class Spark:
    """A line with gaps where nothing was measured, and its newest point."""

    line: str
    now: str


def spark(values: Sequence[float | None] | None) -> Spark | None:
    """The sparkline of one value per slot; None if there are fewer than two.

    Its height stands for the range of the values, but for no less than a third of the largest: what hardly moves is
    drawn as a calm line.
    """
    known = [value for value in values or () if value is not None]
    if values is None or len(known) < 2:
        return None
    middle, half = (min(known) + max(known)) / 2, max(max(known) - min(known), CALM * max(map(abs, known))) / 2
    bottom, top = middle - half, middle + half
    points = [(_x(at, len(values)), _y(value, bottom, top)) for at, value in enumerate(values) if value is not None]
    x, y = points[-1]
    return Spark(_path(values, bottom, top), f"M{x:g} {y:g}h0")


def _path(values: Sequence[float | None], bottom: float, top: float) -> str:
    path, drawing = "", False
    for at, value in enumerate(values):
        if value is not None:
            path += f"{'L' if drawing else 'M'}{_x(at, len(values)):g} {_y(value, bottom, top):g}"
            if not drawing:
                path += "h0"
        drawing = value is not None
    return path


def _x(at: int, count: int) -> float:
    return round(at / (count - 1) * WIDTH, 1)


def _y(value: float, bottom: float, top: float) -> float:
    """Higher is up; a flat line runs in the middle."""
    return round(HEIGHT / 2 if top == bottom else HEIGHT - 1 - (value - bottom) / (top - bottom) * (HEIGHT - 2), 1)


@dataclass(frozen=True, slots=True)
class Gauge:
    """An analog indicator, all positions from 0 to 100: the normal range shaded, limits marked, a pointer for now."""

    low: float
    high: float
    limits: tuple[float, ...]
    pointer: float
    label: str

    @property
    def width(self) -> float:
        return round(self.high - self.low, 1)


def gauge(share: float, limits: Sequence[float], below: bool, full: float, label: str) -> Gauge:
    """The indicator of a value on a scale from 0 to `full`; normal is up to the first limit, or down to it."""
    marks = tuple(_position(limit, full) for limit in limits)
    low, high = (max(marks), 100.0) if below else (0.0, min(marks))
    return Gauge(low, high, marks, _position(share, full), label)


def _position(value: float, full: float) -> float:
    return round(min(max(value / full, 0.0), 1.0) * 100, 1)


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a stacked bar: what it stands for, where it begins and how wide it is, from 0 to 100."""

    name: str
    start: float
    width: float


def stacked(shares: Sequence[tuple[str, float]]) -> list[Segment]:
    """The segments of shares that add up to 1, in their order; the last one ends where the bar does."""
    found: list[Segment] = []
    share, start = 0.0, 0.0
    for name, part in shares:
        share += part
        end = round(share * 100, 1)
        found.append(Segment(name, start, round(end - start, 1)))
        start = end
    return [one for one in found if one.width > 0]
