"""Percentiles and counts of packed histograms, for many groups at once.

A packed histogram is any number of (int16 index, uint32 count) pairs on the grid of `buckets`, in any order, an index
any number of times: what `string_agg` makes of rows. NumPy is imported here, so import this module on first use only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan, nan

import numpy as np

from watchglass.analysis.buckets import PER_DOUBLING, ZERO
from watchglass.analysis.points import PAIRS, Floats

_MOST_CELLS = 2_000_000
"""Counts laid out at once: 16 MB."""


def percentiles(
    packed: Sequence[bytes],
    quantiles: Sequence[float],
    lows: Sequence[float | None] = (),
    highs: Sequence[float | None] = (),
) -> Floats:
    """The value at each quantile of each histogram, shape (histograms, quantiles); NaN for an empty histogram.

    The nearest rank k = ceil(q * n), placed inside its bucket by logarithmic interpolation at (k - 0.5 - before) / c
    and kept within the smallest and largest value seen (`lows`, `highs`): at most 2.2 % from the exact value.
    """
    result = np.full((len(packed), len(quantiles)), nan)
    for first, indexes, counts in _dense(packed):
        cumulative = counts.cumsum(axis=1)
        for column, quantile in enumerate(quantiles):
            result[first : first + len(counts), column] = _at(quantile, indexes, counts, cumulative)
    return _within(result, lows, highs)


def percentile(packed: bytes, quantile: float, low: float | None = None, high: float | None = None) -> float | None:
    """The value at one quantile of one histogram, None if it is empty."""
    value = float(percentiles([packed], [quantile], [low], [high])[0, 0])
    return None if isnan(value) else value


def counts_over(packed: Sequence[bytes], threshold: float) -> list[int]:
    """How many values of each histogram lie over the threshold.

    Exact where the threshold is a bucket's bound, as every power of two is; else the part of its bucket that lies over
    it is estimated, the values taken as evenly spread on a logarithmic scale.
    """
    result = [0] * len(packed)
    edge = np.log2(threshold) * PER_DOUBLING if threshold > 0 else float(ZERO)
    for position, one in enumerate(packed):
        pairs = np.frombuffer(one, PAIRS)
        upper = pairs["index"].astype(np.float64) + (pairs["index"] != ZERO)
        share = np.clip(upper - edge, 0.0, 1.0)
        result[position] = round(float((share * pairs["count"]).sum()))
    return result


def _dense(packed: Sequence[bytes]) -> Iterator[tuple[int, Floats, Floats]]:
    """Chunks of histograms side by side: number of the first, index of each column (zeros come first), counts."""
    pairs = np.frombuffer(b"".join(packed), PAIRS)
    index = pairs["index"].astype(np.int64)
    above = index[index != ZERO]
    lowest, highest = (int(above.min()), int(above.max())) if above.size else (0, -1)
    width = highest - lowest + 2
    column = np.where(index == ZERO, 0, index - lowest + 1)
    ends = np.cumsum([0, *(len(one) // PAIRS.itemsize for one in packed)])
    row = np.repeat(np.arange(len(packed)), np.diff(ends))
    most = max(1, _MOST_CELLS // width)
    for first in range(0, len(packed), most):
        last = min(first + most, len(packed))
        part = slice(ends[first], ends[last])
        cells = (row[part] - first) * width + column[part]
        laid = np.bincount(cells, weights=pairs["count"][part], minlength=(last - first) * width)
        yield first, np.arange(lowest - 1.0, highest + 1.0), laid.reshape(last - first, width).astype(np.float64)


def _at(quantile: float, indexes: Floats, laid: Floats, cumulative: Floats) -> Floats:
    """The interpolated value at one quantile of each row; NaN where the row is empty."""
    total = cumulative[:, -1]
    # 0.07 * 100 is 7.000000000000001: a rank is not pushed up by the last digit of a float.
    rank = np.maximum(1.0, np.ceil(quantile * total * (1 - 1e-12)))
    column = np.minimum((cumulative < rank[:, None]).sum(axis=1), len(indexes) - 1)
    rows = np.arange(len(laid))
    inside = laid[rows, column]
    before = cumulative[rows, column] - inside
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        value = np.exp2((indexes[column] + (rank - 0.5 - before) / inside) / PER_DOUBLING)
    return np.where(total == 0, nan, np.where(column == 0, 0.0, value))


def _within(values: Floats, lows: Sequence[float | None], highs: Sequence[float | None]) -> Floats:
    for bounds, keep in ((lows, np.fmax), (highs, np.fmin)):
        if bounds:
            limit = np.array([nan if bound is None else bound for bound in bounds])[:, None]
            values = np.where(np.isnan(values), nan, keep(values, limit))
    return values
