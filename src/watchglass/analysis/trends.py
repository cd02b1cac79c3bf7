"""How a value changed against an earlier one."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Literal

Worse = Literal["up", "down"]
"""The direction that is bad news: up for a latency, down for a hit rate."""

NOTABLE = 0.05
"""A relative change below this is the same."""


@dataclass(frozen=True, slots=True)
class Change:
    """`relative` is None where the earlier value is zero; `verdict` is None where neither direction is worse."""

    absolute: float
    relative: float | None
    direction: Literal["up", "down", "flat"]
    verdict: Literal["worse", "better", "same"] | None


def change(value: float | None, previous: float | None, worse: Worse | None) -> Change | None:
    """The change from `previous` to `value`; None when either is missing or not finite."""
    if value is None or previous is None or not (isfinite(value) and isfinite(previous)):
        return None
    absolute = value - previous
    relative = absolute / abs(previous) if previous else None
    direction: Literal["up", "down", "flat"] = "up" if absolute > 0 else "down" if absolute < 0 else "flat"
    return Change(absolute, relative, direction, _verdict(direction, relative, worse))


def _verdict(direction: str, relative: float | None, worse: Worse | None) -> Literal["worse", "better", "same"] | None:
    if worse is None:
        return None
    if direction == "flat" or (relative is not None and abs(relative) < NOTABLE):
        return "same"
    return "worse" if direction == worse else "better"
