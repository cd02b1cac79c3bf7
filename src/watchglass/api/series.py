"""Groups of the store as totals and lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isnan
from typing import TYPE_CHECKING

from watchglass.api.asking import Reading

if TYPE_CHECKING:
    from watchglass.store.reader import Group

Line = list[float | None]

SHOWN = (0.5, 0.95, 0.99)
"""The percentiles that are shown."""

FRESH = 120
"""Seconds after which a gauge that is read no more is not known any more."""


@dataclass(frozen=True, slots=True)
class Total:
    """Groups of a histogram as one."""

    count: int
    sum: float
    low: float | None
    high: float | None
    buckets: bytes

    def percentile(self, quantile: float) -> float | None:
        from watchglass.analysis import histograms

        return histograms.percentile(self.buckets, quantile, self.low, self.high)

    def over(self, threshold: float) -> int:
        """How many values lie over the threshold."""
        from watchglass.analysis import histograms

        return histograms.counts_over([self.buckets], threshold)[0]


def _last(group: Group) -> float | None:
    return group.last


def total(groups: Iterable[Group]) -> Total:
    groups = list(groups)
    lows = [group.min for group in groups if group.min is not None]
    highs = [group.max for group in groups if group.max is not None]
    return Total(
        sum(group.count for group in groups),
        sum(group.sum for group in groups),
        min(lows, default=None),
        max(highs, default=None),
        b"".join(group.buckets for group in groups if group.buckets),
    )


def line(groups: Iterable[Group], slots: Sequence[int], value: Callable[[Group], float | None]) -> Line:
    """One value per slot: the sum over the groups of the slot, None where there is none."""
    by_slot: dict[int | None, float] = {}
    for group in groups:
        one = value(group)
        if one is not None:
            by_slot[group.time] = by_slot.get(group.time, 0.0) + one
    return [by_slot.get(slot) for slot in slots]


def percentile_table(totals: Sequence[Total]) -> list[Line]:
    """The shown percentiles of each, in one go; None where nothing was measured."""
    from watchglass.analysis import histograms

    table = histograms.percentiles(
        [one.buckets for one in totals], SHOWN, [one.low for one in totals], [one.high for one in totals]
    )
    return [[None if isnan(value) else value for value in row] for row in table.tolist()]


def by_slot(groups: Iterable[Group], slots: Sequence[int]) -> list[Total]:
    """The groups of each slot as one."""
    found: dict[int | None, list[Group]] = {}
    for group in groups:
        found.setdefault(group.time, []).append(group)
    return [total(found.get(slot, ())) for slot in slots]


def percentile_lines(groups: Iterable[Group], slots: Sequence[int]) -> tuple[list[Line], list[int]]:
    """A line for each of the shown percentiles, and the samples in each slot."""
    totals = by_slot(groups, slots)
    table = percentile_table(totals)
    return [[row[column] for row in table] for column in range(len(SHOWN))], [one.count for one in totals]


def newest(
    groups: Sequence[Group], slots: Sequence[int], reason: str, value: Callable[[Group], float | None] = _last
) -> Reading:
    """The value a gauge has at the end of the window, its keys added up, and its line; not what it had long before.

    Only keys that the newest slot has are counted: a state no connection is in any more is not remembered.
    """
    values = line(groups, slots, value)
    known = [number for number in values if number is not None]
    if not known:
        return Reading(None, reason=reason)
    step = slots[1] - slots[0] if len(slots) > 1 else FRESH
    last_read = max(slot for slot, number in zip(slots, values, strict=True) if number is not None) + step
    if last_read < slots[-1] - FRESH:
        when = datetime.fromtimestamp(last_read, UTC)
        return Reading(None, reason=f"Last read before {when:%Y-%m-%d %H:%M} UTC.", spark=values)
    return Reading(known[-1], samples=sum(group.count for group in groups), spark=values)


def mean(groups: Sequence[Group], slots: Sequence[int], reason: str) -> Reading:
    """The mean of a gauge's samples over the window, and its line."""
    count = sum(group.count for group in groups)
    if not count:
        return Reading(None, reason=reason)
    values = line(groups, slots, lambda group: group.sum / group.count if group.count else None)
    return Reading(sum(group.sum for group in groups) / count, samples=count, spark=values)


def ratio(part: float, whole: float, reason: str, spark: Line | None = None) -> Reading:
    """A share of a whole; unavailable, for `reason`, where the whole is nothing."""
    if not whole:
        return Reading(None, samples=0, reason=reason)
    return Reading(part / whole, samples=round(whole), spark=spark)


def ratio_line(part: Line, whole: Line) -> Line:
    """The share in each slot; None where the whole is nothing."""
    return [(one or 0.0) / all_ if all_ else None for one, all_ in zip(part, whole, strict=True)]
