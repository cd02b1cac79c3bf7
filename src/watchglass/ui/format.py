"""How figures are laid out for reading: number and unit apart, changes as words, times as UTC for the browser.

Numbers themselves are written by `api.words`, so that a tile and a sentence say the same. `units.js` writes durations
like it for axes and read-outs; a test holds both to one table.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

from watchglass.api import words
from watchglass.api.models import Change, Figure

NOTHING = "–"
SAME = "same"
_SPACE = "\N{NO-BREAK SPACE}"
_PARTS = re.compile(r"(?P<number>.*?)(?: (?P<unit>\D+)|(?P<per>/.+))?")


class Quantity(NamedTuple):
    """A number as text, and its unit, empty where it has none."""

    number: str
    unit: str = ""

    def __str__(self) -> str:
        space = "" if self.unit.startswith("/") or not self.unit else _SPACE
        return f"{self.number}{space}{self.unit}"


def quantity(value: float | None, unit: str) -> Quantity:
    """A value of a UCUM unit, its number and its unit apart; a dash for None."""
    if value is None:
        return Quantity(NOTHING)
    parts = _PARTS.fullmatch(words.quantity(value, unit))
    assert parts is not None  # every part of the expression may be empty
    return Quantity(parts["number"], parts["unit"] or parts["per"] or "")


def of(figure: Figure) -> Quantity:
    """The value of a figure."""
    return quantity(figure.value, figure.unit)


def change(difference: Change | None, unit: str) -> str:
    """A change: +12 %, 3.1 times, +0.4 points where the figure is a percentage itself; empty where not known."""
    if difference is None:
        return ""
    if difference.direction == "flat" or difference.verdict == SAME:
        return SAME
    sign = "+" if difference.direction == "up" else "\N{MINUS SIGN}"
    if unit == "1":
        return f"{sign}{words.number(abs(difference.absolute) * 100)}{_SPACE}points"
    if difference.relative is None:
        return f"{sign}{quantity(abs(difference.absolute), unit)}"
    if difference.relative >= 1:
        return f"{words.number(1 + difference.relative)}{_SPACE}times"
    return f"{sign}{abs(difference.relative):.0%}".replace("%", f"{_SPACE}%")


def samples(count: int | None, thing: str) -> str:
    """The size of a sample: 1 request, 53,120 requests."""
    return "" if count is None else words.plural(count, thing)


def moment(time: datetime | float) -> str:
    """A time as ISO 8601 in UTC, to the second, for `<time datetime>`."""
    if not isinstance(time, datetime):
        time = datetime.fromtimestamp(time, UTC)
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
