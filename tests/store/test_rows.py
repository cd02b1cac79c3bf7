"""Whatever rows hold, and whatever the clock says, a batch can be stored."""

from __future__ import annotations

import os
import time

import asyncpg
import pytest

from support.databases import execute
from support.partitions import steady_hour
from support.rows import NOW, Fetch, count, instance, line, trace
from watchglass.analysis.fingerprints import of_statement
from watchglass.demo.servers import PostgreSQL
from watchglass.records import Batch, LogRecord, SpanRecord, Trace
from watchglass.store import partitions
from watchglass.store.writer import Writer


@pytest.mark.parametrize("skew", [-40 * 86400, -5 * 86400, 3600, 400 * 86400, 2**40, -(2**40)])
async def test_a_skewed_clock_fails_no_batch(writer: Writer, fetch: Fetch, skew: int) -> None:
    moment = time.time_ns() + skew * 1_000_000_000
    skewed = trace()
    skewed.root.start_ns = moment
    await writer.write(
        Batch(1, [count(1), count(2, moment // 1_000_000_000)], [line(), line(time_ns=moment)], [skewed])
    )
    assert writer.clamped == 3
    [total] = await fetch("SELECT sum(value) FROM watchglass.metrics_flat")
    assert total["sum"] == 3
    bounds = await fetch("SELECT max(timestamp) <= now() + interval '5 minutes' AS past FROM watchglass.metrics_flat")
    assert bounds[0]["past"], "nothing is dated into the future"
    assert len(await fetch("SELECT FROM watchglass.logs")) == 2
    assert len(await fetch("SELECT FROM watchglass.traces")) == 1


async def test_a_time_within_bounds_is_left_alone(writer: Writer, fetch: Fetch) -> None:
    moment = time.time_ns() - 1800 * 1_000_000_000
    await writer.write(Batch(1, [count(1, NOW - 3600)], [line(time_ns=moment)]))
    assert writer.clamped == 0
    [row] = await fetch("SELECT extract(epoch FROM time)::float8 AS time FROM watchglass.logs")
    assert row["time"] == pytest.approx(moment / 1e9, abs=1e-6)


async def test_a_gap_in_the_partitions_is_not_written_into(store_url: str, fetch: Fetch) -> None:
    """The service was down for weeks: partitions of then and of now."""
    await fetch(
        "CREATE TABLE watchglass.metrics_then PARTITION OF watchglass.metrics_10s"
        " FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')"
    )
    writer = Writer(store_url, instance())
    await writer.open()
    await writer.write(Batch(1, [count(1, NOW - 20 * 86400), count(1, 1577836800)]))
    await writer.close()
    [row] = await fetch(
        "SELECT count(DISTINCT time), min(time) > now() - interval '3 days' AS recent FROM watchglass.metrics_10s"
    )
    assert tuple(row) == (1, True)


async def test_a_writer_sees_to_its_partitions_itself(
    writer: Writer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for row in await fetch("SELECT name FROM watchglass.partitions() WHERE lower > now()"):
        await fetch(f"DROP TABLE watchglass.{row['name']}")
    monkeypatch.setattr(partitions, "LOOK_AHEAD_SECONDS", 0.0)
    await writer.write(Batch(1, [count()]))
    rows = await fetch(
        "SELECT parent, max(upper) > now() + CASE WHEN parent ~ 'metrics' THEN interval '7 days' ELSE '1 day' END"
        " AS far FROM watchglass.partitions() GROUP BY parent ORDER BY parent"
    )
    assert [row["parent"] for row in rows if row["far"]] == [
        *("logs", "metrics", "metrics_10s", "metrics_1d", "metrics_1h", "metrics_1m", "traces")
    ]


@pytest.mark.parametrize(
    "record",
    [
        line("a\x00b", fields={"k\x00": "v\x00", "n": float("nan"), "big": 10**400}, exception="\ud800"),
        line("\ud800", logger="\udcff", level="\x00"),
        line("x" * 1_000_000, fields={"deep": [[[[[[[[[[[[1]]]]]]]]]]]], "object": object()}),
        line("long", logger="".join(map(chr, range(0x4E00, 0x9000))), severity=17),
        line("odd ids", trace_id="not hexadecimal", span_id="abc", severity=10**9),
        line("%s {} $1 \\u0000 \\ ' \" ; --", fields={"\\u0000": "\\u0000"}),
    ],
)
async def test_any_line_can_be_stored(writer: Writer, fetch: Fetch, record: LogRecord) -> None:
    await writer.write(Batch(1, logs=[record]))
    [row] = await fetch("SELECT message, jsonb_typeof(fields) AS type FROM watchglass.logs")
    assert row["type"] == "object"
    assert row["message"].rstrip("…") in record.message.replace("\x00", "").replace("\ud800", "\\ud800")


async def test_any_attribute_can_be_stored(writer: Writer, fetch: Fetch) -> None:
    await writer.write(Batch(1, [count(1, route="/\x00\ud800"), count(1, route="x" * 100_000)]))
    assert len(await fetch("SELECT FROM watchglass.series")) == 2
    await writer.write(
        Batch(2, traces=[trace(**{"http.route": "/\x00", "http.response.status_code": "odd", "k": object()})])
    )
    status = {"http.response.status_code": 10**12}
    await writer.write(Batch(3, traces=[trace(**status)]))
    rows = await fetch("SELECT route, status FROM watchglass.traces ORDER BY sequence")
    assert [tuple(row) for row in rows] == [("/", None), (None, None)]


async def test_a_partition_that_went_for_its_tables_limit_fails_no_batch(writer: Writer, fetch: Fetch) -> None:
    """Lines of a time that was kept when the process last looked, as they come from a spool."""
    steady_hour()
    await writer.write(Batch(1, logs=[line()]))
    for row in await fetch("SELECT name FROM watchglass.partitions() WHERE parent = 'logs' AND upper <= now()"):
        await fetch(f"DROP TABLE watchglass.{row['name']}")
    old = time.time_ns() - 3_600_000_000_000
    await writer.write(Batch(2, [count(1)], [line("old", time_ns=old), line("new")], [trace()]))
    assert {row["message"] for row in await fetch("SELECT message FROM watchglass.logs")} == {"m", "old", "new"}
    assert [row["points"] for row in await fetch("SELECT points FROM watchglass.batches ORDER BY sequence")] == [0, 1]


async def test_a_trace_is_found_by_its_statements_and_the_group_of_its_error(writer: Writer, fetch: Fetch) -> None:
    root = trace().root
    texts = ["SELECT  1", "SELECT 1", "SELECT 2", None, 7]
    spans = [SpanRecord(1, 2, 3, "db", "client", 1, 2, {"db.query.text": text}) for text in texts]
    await writer.write(Batch(1, traces=[Trace(root, [root, *spans], "error", 0, "00ff" * 40), trace()]))
    one, other = await fetch("SELECT error_group, statements FROM watchglass.traces ORDER BY position")
    assert one["statements"] == sorted({of_statement("SELECT 1"), of_statement("SELECT 2")})
    assert one["error_group"] == "00ff" * 16
    assert tuple(other) == (None, None)


async def test_a_database_without_unicode_takes_everything(postgres_server: PostgreSQL) -> None:
    name = f"latin_{os.urandom(4).hex()}"
    create = f"CREATE DATABASE {name} OWNER app TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"
    execute(postgres_server.superuser_url, create)
    dsn = f"{postgres_server.url.rpartition('/')[0]}/{name}"
    writer = Writer(dsn, instance())
    try:
        await writer.open()
        await writer.write(Batch(1, [count(1, route="/🎉")], [line("naïve 🎉", fields={"🎉": "🎉"})]))
        await writer.close()
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("SELECT message FROM watchglass.logs") == "na\\xefve \\U0001f389"
        await connection.close()
    finally:
        execute(postgres_server.superuser_url, f"DROP DATABASE {name} WITH (FORCE)")
