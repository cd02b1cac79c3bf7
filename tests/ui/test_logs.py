"""The page of the log before its script runs: the form says what the address says, and nothing else."""

from __future__ import annotations

import pytest

from watchglass.ui.logs import SHOWN_LEVELS, Chosen


def test_the_form_shows_what_the_address_asks_for() -> None:
    chosen = Chosen.of({"level": "error", "text": "lost", "logger": "shop", "trace_id": "ab" * 16, "ids": "1"})
    assert chosen == Chosen(level="ERROR", text="lost", logger="shop", service="", trace_id="ab" * 16, ids=True)


@pytest.mark.parametrize("level", ["", "LOUD", "<b>"])
def test_a_level_that_is_none_is_every_level(level: str) -> None:
    assert Chosen.of({"level": level}).level == ""


def test_what_is_too_long_for_a_filter_is_cut() -> None:
    assert len(Chosen.of({"text": "x" * 10_000}).text) == 500


def test_levels_are_offered_from_the_least_to_the_worst() -> None:
    assert SHOWN_LEVELS == ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
