"""One chunk of a tier, made from the finer one.

NumPy is imported here, so import this module on first use only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from watchglass import sql
from watchglass.analysis.points import Integers, Points, add_up
from watchglass.analysis.tiers import CHUNKS, DAY, HOUR, MINUTE
from watchglass.store import blocks

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

_BLOCKS = ("time", "series_id", "instance_id", "minutes", "counts", "sums", "mins", "maxs", "lasts", "sizes", "buckets")
_ROWS = ("time", "series_id", "instance_id", "count", "sum", "min", "max", "last", "buckets")


async def make(connection: Connection, width: int, chunk: int) -> None:
    """Have in the tier what the finer one has, from `chunk` (unix seconds) on; what was there is replaced."""
    queries = sql.load("rollups")
    gauges = np.array([row["id"] for row in await connection.fetch(queries["gauges"])], np.int64)
    clear = {MINUTE: queries["clear_1m"], HOUR: queries["clear_1h"], DAY: queries["clear_1d"]}
    await connection.execute(clear[width], chunk)
    if width == MINUTE:
        async for points in _of_names(connection, chunk, gauges):
            await _add_minutes(connection, points, chunk)
    else:
        await _add_releases(connection, width, chunk, gauges)


async def _of_names(connection: Connection, chunk: int, gauges: Integers) -> AsyncIterator[Points]:
    """What was written within the half hour, a metric at a time."""
    queries, span = sql.load("rollups"), (chunk, chunk + CHUNKS[MINUTE])
    first_version = await connection.fetchval(queries["has_first_version"], chunk)
    for row in await connection.fetch(queries["metric_names"]):
        rows = await connection.fetch(queries["blocks_10s"], row["name"], *span)
        if first_version:
            rows += await connection.fetch(queries["blocks_of_first_version"], row["name"], *span)
        if rows:
            yield blocks.of_10s(rows, gauges)


async def _add_minutes(connection: Connection, points: Points, chunk: int) -> None:
    minutes = CHUNKS[MINUTE] // MINUTE
    writers, writer = np.unique(points.instance, return_inverse=True)
    number = np.unique(points.series, return_inverse=True)[1]
    group = (number * len(writers) + writer) * minutes + (points.time - chunk) // MINUTE
    _, added = add_up(points, group)
    moment = datetime.fromtimestamp(chunk, UTC)
    await connection.copy_records_to_table(
        "metrics_1m",
        schema_name="watchglass",
        columns=_BLOCKS,
        records=[(moment, *row) for row in blocks.rows_1m(added, chunk)],
    )


async def _add_releases(connection: Connection, width: int, chunk: int, gauges: Integers) -> None:
    """The rows of an hour or a day: of states per process, of amounts per release, under one of its processes."""
    queries = sql.load("rollups")
    if width == HOUR:
        points = blocks.of_1m(await connection.fetch(queries["chunk_1m"], chunk, chunk + HOUR))
    else:
        [row] = await connection.fetch(queries["chunk_1h"], chunk, chunk + DAY)
        points = blocks.of_columns(row)
    if not len(points):
        return
    processes = await connection.fetch(queries["releases"])
    ids = np.array([row["id"] for row in processes], np.int64)
    release = -np.array([row["release"] for row in processes], np.int64)
    writer = np.where(
        blocks.among(points.series, gauges),
        points.instance,
        release[np.minimum(np.searchsorted(ids, points.instance), len(ids) - 1)],
    )
    _, number = np.unique(np.stack((points.series, writer)), axis=1, return_inverse=True)
    _, added = add_up(points, number.reshape(-1))
    moment = datetime.fromtimestamp(chunk, UTC)
    await connection.copy_records_to_table(
        "metrics_1h" if width == HOUR else "metrics_1d",
        schema_name="watchglass",
        columns=_ROWS,
        records=[(moment, *row) for row in blocks.rows_1h(added)],
    )
