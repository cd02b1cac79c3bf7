"""Windows are cut into aligned slots, few enough to be told apart."""

from __future__ import annotations

import pytest

from watchglass.analysis.windows import STEPS, Window

NOW = 1_763_942_403.7


@pytest.mark.parametrize("seconds", [60, 900, 3600, 21_600, 86_400, 604_800, 2_592_000, 400 * 86_400])
def test_every_range_has_at_most_ninety_slots_unless_days_are_too_fine(seconds: int) -> None:
    window = Window(NOW - seconds, NOW)
    slots = window.slots(window.step())
    assert len(slots) <= 92 or window.step() == STEPS[-1]
    assert all(slot % window.step() == 0 for slot in slots)


def test_slots_cover_the_window_and_no_more() -> None:
    window = Window(100.0, 215.0)
    assert window.slots(10) == list(range(100, 220, 10))
    assert Window(105.0, 210.0).slots(10) == list(range(100, 210, 10))


def test_a_step_is_not_below_the_least() -> None:
    assert Window(0, 900).step(least=20) == 30
    assert Window(0, 900).step(least=600) == 600
    assert Window(0, 3600).step(most=24) == 300


def test_the_earlier_window_has_the_same_length() -> None:
    assert Window(100, 160).earlier(3600) == Window(-3500, -3440)


def test_overlap_is_never_negative() -> None:
    window = Window(100, 200)
    assert window.overlap(150, 300) == 50
    assert window.overlap(300, 400) == 0
