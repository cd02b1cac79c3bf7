"""What has expired goes, what is needed next is there, and nobody waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from watchglass import sql
from watchglass.jobs.retention import maintain
from watchglass.settings import Settings
from watchglass.store.connection import connect

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

NOW = datetime.now(UTC)


@pytest.fixture
async def connection(store_url: str) -> AsyncIterator[Connection]:
    connection = await connect(store_url)
    yield connection
    await connection.close()


async def add_partition(connection: Connection, parent: str, lower: datetime, span: timedelta) -> str:
    """A partition of the past, as maintenance would have made it then."""
    name = f"{parent}_{lower:%Y%m%d}" + (f"{lower:%H}" if span < timedelta(days=1) else "")
    await connection.execute(f"CREATE TABLE watchglass.{name} (LIKE watchglass.{parent} INCLUDING ALL)")
    await connection.execute(
        f"ALTER TABLE watchglass.{parent} ATTACH PARTITION watchglass.{name}"
        f" FOR VALUES FROM ('{lower.isoformat()}') TO ('{(lower + span).isoformat()}')"
    )
    return name


async def partitions(connection: Connection, parent: str) -> list[tuple[datetime, datetime]]:
    rows = await connection.fetch(
        "SELECT lower, upper FROM watchglass.partitions() WHERE parent = $1 ORDER BY 1", parent
    )
    return [(row["lower"], row["upper"]) for row in rows]


async def test_partitions_reach_a_week_ahead_for_metrics_and_a_day_for_logs_and_traces(connection: Connection) -> None:
    assert await maintain(connection, Settings()) == []
    for parent, ahead, span in (
        ("metrics", 7, timedelta(days=1)),
        ("logs", 1, timedelta(hours=1)),
        ("traces", 1, timedelta(hours=1)),
    ):
        found = await partitions(connection, parent)
        assert found[0][0] < NOW - span / 2
        assert found[-1][1] > NOW + timedelta(days=ahead)
        assert all(upper - lower == span for lower, upper in found)
        assert all(one[1] == other[0] for one, other in pairwise(found))


async def test_partitions_have_the_indexes_of_their_table(connection: Connection) -> None:
    await maintain(connection, Settings())
    counts = await connection.fetch(
        "SELECT parent, array_agg(DISTINCT (SELECT count(*) FROM pg_index JOIN pg_inherits ON inhrelid = indexrelid"
        " WHERE indrelid = relation)) AS attached FROM watchglass.partitions() GROUP BY 1 ORDER BY 1"
    )
    assert [(row["parent"], row["attached"]) for row in counts] == [("logs", [3]), ("metrics", [2]), ("traces", [3])]


async def test_what_has_expired_is_dropped_and_nothing_else(connection: Connection) -> None:
    await maintain(connection, Settings())
    day = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    hour = NOW.replace(minute=0, second=0, microsecond=0)
    gone = [
        await add_partition(connection, "metrics", day - timedelta(days=40), timedelta(days=1)),
        await add_partition(connection, "metrics", day - timedelta(days=31), timedelta(days=1)),
        await add_partition(connection, "logs", hour - timedelta(days=8), timedelta(hours=1)),
    ]
    await add_partition(connection, "metrics", day - timedelta(days=30), timedelta(days=1))
    await add_partition(connection, "logs", hour - timedelta(days=7), timedelta(hours=1))
    await add_partition(connection, "traces", hour - timedelta(days=6), timedelta(hours=1))
    dropped = await maintain(connection, Settings(retention_metrics_days=30, retention_records_days=7))
    assert sorted(dropped) == sorted(gone)
    assert await maintain(connection, Settings()) == []


async def test_the_last_day_cannot_be_dropped(connection: Connection) -> None:
    with pytest.raises(Exception, match="at least one day"):
        await connection.fetchval(sql.load("retention")["drop_expired_partition"], 0, 7)


async def test_a_partition_that_is_being_read_stays_until_it_is_not(connection: Connection, store_url: str) -> None:
    day = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    name = await add_partition(connection, "metrics", day - timedelta(days=40), timedelta(days=1))
    reader = await connect(store_url)
    async with reader.transaction():
        await reader.fetch("SELECT * FROM watchglass.metrics")
        began = time.monotonic()
        assert await maintain(connection, Settings()) == []
        assert time.monotonic() - began < 2
        await reader.fetch("SELECT * FROM watchglass.metrics")
    assert await maintain(connection, Settings()) == [name]
    await reader.close()


async def test_new_partitions_do_not_wait_for_a_long_reader(connection: Connection, store_url: str) -> None:
    reader = await connect(store_url)
    async with reader.transaction():
        await reader.fetch("SELECT * FROM watchglass.metrics, watchglass.logs, watchglass.traces")
        await maintain(connection, Settings())
        assert len(await partitions(connection, "metrics")) == 9
    await reader.close()


async def test_two_who_maintain_at_once_do_not_harm_each_other(store_url: str) -> None:
    connections = await asyncio.gather(*(connect(store_url) for _ in range(4)))
    await asyncio.gather(*(maintain(one, Settings()) for one in connections))
    assert len(await partitions(connections[0], "logs")) == 26
    for one in connections:
        await one.close()


async def test_the_ledger_and_the_list_of_processes_are_shortened(connection: Connection) -> None:
    await connection.execute(
        """
        INSERT INTO watchglass.batches (instance_id, sequence, written_at, points, logs, traces)
        VALUES (1, 1, now() - interval '3 days', 1, 0, 0), (1, 2, now() - interval '1 day', 1, 0, 0);
        INSERT INTO watchglass.instances (service_instance_id, service_name, service_namespace, service_version,
            host_name, process_pid, started_at, last_seen)
        VALUES ('old', 's', '', '', 'h', 1, now() - interval '90 days', now() - interval '32 days'),
            ('new', 's', '', '', 'h', 1, now() - interval '90 days', now() - interval '30 days');
        INSERT INTO watchglass.login_tokens (hash, username, role, expires_at)
        VALUES ('a', 'u', 'admin', now() - interval '2 days'), ('b', 'u', 'admin', now());
        """
    )
    await maintain(connection, Settings())
    assert await connection.fetchval("SELECT array_agg(sequence) FROM watchglass.batches") == [2]
    assert await connection.fetchval("SELECT array_agg(service_instance_id) FROM watchglass.instances") == ["new"]
    assert await connection.fetchval("SELECT array_agg(hash) FROM watchglass.login_tokens") == [b"b"]
