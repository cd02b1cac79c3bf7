"""Growth is the ordinary one: a leap does not turn it."""

from __future__ import annotations

import pytest

from watchglass.analysis.growth import slope


def test_what_grows_evenly_has_its_slope() -> None:
    assert slope([(time, 5.0 + 3.0 * time) for time in range(20)]) == pytest.approx(3.0)


def test_one_leap_does_not_turn_it() -> None:
    leaping = [(float(time), 3.0 * time + (1000.0 if time >= 17 else 0.0)) for time in range(20)]
    assert slope(leaping) == pytest.approx(3.0)


def test_what_shrinks_has_a_negative_one() -> None:
    assert slope([(0.0, 10.0), (5.0, 0.0)]) == -2.0


@pytest.mark.parametrize("points", [[], [(1.0, 2.0)], [(1.0, 2.0), (1.0, 3.0)]])
def test_of_one_moment_nothing_is_known(points: list[tuple[float, float]]) -> None:
    assert slope(points) is None
