"""The section Health of PostgreSQL's page: what goes wrong slowly, each check by a sign, a word and a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from watchglass.api import words
from watchglass.api.postgresql_health_answers import Cell, Column, HealthCheck, HealthChecksAnswer
from watchglass.ui import drawing, format

SIGNS = {
    "good": ("ok", ""),
    "attention": ("warning", "warning"),
    "bad": ("critical", "critical"),
    "unknown": ("missing", ""),
}
"""The icon of each state, and its level, empty where it is no finding."""

THINGS = ("table", "statement")
"""What rows may be of, as their first column is called; others are details."""

WORDS = {"good": "good", "attention": "see to it", "bad": "see to it now", "unknown": "not known"}


@dataclass(frozen=True, slots=True)
class CellView:
    """A value as text, or as a moment; `words` where it reads from the left."""

    text: str
    time: str = ""
    words: bool = False


@dataclass(frozen=True, slots=True)
class CheckView:
    """One check. `trend` says in words what the line shows, `basis` what the value is of, if its sentence does not.

    `opens` says what its rows are.
    """

    check: HealthCheck
    icon: str
    level: str
    word: str
    value: format.Quantity | None
    spark: drawing.Spark | None
    trend: str
    basis: str
    columns: tuple[Column, ...]
    opens: str
    rows: list[list[CellView]]


@dataclass(frozen=True, slots=True)
class HealthView:
    """The checks in their one order."""

    sentence: str
    checks: list[CheckView]
    told: list[str]


def view(answer: HealthChecksAnswer) -> HealthView:
    """Each check with its rows."""
    return HealthView(answer.sentence, [_check(one) for one in answer.checks], answer.told)


def _check(one: HealthCheck) -> CheckView:
    icon, level = SIGNS[one.state]
    values = [value for _, value in one.trend or ()]
    trend = _trend(values, one.trend_unit, "in a week" if one.name == "growth" else "in this window")
    return CheckView(
        check=one,
        icon=icon,
        level=level,
        word=WORDS[one.state],
        value=None if one.value is None else quantity(one.value, one.unit),
        spark=drawing.spark(values) if trend else None,
        trend=trend,
        basis=one.basis if one.basis and one.value is not None and one.basis not in one.sentence else "",
        columns=one.columns,
        opens=_opens(one),
        rows=[[cell(row.get(column.key), column.unit) for column in one.columns] for row in one.rows],
    )


def _opens(one: HealthCheck) -> str:
    thing, shown, left_off = one.columns[0].title.lower() if one.columns else "", len(one.rows), one.left_off
    if thing not in THINGS:
        return "Show details"
    return f"Show {f'{shown} of ' if left_off else ''}{words.plural(shown + left_off, thing)}"


def _trend(values: list[float | None], unit: str | None, over: str) -> str:
    """Empty where a line would be a point."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return ""
    first, last, low, high = (str(quantity(one, unit)) for one in (known[0], known[-1], min(known), max(known)))
    if first != last:
        return f"From {first} to {last} {over}"
    return f"{low} all the time {over}" if low == high else f"Between {low} and {high} {over}"


def quantity(value: float, unit: str | None) -> format.Quantity:
    """A value of a unit; per cent are no unit of UCUM's that stands for a ratio."""
    return format.Quantity(words.number(value), "%") if unit == "%" else format.quantity(value, unit or "")


def cell(value: Cell, unit: str | None) -> CellView:
    """A value of a row as people read it."""
    match value:
        case None:
            return CellView(format.NOTHING)
        case bool():
            return CellView("yes" if value else "no", words=True)
        case str() if unit == "iso" and (time := _time(value)):
            return CellView(time.replace("T", " ").replace("Z", " UTC"), time=time)
        case str():
            return CellView(value, words=True)
        case int() if not unit:
            return CellView(f"{value:,}")
    return CellView(str(quantity(value, unit)))


def _time(text: str) -> str:
    try:
        return format.moment(datetime.fromisoformat(text))
    except ValueError:
        return ""
