"""Points as the tiers hold them: blocks of arrays, in PostgreSQL's binary form, to columns and back.

NumPy is imported here, so import this module on first use only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from watchglass.analysis.points import PAIRS, Integers, Points, concatenate

_HEADER = 20
"""Bytes in front of the elements of an array of one dimension, each of which begins with its length in four bytes.
https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/arrayfuncs.c (array_send)"""

Row = Any
"""A record of asyncpg: its columns by name."""


def of_10s(rows: Sequence[Row], gauges: Integers) -> Points:
    """The points of blocks of ten seconds; `gauges` are the ids of series whose values are states, sorted."""
    histograms = [row for row in rows if row["counts"] is not None]
    others = [row for row in rows if row["counts"] is None]
    return concatenate([_of_10s(histograms, gauges), _of_10s(others, gauges)])


def _of_10s(rows: Sequence[Row], gauges: Integers) -> Points:
    series = _array(rows, "series_ids", ">i8").astype(np.int64)
    per_row = [(len(row["series_ids"]) - _HEADER) // 12 for row in rows]
    sums = _array(rows, "sums", ">f8").astype(np.float64)
    samples = np.where(among(series, gauges), sums, np.nan)
    whole = bool(rows) and rows[0]["counts"] is not None
    return Points(
        time=np.repeat(np.array([row["time"] for row in rows], np.int64), per_row),
        series=series,
        instance=np.repeat(np.array([row["instance_id"] for row in rows], np.int64), per_row),
        count=_array(rows, "counts", ">i8").astype(np.int64) if whole else np.ones(len(series), np.int64),
        sum=sums,
        min=_array(rows, "mins", ">f8").astype(np.float64) if whole else samples,
        max=_array(rows, "maxs", ">f8").astype(np.float64) if whole else samples,
        last=samples,
        size=_array(rows, "sizes", ">i4").astype(np.int64) if whole else np.zeros(len(series), np.int64),
        pairs=_pairs(rows),
    )


def of_1m(rows: Sequence[Row]) -> Points:
    """The points of blocks of minutes."""
    alike: dict[tuple[bool, bool], list[Row]] = {}
    for row in rows:
        alike.setdefault((row["counts"] is None, row["sizes"] is None), []).append(row)
    return concatenate([_of_1m(some) for some in alike.values()])


def _of_1m(rows: Sequence[Row]) -> Points:
    minutes = _array(rows, "minutes", ">i2").astype(np.int64)
    per_row = [(len(row["minutes"]) - _HEADER) // 6 for row in rows]
    nothing = np.full(len(minutes), np.nan)

    def column(name: str, kind: str, absent: NDArray[Any]) -> NDArray[Any]:
        there = bool(rows) and rows[0][name] is not None
        return _array(rows, name, kind).astype(absent.dtype) if there else absent

    return Points(
        time=np.repeat(np.array([row["time"] for row in rows], np.int64), per_row) + minutes * 60,
        series=np.repeat(np.array([row["series_id"] for row in rows], np.int64), per_row),
        instance=np.repeat(np.array([row["instance_id"] for row in rows], np.int64), per_row),
        count=column("counts", ">i8", np.ones(len(minutes), np.int64)),
        sum=column("sums", ">f8", nothing),
        min=column("mins", ">f8", nothing),
        max=column("maxs", ">f8", nothing),
        last=column("lasts", ">f8", nothing),
        size=column("sizes", ">i4", np.zeros(len(minutes), np.int64)),
        pairs=_pairs(rows),
    )


def of_columns(row: Row) -> Points:
    """The points of the one row that a question about hours or days answers."""

    def column(name: str, kind: str, made: type) -> NDArray[Any]:
        return np.frombuffer(row[name] or b"", kind).astype(made)

    return Points(
        time=column("times", ">i8", np.int64),
        series=column("series_ids", ">i8", np.int64),
        instance=column("instance_ids", ">i4", np.int64),
        count=column("counts", ">i8", np.int64),
        sum=column("sums", ">f8", np.float64),
        min=column("mins", ">f8", np.float64),
        max=column("maxs", ">f8", np.float64),
        last=column("lasts", ">f8", np.float64),
        size=column("sizes", ">i4", np.int64),
        pairs=np.frombuffer(row["buckets"] or b"", PAIRS),
    )


def rows_1m(points: Points, chunk: int) -> Iterator[tuple[Any, ...]]:
    """The rows of a half hour that begins at `chunk`: points of one series and process, which must lie together."""
    change = (points.series[1:] != points.series[:-1]) | (points.instance[1:] != points.instance[:-1])
    edges = np.concatenate(([0], np.flatnonzero(change) + 1, [len(points)]))
    bounds = points.bounds
    minutes = (points.time - chunk) // 60
    for first, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        part = slice(first, end)
        histogram = bool(points.size[part].any())
        amounts = histogram or not np.isnan(points.min[first])
        yield (
            points.series[first].item(),
            points.instance[first].item(),
            minutes[part].tolist(),
            points.count[part].tolist() if amounts else None,
            points.sum[part].tolist(),
            points.min[part].tolist() if amounts else None,
            points.max[part].tolist() if amounts else None,
            points.last[part].tolist() if amounts and not histogram else None,
            points.size[part].tolist() if histogram else None,
            points.pairs[bounds[first] : bounds[end]].tobytes() if histogram else None,
        )


def rows_1h(points: Points) -> Iterator[tuple[Any, ...]]:
    """The rows of hours or days."""
    bounds = points.bounds.tolist()
    columns = (points.series, points.instance, points.count, points.sum, points.min, points.max, points.last)
    for number, row in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        packed = points.pairs[bounds[number] : bounds[number + 1]].tobytes()
        yield *row[:4], *(None if value != value else value for value in row[4:]), packed or None


def among(series: Integers, ids: Integers) -> NDArray[np.bool_]:
    """Which of the series are in `ids`, which are in order."""
    if not len(ids):
        return np.zeros(len(series), np.bool_)
    found: NDArray[np.bool_] = ids[np.minimum(np.searchsorted(ids, series), len(ids) - 1)] == series
    return found


def _array(rows: Iterable[Row], name: str, kind: str) -> NDArray[Any]:
    """The elements of an array column, of all rows."""
    element = np.dtype([("length", ">i4"), ("value", kind)])
    return np.frombuffer(b"".join(row[name][_HEADER:] for row in rows), element)["value"]


def _pairs(rows: Iterable[Row]) -> NDArray[np.void]:
    return np.frombuffer(b"".join(row["buckets"] or b"" for row in rows), PAIRS)
