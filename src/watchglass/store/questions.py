"""The questions that are asked about a metric, over any range: percentiles, heatmap, rate, trend.

Each is answered with its window, its resolution and its sample size. NumPy is imported here, so import this module on
first use only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan

from watchglass.analysis.histograms import percentiles as percentiles_of
from watchglass.analysis.trends import Change, Worse, change
from watchglass.analysis.windows import Window
from watchglass.store.reader import Group, Reader

QUANTILES = (0.5, 0.95, 0.99)

Key = tuple[str | None, ...]
Where = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Percentiles:
    """The values of a group at the quantiles asked for, in the unit of the metric; None where nothing was measured."""

    key: Key
    time: int | None
    samples: int
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """Percentiles by key and time over a window; `resolution` is the seconds of a slot, None when the window is one."""

    window: Window
    resolution: int | None
    samples: int
    rows: list[Percentiles]


@dataclass(frozen=True, slots=True)
class Heatmap:
    """A cell for each key and slot: its percentile and its sample size, None and 0 where nothing was measured."""

    window: Window
    resolution: int
    samples: int
    times: list[int]
    keys: list[Key]
    values: list[list[float | None]]
    counts: list[list[int]]


@dataclass(frozen=True, slots=True)
class Rates:
    """Events a second of each key, over the whole window, which says nothing of when anybody was counting.

    The window is always one slot, so `resolution` is None; `samples` are the events that were counted.
    """

    window: Window
    resolution: int | None
    samples: int
    rates: dict[Key, float]


@dataclass(frozen=True, slots=True)
class Trend:
    """A percentile of one key now and so many seconds before, with the samples of both."""

    key: Key
    value: float | None
    samples: int
    seconds: int
    previous: float | None
    previous_samples: int
    change: Change | None


@dataclass(frozen=True, slots=True)
class Trends:
    """A window beside earlier ones of its length, by how many seconds before; each is one slot: no `resolution`.

    `samples` are those of the window itself; each row has its own of both windows it compares.
    """

    window: Window
    earlier: dict[int, Window]
    resolution: int | None
    samples: int
    rows: list[Trend]


async def percentiles(
    reader: Reader,
    name: str,
    window: Window,
    *,
    quantiles: Sequence[float] = QUANTILES,
    by: Sequence[str] = (),
    where: Where | None = None,
    step: int | None = None,
) -> Answered:
    """The percentiles of each group, of the window or of each slot. Errors are those of `Reader`."""
    groups = await reader.select(name, window, by=by, where=where, step=step)
    return Answered(window, step, sum(group.count for group in groups), rows_of(groups, quantiles))


async def heatmap(
    reader: Reader, name: str, window: Window, *, by: Sequence[str], step: int, quantile: float = 0.95
) -> Heatmap:
    """A percentile for each key and slot, for example of each endpoint in each hour."""
    found = await percentiles(reader, name, window, quantiles=(quantile,), by=by, step=step)
    times = window.slots(step)
    cells = {(row.key, row.time): row for row in found.rows}
    keys = list(dict.fromkeys(row.key for row in found.rows))
    rows = [[cells.get((key, time)) for time in times] for key in keys]
    return Heatmap(
        window,
        step,
        found.samples,
        times,
        keys,
        [[cell.values[0] if cell else None for cell in row] for row in rows],
        [[cell.samples if cell else 0 for cell in row] for row in rows],
    )


async def rate(
    reader: Reader, name: str, window: Window, *, by: Sequence[str] = (), where: Where | None = None
) -> Rates:
    """The events of a counter, or the measurements of a histogram, a second."""
    groups = await reader.select(name, window, by=by, where=where)
    amounts = {group.key: float(group.count) if group.buckets else group.sum for group in groups}
    rates = {key: amount / window.seconds for key, amount in amounts.items()}
    return Rates(window, None, round(sum(amounts.values())), rates)


async def trend(
    reader: Reader,
    name: str,
    window: Window,
    *,
    before: Sequence[int],
    by: Sequence[str] = (),
    quantile: float = 0.95,
    worse: Worse = "up",
) -> Trends:
    """A percentile of each key beside that of the same window so many seconds before, for each of `before`."""
    now = await percentiles(reader, name, window, quantiles=(quantile,), by=by)
    windows = {seconds: window.earlier(seconds) for seconds in before}
    rows = []
    for seconds, earlier in windows.items():
        found = await percentiles(reader, name, earlier, quantiles=(quantile,), by=by)
        of_earlier = {row.key: row for row in found.rows}
        rows += [_trend(row, of_earlier.get(row.key), seconds, worse) for row in now.rows]
    return Trends(window, windows, now.resolution, now.samples, rows)


def _trend(now: Percentiles, before: Percentiles | None, seconds: int, worse: Worse) -> Trend:
    previous = before.values[0] if before else None
    difference = change(now.values[0], previous, worse)
    samples = before.samples if before else 0
    return Trend(now.key, now.values[0], now.samples, seconds, previous, samples, difference)


def rows_of(groups: Sequence[Group], quantiles: Sequence[float]) -> list[Percentiles]:
    """The percentiles of groups of a histogram, all in one go."""
    table = percentiles_of(
        [group.buckets for group in groups],
        quantiles,
        [group.min for group in groups],
        [group.max for group in groups],
    ).tolist()
    return [
        Percentiles(group.key, group.time, group.count, tuple(None if isnan(value) else value for value in values))
        for group, values in zip(groups, table, strict=True)
    ]
