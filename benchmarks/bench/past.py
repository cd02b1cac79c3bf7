"""What a store has of long ago: partitions that were made then, and what processes wrote then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.series import Counters, Exported, Histograms
from bench.traffic import HOUR, Requests
from watchglass import sql
from watchglass.analysis.tiers import CHUNKS
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION, HTTP_SERVER_REQUESTS
from watchglass.records import Series
from watchglass.store.rows import BLOCKS
from watchglass.store.text import storable_json

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

DAY = 24 * HOUR

Row = tuple[Any, ...]


async def make_partitions(connection: Connection, start: float, end: float) -> None:
    """Have the partitions that the store would have made on each day since `start`, by its own function."""
    definition: str = await connection.fetchval(
        "SELECT pg_get_functiondef('watchglass.create_partitions()'::regprocedure)"
    )
    for day in np.arange(start, end, DAY).tolist():
        then = definition.replace("create_partitions", "create_past_partitions").replace(
            "now()", f"to_timestamp({day})"
        )
        await connection.execute(then)
        await connection.fetchval("SELECT watchglass.create_past_partitions()")
    await connection.execute("DROP FUNCTION IF EXISTS watchglass.create_past_partitions()")


async def begin_rolling_up(connection: Connection, start: float) -> None:
    """Have the tiers begin at `start`, as they do in a store that is made then."""
    await connection.execute("UPDATE watchglass.rollups SET since = '-infinity'")
    for width, chunk in CHUNKS.items():
        await connection.execute(
            "UPDATE watchglass.rollups SET until = to_timestamp($2) WHERE width = $1", width, start // chunk * chunk
        )


async def add_series(connection: Connection, series: list[Series]) -> None:
    """Make series known, as the writer does."""
    rows = [(one.id, one.name, one.kind, one.unit, storable_json(dict(one.attributes), "utf-8")) for one in series]
    await connection.execute(sql.load("metrics")["add_series"], *(list(column) for column in zip(*rows, strict=True)))


async def add_hour(connection: Connection, exported: Exported, requests: Requests, instance: int) -> None:
    """Add the rows that the writer would have written within an hour, all at once."""
    histograms, counters = exported.rows(requests)
    rows = [*_histogram_rows(exported, histograms, instance), *_counter_rows(exported, counters, instance)]
    rows.sort(key=lambda row: (row[0], row[1]))
    await connection.copy_records_to_table("metrics_10s", schema_name="watchglass", columns=BLOCKS, records=rows)


def _histogram_rows(exported: Exported, histograms: Histograms, instance: int) -> Iterator[Row]:
    ids = np.array([series.id for series in exported.durations], np.int64)[histograms.series]
    sizes, packed = np.diff(histograms.first), histograms.packed()
    columns = (ids, histograms.count, histograms.sum, histograms.min, histograms.max, sizes)
    for time, rows in _by_time(histograms.time):
        values = [column[rows].tolist() for column in columns]
        buckets = b"".join([packed[row] for row in rows.tolist()])
        yield time, HTTP_SERVER_REQUEST_DURATION.name, instance, *values, buckets


def _counter_rows(exported: Exported, counters: Counters, instance: int) -> Iterator[Row]:
    ids = np.array([series.id for series in exported.requests], np.int64)[counters.series]
    for time, rows in _by_time(counters.time):
        of_time = ids[rows].tolist(), None, counters.sum[rows].tolist()
        yield time, HTTP_SERVER_REQUESTS.name, instance, *of_time, None, None, None, None


def _by_time(times: np.ndarray[Any, np.dtype[np.int64]]) -> Iterator[tuple[datetime, np.ndarray[Any, Any]]]:
    """Each time with the numbers of its rows."""
    order = np.argsort(times, kind="stable")
    first = np.flatnonzero(np.diff(times[order], prepend=-1))
    for rows in np.split(order, first[1:]):
        yield datetime.fromtimestamp(int(times[rows[0]]), UTC), rows
