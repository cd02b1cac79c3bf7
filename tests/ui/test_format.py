"""A figure is laid out in one way, everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from watchglass.analysis.trends import change
from watchglass.api.models import Change
from watchglass.ui import format


@pytest.mark.parametrize(
    ("value", "unit", "number", "shown_unit"),
    [
        (0.085, "s", "85", "ms"),
        (1.25, "s", "1.2", "s"),
        (0.00012, "s", "120", "µs"),
        (840, "s", "14", "min"),
        (0.125, "1", "12", "%"),
        (0.9995, "1", "99.95", "%"),
        (15.2, "{request}/s", "15", "/s"),
        (3, "{key}/h", "3", "/h"),
        (1234, "{connection}", "1,234", ""),
        (0, "{connection}", "0", ""),
        (None, "s", "–", ""),  # noqa: RUF001
    ],
)
def test_a_quantity_has_its_number_and_its_unit_apart(
    value: float | None, unit: str, number: str, shown_unit: str
) -> None:
    assert format.quantity(value, unit) == (number, shown_unit)


def test_a_quantity_as_text_never_breaks_between_number_and_unit() -> None:
    assert str(format.quantity(0.085, "s")) == "85\N{NO-BREAK SPACE}ms"
    assert str(format.quantity(15, "{request}/s")) == "15/s"
    assert str(format.quantity(12, "{connection}")) == "12"


def changed(value: float, previous: float, worse: str | None = "up") -> Change | None:
    difference = change(value, previous, worse)  # type: ignore[arg-type]
    return Change.model_validate(difference, from_attributes=True) if difference else None


@pytest.mark.parametrize(
    ("value", "previous", "unit", "text"),
    [
        (1.12, 1.0, "s", "+12 %"),
        (0.7, 1.0, "s", "\N{MINUS SIGN}30 %"),
        (3.1, 1.0, "s", "3.1 times"),
        (1.02, 1.0, "s", "same"),
        (1.0, 1.0, "s", "same"),
        (0.93, 0.85, "1", "+8 points"),
        (0.0007, 0.0005, "1", "same"),
        (136.0, 0.0, "{statement}/h", "+136/h"),
    ],
)
def test_a_change_is_said_as_people_say_it(value: float, previous: float, unit: str, text: str) -> None:
    assert format.change(changed(value, previous), unit).replace("\N{NO-BREAK SPACE}", " ") == text


def test_a_change_without_a_worse_direction_that_rounds_to_nothing_is_none() -> None:
    assert format.change(changed(1000.0, 999.0, None), "By") == "same"
    assert format.change(None, "s") == ""


def test_a_change_says_what_it_is_compared_with() -> None:
    assert format.compared("+12 %", "an hour ago") == "+12 % vs an hour ago"
    assert format.compared("3.1 times", "an hour ago") == "3.1 times an hour ago"
    assert format.compared("same", "a day ago") == "same as a day ago"
    assert format.compared("+12 %", "") == "+12 %"
    assert format.compared("", "an hour ago") == ""


def test_moments_are_utc_to_the_second() -> None:
    summer = timezone(timedelta(hours=2))
    assert format.moment(datetime(2026, 7, 1, 12, 30, 15, 999, summer)) == "2026-07-01T10:30:15Z"
    assert format.moment(datetime(2026, 7, 1, tzinfo=UTC).timestamp()) == "2026-07-01T00:00:00Z"


def test_a_time_in_a_sentence_is_for_the_browser_to_write() -> None:
    text = format.timed("No <checkpoint> since 2026-01-31 14:02 UTC; \u202ethe next by 2026-02-01.")
    time = '<time datetime="2026-01-31T14:02Z" data-form="minute">2026-01-31 14:02 UTC</time>'
    assert text == f"No &lt;checkpoint&gt; since {time}; \\u202ethe next by 2026-02-01."
