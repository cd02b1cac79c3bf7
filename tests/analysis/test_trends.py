"""A change says how much, which way, and whether that is worse."""

from __future__ import annotations

import math

import pytest

from watchglass.analysis.trends import change


def test_up_is_worse_for_a_latency_and_better_for_a_hit_rate() -> None:
    latency, hits = change(0.2, 0.1, "up"), change(0.2, 0.1, "down")
    assert latency is not None and hits is not None
    assert (latency.absolute, latency.relative, latency.direction, latency.verdict) == (0.1, 1.0, "up", "worse")
    assert hits.verdict == "better"


def test_less_than_five_percent_is_the_same() -> None:
    small, just = change(104, 100, "up"), change(105, 100, "up")
    assert small is not None and small.verdict == "same" and small.direction == "up"
    assert just is not None and just.verdict == "worse"


def test_where_neither_direction_is_worse_there_is_no_verdict() -> None:
    found = change(30, 10, None)
    assert found is not None and found.verdict is None and found.relative == 2.0


def test_from_zero_there_is_no_relative_change_but_a_verdict() -> None:
    found = change(3, 0, "up")
    assert found is not None and found.relative is None and found.verdict == "worse"
    same = change(0, 0, "up")
    assert same is not None and same.direction == "flat" and same.verdict == "same"


@pytest.mark.parametrize("pair", [(None, 1.0), (1.0, None), (None, None), (math.nan, 1.0), (math.inf, 1.0)])
def test_what_is_not_known_has_not_changed(pair: tuple[float | None, float | None]) -> None:
    assert change(*pair, "up") is None
