"""How figures are laid out for reading: number and unit apart, changes as words, times as UTC for the browser.

Numbers themselves are written by `api.words`, so that a tile and a sentence say the same. `units.js` writes durations
like it for axes and read-outs; a test holds both to one table.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

from markupsafe import Markup, escape

from watchglass.api import words
from watchglass.api.models import Change, Figure

NOTHING = "\N{EN DASH}"
SAME = "same"
MINUS = "\N{MINUS SIGN}"
LEAST_POINTS = 0.05
_SPACE = "\N{NO-BREAK SPACE}"
_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""Control characters, and what turns or hides text; `log/row.js` has the same."""
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

_TIMES = re.compile(r"\b(\d{4}-\d\d-\d\d) (\d\d:\d\d) UTC\b")
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
    if unit != "1" and difference.relative is not None and difference.relative >= 1:
        return f"{words.number(1 + difference.relative)}{_SPACE}times"
    size = _size(difference, unit)
    return f"{'+' if difference.direction == 'up' else MINUS}{size}" if size else SAME


def _size(difference: Change, unit: str) -> str:
    """How large a change is, without its sign; empty where it rounds to nothing."""
    if unit == "1":
        points = abs(difference.absolute) * 100
        return f"{words.number(points)}{_SPACE}points" if points >= LEAST_POINTS else ""
    if difference.relative is None:
        return str(quantity(abs(difference.absolute), unit))
    percent = round(abs(difference.relative) * 100)
    return f"{percent}{_SPACE}%" if percent else ""


def compared(change: str, than: str) -> str:
    """A change with what it is measured against: 3.1 times an hour ago, +12 % vs an hour ago."""
    if not than or not change:
        return change
    return f"{change} {'as' if change == SAME else '' if change.endswith('times') else 'vs'} {than}".replace("  ", " ")


def samples(count: int | None, thing: str) -> str:
    """The size of a sample: 1 request, 53,120 requests."""
    return "" if count is None else words.plural(count, thing)


def moment(time: datetime | float) -> str:
    """A time as ISO 8601 in UTC, to the second, for `<time datetime>`."""
    if not isinstance(time, datetime):
        time = datetime.fromtimestamp(time, UTC)
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def visible(text: object, lines: bool = False) -> str:
    """Text with every character to be seen: what has no sign of its own is spelled as programs spell it.

    Line ends and tabs stay where `lines`.
    """

    def sign(found: re.Match[str]) -> str:
        character = found[0]
        if lines and character in "\n\t":
            return character
        code = ord(character)
        return _ESCAPES.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")

    return _UNSEEN.sub(sign, str(text))


def timed(text: str) -> Markup:
    """A sentence with each of its times (2026-01-31 14:02 UTC) for the browser to write in the reader's zone."""

    def time(found: re.Match[str]) -> str:
        return f'<time datetime="{found[1]}T{found[2]}Z" data-form="minute">{found[0]}</time>'

    return Markup(_TIMES.sub(time, escape(visible(text))))


def number(value: object) -> float:
    """A number of a document that somebody else wrote; 0 for what is none."""
    return float(value) if isinstance(value, int | float) else 0.0
