"""A row per request, as the seed of this project had it: (id, timestamp, metric_type, metric_name, value, metadata)."""

from __future__ import annotations

import io
import json
import time
from dataclasses import dataclass

import asyncpg
import numpy as np

from bench.traffic import STATUSES, Requests, Traffic

SCHEMA = """
CREATE TABLE seed (
    id bigserial PRIMARY KEY,
    timestamp timestamptz NOT NULL,
    metric_type text NOT NULL,
    metric_name text NOT NULL,
    value double precision NOT NULL,
    metadata jsonb NOT NULL
);
CREATE INDEX seed_type_timestamp ON seed (metric_type, timestamp DESC);
"""

PERCENTILES = """
SELECT metadata ->> 'endpoint', percentile_cont(0.95) WITHIN GROUP (ORDER BY value)
FROM seed
WHERE metric_type = 'api' AND timestamp >= to_timestamp($1::float8) AND timestamp < to_timestamp($2::float8)
GROUP BY 1
"""


@dataclass(frozen=True)
class SeedFigures:
    """What a row per request takes: bytes with indexes, seconds to fill, ms for the P95 of all endpoints over 1 h."""

    rows: int
    bytes: int
    fill_seconds: float
    hour_ms: list[float]


async def measure(dsn: str, traffic: Traffic, start: float, end: float, rounds: int) -> SeedFigures:
    """Fill a table of its own with the span's requests, ask it, and drop it."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(SCHEMA)
        began = time.perf_counter()
        rows = 0
        for requests in traffic.between(start, end):
            await _copy(connection, traffic, requests)
            rows += len(requests.time)
        filled = time.perf_counter() - began
        await connection.execute("VACUUM ANALYZE seed")
        size = await connection.fetchval("SELECT pg_total_relation_size('seed')")
        times = [await _ask(connection, end - 3600, end) for _ in range(rounds + 1)]
        await connection.execute("DROP TABLE seed")
        return SeedFigures(rows, size, filled, times[1:])
    finally:
        await connection.close()


async def _ask(connection: asyncpg.Connection[asyncpg.Record], start: float, end: float) -> float:
    began = time.perf_counter()
    await connection.fetch(PERCENTILES, start, end)
    return (time.perf_counter() - began) * 1000


async def _copy(connection: asyncpg.Connection[asyncpg.Record], traffic: Traffic, requests: Requests) -> None:
    """In the order of time, as requests come."""
    metadata = [
        json.dumps({"endpoint": route, "method": method, "status": int(status)})
        for method, route in traffic.keys
        for status in STATUSES
    ]
    order = np.argsort(requests.time)
    which = (requests.endpoint * len(STATUSES) + requests.status)[order].tolist()
    times = np.datetime_as_string((requests.time[order] * 1e6).astype("datetime64[us]"), timezone="UTC").tolist()
    milliseconds = (requests.seconds[order] * 1000).tolist()
    lines = [
        f"{moment}\tapi\tlatency\t{value}\t{metadata[one]}\n"
        for moment, value, one in zip(times, milliseconds, which, strict=True)
    ]
    columns = ("timestamp", "metric_type", "metric_name", "value", "metadata")
    source = io.BytesIO("".join(lines).encode())
    await connection.copy_to_table("seed", source=source, columns=columns)
