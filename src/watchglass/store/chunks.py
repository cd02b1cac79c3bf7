"""One chunk of a tier, made from the finer one.

NumPy is imported here, so import this module on first use only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from watchglass import sql
from watchglass.analysis.points import Integers, Points, add_up, concatenate
from watchglass.analysis.tiers import CHUNKS, DAY, HOUR, MINUTE
from watchglass.store import blocks

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

AT_ONCE = 500
"""Series that are rolled up at once into hours and days, so that memory does not grow with their number."""

_READ_SECONDS = 300

_BLOCKS = ("time", "series_id", "instance_id", "minutes", "counts", "sums", "mins", "maxs", "lasts", "sizes", "buckets")
_ROWS = ("time", "series_id", "instance_id", "count", "sum", "min", "max", "last", "buckets")


async def make(connection: Connection, width: int, chunk: int) -> None:
    """Have in the tier what the finer one has, from `chunk` (unix seconds) on; what was there is replaced."""
    queries = sql.load("rollups")
    gauges = np.array([row["id"] for row in await connection.fetch(queries["gauges"])], np.int64)
    clear = {MINUTE: queries["clear_1m"], HOUR: queries["clear_1h"], DAY: queries["clear_1d"]}
    await connection.execute(clear[width], chunk)
    if width == MINUTE:
        sources = [queries["blocks_10s"]]
        if await connection.fetchval(queries["has_first_version"], chunk):
            sources.append(queries["blocks_of_first_version"])
        for row in await connection.fetch(queries["metric_names"]):
            await _add_minutes(connection, row["name"], chunk, gauges, sources)
    else:
        processes = await connection.fetch(queries["releases"])
        for first, last in ranges(await connection.fetchval(queries["number_of_series"])):
            await _add_releases(connection, width, chunk, gauges, processes, (first, last))


def ranges(series: int) -> Iterator[tuple[int, int]]:
    """Ranges of ids, which are hashes, with about `AT_ONCE` of so many series in each; both ends are included."""
    number = max(1, -(-series // AT_ONCE))
    edges = [-(2**63) + 2**64 * position // number for position in range(number + 1)]
    yield from ((first, end - 1) for first, end in pairwise(edges))


async def _add_minutes(connection: Connection, name: str, chunk: int, gauges: Integers, sources: Sequence[str]) -> None:
    """The rows of a metric's half hour; what was written is read some minutes at a time."""
    parts = []
    for start in range(chunk, chunk + CHUNKS[MINUTE], _READ_SECONDS):
        rows = [row for source in sources for row in await connection.fetch(source, name, start, start + _READ_SECONDS)]
        points = blocks.of_10s(rows, gauges)
        if len(points):
            minute = (points.time - start) // MINUTE
            parts.append(add_up(points, _numbered(points) * (_READ_SECONDS // MINUTE) + minute)[1])
    if not parts:
        return
    points = concatenate(parts)
    minutes = CHUNKS[MINUTE] // MINUTE
    _, added = add_up(points, _numbered(points) * minutes + (points.time - chunk) // MINUTE)
    await _copy(connection, "metrics_1m", _BLOCKS, chunk, blocks.rows_1m(added, chunk))


async def _add_releases(
    connection: Connection,
    width: int,
    chunk: int,
    gauges: Integers,
    processes: Sequence[blocks.Row],
    series: tuple[int, int],
) -> None:
    """The rows of an hour or a day: of states per process, of amounts per release, under one of its processes."""
    queries = sql.load("rollups")
    if width == HOUR:
        points = blocks.of_1m(await connection.fetch(queries["chunk_1m"], chunk, chunk + HOUR, *series))
    else:
        [row] = await connection.fetch(queries["chunk_1h"], chunk, chunk + DAY, *series)
        points = blocks.of_columns(row)
    if not len(points):
        return
    ids = np.array([row["id"] for row in processes], np.int64)
    release = -np.array([row["release"] for row in processes], np.int64)
    of_release = release[np.minimum(np.searchsorted(ids, points.instance), len(ids) - 1)]
    writer = np.where(blocks.among(points.series, gauges), points.instance, of_release)
    _, added = add_up(points, _numbered(points, writer))
    await _copy(connection, "metrics_1h" if width == HOUR else "metrics_1d", _ROWS, chunk, blocks.rows_1h(added))


def _numbered(points: Points, writer: Integers | None = None) -> Integers:
    """A number for each series and writer (None: process) of points."""
    writers, of_writer = np.unique(points.instance if writer is None else writer, return_inverse=True)
    of_series = np.unique(points.series, return_inverse=True)[1]
    numbers: Integers = of_series.reshape(-1) * len(writers) + of_writer.reshape(-1)
    return numbers


async def _copy(
    connection: Connection, table: str, columns: Sequence[str], chunk: int, rows: Iterable[tuple[Any, ...]]
) -> None:
    moment = datetime.fromtimestamp(chunk, UTC)
    await connection.copy_records_to_table(
        table, schema_name="watchglass", columns=columns, records=[(moment, *row) for row in rows]
    )
