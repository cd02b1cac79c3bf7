"""What a store has of long ago: partitions that were made then, and hours that were rolled up then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bench.series import Exported, coarser
from bench.traffic import HOUR, Requests

from watchglass import sql
from watchglass.analysis.points import Points, concatenate
from watchglass.records import Series
from watchglass.store import blocks
from watchglass.store.text import storable_json

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

DAY = 24 * HOUR
ROWS = ("time", "series_id", "instance_id", "count", "sum", "min", "max", "last", "buckets")


async def make_partitions(connection: Connection, start: float, end: float) -> None:
    """Have the partitions that the store would have made on each day since `start`, by its own function."""
    definition: str = await connection.fetchval(
        "SELECT pg_get_functiondef('watchglass.create_partitions()'::regprocedure)"
    )
    for day in np.arange(start, end, DAY).tolist():
        then = definition.replace("create_partitions", "create_past_partitions").replace("now()", f"to_timestamp({day})")
        await connection.execute(then)
        await connection.fetchval("SELECT watchglass.create_past_partitions()")
    await connection.execute("DROP FUNCTION IF EXISTS watchglass.create_past_partitions()")


async def reach(connection: Connection, start: float, recent: float) -> None:
    """Say of the tiers that hours reach from `start` to `recent`, and what is finer begins there."""
    await connection.execute("UPDATE watchglass.rollups SET until = to_timestamp($1) WHERE width > 10", recent)
    await connection.execute("UPDATE watchglass.rollups SET since = to_timestamp($1) WHERE width < 3600", recent)
    await connection.execute(
        "UPDATE watchglass.rollups SET until = date_bin('1 d', to_timestamp($1), 'epoch') WHERE width = 86400", start
    )


async def add_hour(connection: Connection, exported: Exported, requests: Requests, instance: int) -> None:
    """Add the rows of an hour as rolling it up would."""
    points = hour_points(exported, requests, instance)
    times = points.time.tolist()
    await connection.copy_records_to_table(
        "metrics_1h",
        schema_name="watchglass",
        columns=ROWS,
        records=[(blocks.moment(time), *row) for time, row in zip(times, blocks.rows_1h(points), strict=True)],
    )


def hour_points(exported: Exported, requests: Requests, instance: int) -> Points:
    """The points of an hour: one a series."""
    histograms, counters = coarser(*exported.rows(requests), HOUR)
    durations = np.array([series.id for series in exported.durations], np.int64)[histograms.series]
    counted = np.array([series.id for series in exported.requests], np.int64)[counters.series]
    number, nothing = np.full(len(durations), instance), np.full(len(durations), np.nan)
    other, none = np.full(len(counted), instance), np.full(len(counted), np.nan)
    size = np.diff(histograms.first)
    return concatenate(
        [
            Points(
                *(histograms.time, durations, number, histograms.count, histograms.sum),
                *(histograms.min, histograms.max, nothing, size, histograms.pairs),
            ),
            Points(
                *(counters.time, counted, other, counters.count, counters.sum),
                *(none, none, none, np.zeros(len(counted), np.int64), histograms.pairs[:0]),
            ),
        ]
    )


async def add_series(connection: Connection, series: list[Series]) -> None:
    """Make series known, as the writer does."""
    rows = [(one.id, one.name, one.kind, one.unit, storable_json(dict(one.attributes), "utf-8")) for one in series]
    await connection.execute(sql.load("metrics")["add_series"], *(list(column) for column in zip(*rows, strict=True)))
