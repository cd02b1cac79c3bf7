"""How fast something grows, by its readings."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from statistics import median


def slope(points: Sequence[tuple[float, float]]) -> float | None:
    """The growth per second of (time, value): the median of the slopes between any two points, after Theil and Sen.

    One leap, or one reading that is off, does not turn it. None where all are of one time.
    https://en.wikipedia.org/wiki/Theil%E2%80%93Sen_estimator
    """
    slopes = [(b - a) / (later - earlier) for (earlier, a), (later, b) in combinations(points, 2) if later != earlier]
    return median(slopes) if slopes else None
