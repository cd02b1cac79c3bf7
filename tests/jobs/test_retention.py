"""What has expired goes, what is needed next is there, and nobody waits."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import asyncpg
import pytest

from support.connections import connections
from support.log_lines import fill
from support.partitions import DAY, HOUR, add_partition, drop_partitions_ahead, partitions, steady_hour
from watchglass.jobs.retention import limit, maintain
from watchglass.settings import Settings

if TYPE_CHECKING:
    from watchglass.store.connection import Connection


@pytest.fixture
def hour() -> datetime:
    """The begin of the hour that runs during the test."""
    return steady_hour()


@pytest.fixture
def day(hour: datetime) -> datetime:
    """The begin of the day that runs during the test."""
    return hour.replace(hour=0)


async def test_partitions_reach_a_week_ahead_for_metrics_and_a_day_for_logs_and_traces(connection: Connection) -> None:
    now = datetime.now(UTC)
    assert await maintain(connection, Settings()) == []
    for parent, ahead, span in (
        ("metrics_10s", 7, DAY),
        ("metrics_1m", 7, DAY),
        ("metrics_1h", 7, timedelta(days=7)),
        ("metrics_1d", 7, timedelta(days=91)),
        ("logs", 1, HOUR),
        ("traces", 1, HOUR),
    ):
        found = await partitions(connection, parent)
        assert found[0][0] <= now - min(span, DAY)
        assert found[-1][1] > now + timedelta(days=ahead)
        assert all(upper - lower == span for lower, upper in found)
        assert all(one[1] == other[0] for one, other in pairwise(found))


async def test_partitions_have_the_indexes_of_their_table(connection: Connection) -> None:
    await maintain(connection, Settings())
    counts = await connection.fetch(
        "SELECT parent, array_agg(DISTINCT (SELECT count(*) FROM pg_index JOIN pg_inherits ON inhrelid = indexrelid"
        " WHERE indrelid = relation)) AS attached FROM watchglass.partitions() GROUP BY 1 ORDER BY 1"
    )
    assert {row["parent"]: row["attached"] for row in counts} == {
        **{key: [7] for key in ("logs", "traces")},
        **{key: [2] for key in ("metrics", "metrics_1m", "metrics_1h", "metrics_1d")},
        "metrics_10s": [1],
    }


async def test_what_has_expired_is_dropped_and_nothing_else(
    connection: Connection, day: datetime, hour: datetime
) -> None:
    await connection.execute("UPDATE watchglass.rollups SET since = '-infinity'")
    await maintain(connection, Settings())
    gone = [
        await add_partition(connection, "metrics_1h", day - timedelta(days=47), timedelta(days=7)),
        await add_partition(connection, "metrics_1m", day - timedelta(days=9), DAY),
        await add_partition(connection, "metrics_10s", day - timedelta(days=3), DAY),
        await add_partition(connection, "metrics", day - timedelta(days=3), DAY),
        await add_partition(connection, "logs", hour - timedelta(days=8), HOUR),
    ]
    await add_partition(connection, "metrics_1d", day - timedelta(days=250), timedelta(days=91))
    await add_partition(connection, "metrics_1h", day - timedelta(days=36), timedelta(days=7))
    await add_partition(connection, "metrics_1m", day - timedelta(days=8), DAY)
    await add_partition(connection, "metrics_10s", day - timedelta(days=2), DAY)
    await add_partition(connection, "logs", hour - timedelta(days=7), HOUR)
    await add_partition(connection, "traces", hour - timedelta(days=6), HOUR)
    dropped = await maintain(connection, Settings(retention_metrics_days=30, retention_records_days=7))
    assert sorted(dropped) == sorted(gone)
    assert await maintain(connection, Settings()) == []
    since = await connection.fetch("SELECT width, since FROM watchglass.rollups WHERE width < 86400")
    assert {row["width"]: row["since"] for row in since} == {
        10: day - timedelta(days=2),
        60: day - timedelta(days=8),
        3600: day - timedelta(days=40),
    }


async def test_what_is_not_rolled_up_yet_is_kept(connection: Connection, day: datetime) -> None:
    """After a long absence there are partitions for what has to be made up for, and they stay until it is."""
    await connection.execute("UPDATE watchglass.rollups SET until = now() - interval '50 days' WHERE width > 10")
    done = await add_partition(connection, "metrics_10s", day - timedelta(days=60), DAY)
    await add_partition(connection, "metrics_10s", day - timedelta(days=40), DAY)
    assert await maintain(connection, Settings()) == [done]
    assert (await partitions(connection, "metrics_1m"))[0][0] <= day - timedelta(days=50)
    assert await maintain(connection, Settings()) == []


async def test_what_came_late_is_rolled_up_before_it_goes(connection: Connection, day: datetime) -> None:
    name = await add_partition(connection, "metrics_10s", day - timedelta(days=10), DAY)
    await connection.execute(
        "INSERT INTO watchglass.late_chunks (width, time, instance_id) VALUES (60, $1, 1)", day - timedelta(days=9.5)
    )
    assert await maintain(connection, Settings()) == []
    await connection.execute("DELETE FROM watchglass.late_chunks")
    assert await maintain(connection, Settings()) == [name]


async def test_nothing_is_dropped_while_somebody_rolls_up(
    connection: Connection, store_url: str, day: datetime
) -> None:
    name = await add_partition(connection, "metrics_10s", day - timedelta(days=10), DAY)
    async with connections(store_url, 1) as [other], other.transaction():
        await other.execute("SELECT FROM watchglass.rollups WHERE width = 60 FOR UPDATE")
        assert await maintain(connection, Settings()) == []
    assert await maintain(connection, Settings()) == [name]


async def test_services_that_share_a_store_keep_what_one_of_them_asks(connection: Connection, day: datetime) -> None:
    name = await add_partition(connection, "metrics_1m", day - timedelta(days=15), DAY)
    await maintain(connection, Settings(service_name="other", retention_1m_days=20))
    assert await maintain(connection, Settings(service_name="shop", retention_1m_days=2)) == []
    await connection.execute("UPDATE watchglass.facts SET updated_at = now() - interval '3 days'")
    assert await maintain(connection, Settings(service_name="shop", retention_1m_days=2)) == [name]


@pytest.mark.parametrize("keep", ['{"metrics_10s": "1 hour"}', '{"logs": "0 days", "metrics_1m": "8 days"}'])
async def test_the_last_hours_cannot_be_dropped(connection: Connection, keep: str) -> None:
    with pytest.raises(Exception, match="at least two hours"):
        await connection.fetchval("SELECT watchglass.drop_expired_partition($1::jsonb)", keep)


async def test_a_process_of_the_first_version_drops_no_tier(connection: Connection, day: datetime) -> None:
    await add_partition(connection, "metrics_1h", day - timedelta(days=40), timedelta(days=7))
    name = await add_partition(connection, "metrics", day - timedelta(days=40), DAY)
    assert await connection.fetchval("SELECT watchglass.drop_expired_partition(30, 7)") == name
    assert await connection.fetchval("SELECT watchglass.drop_expired_partition(30, 7)") is None


async def test_a_partition_that_is_being_read_stays_until_it_is_not(
    connection: Connection, store_url: str, day: datetime
) -> None:
    name = await add_partition(connection, "metrics_10s", day - timedelta(days=40), DAY)
    async with connections(store_url, 1) as [reader], reader.transaction():
        await reader.fetch("SELECT * FROM watchglass.metrics_10s")
        began = time.monotonic()
        assert await maintain(connection, Settings()) == []
        assert time.monotonic() - began < 2
        await reader.fetch("SELECT * FROM watchglass.metrics_10s")
    assert await maintain(connection, Settings()) == [name]


async def test_new_partitions_do_not_wait_for_a_long_reader(connection: Connection, store_url: str) -> None:
    missing = {parent: await drop_partitions_ahead(connection, parent) for parent in ("metrics_10s", "logs", "traces")}
    async with connections(store_url, 1) as [reader], reader.transaction():
        await reader.fetch(
            "SELECT * FROM watchglass.metrics_10s, watchglass.metrics_1d, watchglass.logs, watchglass.traces"
        )
        await maintain(connection, Settings())
        for parent, ahead in missing.items():
            assert ahead and set(ahead) <= set(await partitions(connection, parent))


async def test_two_who_maintain_at_once_do_not_harm_each_other(connection: Connection, store_url: str) -> None:
    missing = await drop_partitions_ahead(connection, "logs")
    assert missing
    async with connections(store_url, 4) as several:
        await asyncio.gather(*(maintain(one, Settings()) for one in several))
    found = await partitions(connection, "logs")
    assert set(missing) <= set(found)
    assert all(one[1] == other[0] for one, other in pairwise(found)), "each once"


SMALL = 16 * 1024 * 1024


def small(**more: int) -> Settings:
    return Settings(service_name="shop", **{"retention_logs_bytes": SMALL, "retention_traces_bytes": SMALL, **more})


async def stored(connection: Connection, parent: str = "logs") -> int:
    value: int = await connection.fetchval(
        "SELECT sum(pg_total_relation_size(relation))::bigint FROM watchglass.partitions() WHERE parent = $1", parent
    )
    return value


async def fill_hours(connection: Connection, hour: datetime, *ages: int, lines: int = 4_000) -> list[str]:
    """Lines in hours that are so many before that one; about 8 MB an hour, indexes included. Returns the partitions."""
    return [await fill(connection, hour - age * HOUR, lines, padding=1_500) for age in ages]


async def test_the_oldest_hours_go_until_the_limit_in_bytes_holds(connection: Connection, hour: datetime) -> None:
    names = await fill_hours(connection, hour, 5, 4, 3, 2)
    assert await stored(connection) > SMALL
    dropped = await maintain(connection, small())
    assert 1 <= len(dropped) < 4
    assert dropped == names[: len(dropped)], "the oldest first, and no more than is needed"
    assert SMALL / 4 < await stored(connection) <= SMALL
    [row] = await connection.fetch("SELECT * FROM watchglass.trimmed")
    upper = hour - (5 - len(dropped)) * HOUR
    assert (row["name"], row["until"], row["limit_bytes"], row["partitions"]) == ("logs", upper, SMALL, len(dropped))
    assert row["bytes"] > 1_000_000
    assert await maintain(connection, small()) == []


async def test_what_is_within_its_limit_and_other_tables_stay(connection: Connection, hour: datetime) -> None:
    await fill_hours(connection, hour, 3, 2)
    assert await maintain(connection, small(retention_logs_bytes=10 * SMALL)) == []
    assert await connection.fetchval("SELECT count(*) FROM watchglass.trimmed") == 0


async def test_the_hour_that_is_written_stays_however_large(connection: Connection, hour: datetime) -> None:
    names = await fill_hours(connection, hour, 2, 0, lines=12_000)
    assert await limit(connection, small()) == names[:1]
    assert await stored(connection) > SMALL
    assert await limit(connection, small()) == [], "and what is empty is not dropped in its place"
    assert await connection.fetchval("SELECT count(*) FROM watchglass.logs") == 12_000


async def test_of_services_that_share_a_store_the_larger_limit_holds(connection: Connection, hour: datetime) -> None:
    names = await fill_hours(connection, hour, 4, 3, 2)
    await limit(connection, Settings(service_name="mail", retention_logs_bytes=20 * SMALL))
    assert await limit(connection, small()) == []
    await connection.execute(
        "UPDATE watchglass.facts SET updated_at = now() - interval '3 days' WHERE service_name = 'mail'"
    )
    assert (await limit(connection, small()))[0] == names[0]


async def test_an_hour_that_is_being_read_goes_once_it_is_not(
    connection: Connection, store_url: str, hour: datetime
) -> None:
    names = await fill_hours(connection, hour, 4, 3, 2)
    async with connections(store_url, 1) as [reader], reader.transaction():
        await reader.fetch("SELECT FROM watchglass.logs LIMIT 1")
        began = time.monotonic()
        assert await limit(connection, small()) == []
        assert time.monotonic() - began < 5
    assert (await limit(connection, small()))[0] == names[0]


@pytest.mark.parametrize("limits", ['{"logs": 1}', '{"metrics_1h": 1000000000}', '{"logs": "all"}'])
async def test_a_limit_that_makes_no_sense_drops_nothing(connection: Connection, limits: str) -> None:
    with pytest.raises(asyncpg.DataError):
        await connection.fetchval("SELECT watchglass.drop_oversized_partition($1::jsonb)", limits)


async def test_hours_to_come_are_divided_when_lines_come_fast(connection: Connection, hour: datetime) -> None:
    await fill_hours(connection, hour, 1)
    await maintain(connection, small())
    spans = [upper - lower for lower, upper in await partitions(connection, "logs")]
    assert set(spans) == {HOUR, timedelta(minutes=10)}
    found = await partitions(connection, "logs")
    assert all(one[1] == other[0] for one, other in pairwise(found)), "without a gap"
    assert 6 <= spans.count(timedelta(minutes=10)) <= 12
    assert {upper - lower for lower, upper in await partitions(connection, "traces")} == {HOUR}
    assert await connection.fetchval("SELECT watchglass.create_partitions()") == 0
    await limit(connection, small())
    assert await partitions(connection, "logs") == found


async def test_hours_are_whole_when_few_lines_come(connection: Connection, hour: datetime) -> None:
    await fill_hours(connection, hour, 1, lines=100)
    await limit(connection, small())
    assert {upper - lower for lower, upper in await partitions(connection, "logs")} == {HOUR}


async def test_an_hour_to_come_that_holds_something_is_not_divided(connection: Connection, hour: datetime) -> None:
    await fill_hours(connection, hour, 1)
    for ahead in (1, 2):
        await fill(connection, hour + ahead * HOUR, 10)
    await limit(connection, small())
    assert {upper - lower for lower, upper in await partitions(connection, "logs")} == {HOUR}


async def test_the_ledger_and_the_list_of_processes_are_shortened(connection: Connection) -> None:
    await connection.execute(
        """
        INSERT INTO watchglass.batches (instance_id, sequence, written_at, points, logs, traces)
        VALUES (1, 1, now() - interval '3 days', 1, 0, 0), (1, 2, now() - interval '1 day', 1, 0, 0),
            (2, 7, now() - interval '4 days', 1, 0, 0), (2, 8, now() - interval '3 days', 1, 0, 0),
            (9, 1, now() - interval '3 days', 1, 0, 0);
        INSERT INTO watchglass.instances (service_instance_id, service_name, service_namespace, service_version,
            host_name, process_pid, started_at, last_seen)
        VALUES ('old', 's', '', '', 'h', 1, now() - interval '90 days', now() - interval '402 days'),
            ('new', 's', '', '', 'h', 1, now() - interval '900 days', now() - interval '400 days');
        INSERT INTO watchglass.login_tokens (hash, username, role, expires_at)
        VALUES ('a', 'u', 'admin', now() - interval '2 days'), ('b', 'u', 'admin', now());
        """
    )
    await maintain(connection, Settings())
    assert await connection.fetchval("SELECT array_agg(sequence ORDER BY sequence) FROM watchglass.batches") == [2, 8]
    assert await connection.fetchval("SELECT array_agg(service_instance_id) FROM watchglass.instances") == ["new"]
    assert await connection.fetchval("SELECT array_agg(hash) FROM watchglass.login_tokens") == [b"b"]
