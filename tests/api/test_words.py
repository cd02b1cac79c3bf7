"""Numbers read as people write them."""

from __future__ import annotations

import pytest

from watchglass.api import words
from watchglass.api.models import Change, Figure


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "no data"), (0, "0 s"), (0.0000032, "3.2 µs"), (0.085, "85 ms"), (0.0854, "85 ms"), (0.1, "100 ms"),
        (0.9949, "995 ms"), (0.996, "1 s"), (1.25, "1.2 s"), (59, "59 s"), (99, "99 s"), (120, "2 min"),
        (840, "14 min"), (7200, "2 h"), (1_036_800, "12 d"),
    ],
)  # fmt: skip
def test_durations(seconds: float | None, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (340, "340 B"), (999.6, "0.98 kB"), (3400, "3.3 kB"), (64 * 1024**2, "64 MB"), (2.5e15, "2.2 PB"),
     (9e18, "7,994 PB")],
)  # fmt: skip
def test_sizes(count: float, text: str) -> None:
    assert words.size(count) == text


def test_a_range_of_sizes() -> None:
    assert words.size_between(40 * 1024**2, 120 * 1024**2) == "40 to 120 MB"
    assert words.size_between(900 * 1024, 1.5 * 1024**2) == "900 kB to 1.5 MB"
    assert words.size_between(100, 110) == "110 B"


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(0, "0 %"), (0.0004, "0.04 %"), (0.034, "3.4 %"), (0.5, "50 %"), (0.9995, "99.95 %"), (0.999999, "99.99 %"),
     (1, "100 %")],
)  # fmt: skip
def test_nearly_all_is_not_all(ratio: float, text: str) -> None:
    assert words.percent(ratio) == text


def test_a_tiny_part_of_a_whole_is_said_to_be_tiny() -> None:
    assert [words.share(part) for part in (0.0, 9e-7, 0.0001, 0.5)] == ["0 %", "< 0.01 %", "0.01 %", "50 %"]


def test_rates_and_counts() -> None:
    rate = Figure(label="Requests", value=15, unit="{request}/s")
    assert words.rate(rate, "request") == "15 requests/s"
    assert words.rate(rate.model_copy(update={"value": 1}), "request") == "1 request/s"
    assert words.figure(rate) == "15/s"
    assert (words.plural(1, "call"), words.plural(1200, "call")) == ("1 call", "1,200 calls")


def changed(previous: float, absolute: float, verdict: str | None) -> Figure:
    change = Change(
        absolute=absolute,
        relative=absolute / previous if previous else None,
        direction="up" if absolute > 0 else "down",
        verdict=verdict,  # type: ignore[arg-type]
    )
    return Figure(label="P95", value=previous + absolute, unit="s", previous=previous, change=change)


def test_a_change_is_said_where_it_matters() -> None:
    assert words.change(changed(0.1, 0.012, "worse"), "an hour ago") == ", 12 % above an hour ago"
    assert words.change(changed(0.1, -0.05, "better"), "a day ago") == ", 50 % below a day ago"
    assert words.change(changed(0.1, 0.001, "same"), "an hour ago") == ""
    assert words.change(changed(0.01, 1, "worse"), "an hour ago") == ", above 10 ms an hour ago"
    assert words.change(Figure(label="P95", value=1, unit="s"), "an hour ago") == ""


def test_a_sentence_leaves_out_what_is_not_known() -> None:
    found = {
        "used": Figure(label="Memory", value=None, unit="By", reason="Redis was not read."),
        "hits": Figure(label="Hits", value=0.5, unit="1"),
    }
    parts = (("used", lambda one: f"{words.figure(one)} used"), ("hits", lambda one: f"{words.figure(one)} hits"))
    assert words.sentence(found, *parts) == "50 % hits."
    assert words.sentence(found, parts[0]) == "Redis was not read."
