"""A store of the first version keeps its data, and takes what processes of that version still write."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from support.databases import execute
from support.versions import at_version
from watchglass.analysis.buckets import pack, unpack
from watchglass.analysis.windows import Window
from watchglass.demo.servers import PostgreSQL
from watchglass.store import migrations
from watchglass.store.connection import connect
from watchglass.store.migrations import LATEST, check, migrate
from watchglass.store.reader import Group, Reader
from watchglass.store.rollups import roll_up

NOW = int(time.time()) // 1800 * 1800
"""The start of a half hour, so that what is not rolled up is easily told."""

SERIES = {1: ("latency", "histogram"), 2: ("requests", "counter"), 3: ("memory", "gauge")}

# As the first version sent them.
MERGE = """
    INSERT INTO watchglass.metrics AS old (time, series_id, instance_id, count, sum, min, max, buckets)
    SELECT *
    FROM unnest(
        $1::timestamptz[], $2::bigint[], $3::integer[], $4::bigint[],
        $5::float8[], $6::float8[], $7::float8[], $8::bytea[]
    )
    ON CONFLICT (series_id, time, instance_id) DO UPDATE SET
        count = CASE WHEN excluded.min IS NOT NULL AND excluded.buckets IS NULL THEN 1
            ELSE old.count + excluded.count END,
        sum = CASE WHEN excluded.min IS NOT NULL AND excluded.buckets IS NULL THEN excluded.sum
            ELSE old.sum + excluded.sum END,
        min = least(old.min, excluded.min),
        max = greatest(old.max, excluded.max),
        buckets = coalesce(old.buckets || excluded.buckets, old.buckets, excluded.buckets)
"""
COLUMNS = ("time", "series_id", "instance_id", "count", "sum", "min", "max", "buckets")


class FirstVersion:
    """Writes as a process of the first version did."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self.connection = connection

    async def begin(self) -> None:
        await self.connection.execute(
            """
            INSERT INTO watchglass.instances (service_instance_id, service_name, service_namespace, service_version,
                host_name, process_pid, started_at, last_seen)
            VALUES ('old', 'shop', '', '1.0', 'host', 1, to_timestamp($1::float8), now())
            """,
            float(NOW - 7200),
        )
        for id, (name, kind) in SERIES.items():
            await self.connection.execute(
                "INSERT INTO watchglass.series (id, name, kind, unit, attributes) VALUES ($1, $2, $3, '1', '{}')",
                *(id, name, kind),
            )
        await self.connection.execute("SELECT watchglass.create_partitions()")

    async def rows(self, at: int, amount: int) -> list[tuple[Any, ...]]:
        time = await self.connection.fetchval("SELECT to_timestamp($1::float8)", float(at))
        return [
            (time, 1, 1, amount, amount / 2, 0.25, 0.75, pack({amount: amount})),
            (time, 2, 1, 1, float(amount), None, None, None),
            (time, 3, 1, 1, float(amount), float(amount), float(amount), None),
        ]

    async def copy(self, at: int, amount: int) -> None:
        rows = await self.rows(at, amount)
        await self.connection.copy_records_to_table("metrics", schema_name="watchglass", columns=COLUMNS, records=rows)

    async def merge(self, at: int, amount: int) -> None:
        columns = [list(column) for column in zip(*await self.rows(at, amount), strict=True)]
        await self.connection.execute(MERGE, *columns)


@pytest.fixture
def at_version_one() -> Iterator[pytest.MonkeyPatch]:
    with at_version(1) as patch:
        yield patch


@pytest.fixture
async def old(database_url: str, at_version_one: pytest.MonkeyPatch) -> AsyncIterator[FirstVersion]:
    """A process of the first version on a store of that version."""
    assert await migrate(database_url) == [1]
    connection = await asyncpg.connect(database_url)
    process = FirstVersion(connection)
    await process.begin()
    yield process
    await connection.close()


async def upgrade(dsn: str, patch: pytest.MonkeyPatch) -> None:
    patch.undo()
    assert await migrate(dsn) == list(range(2, LATEST + 1))


async def totals(dsn: str, window: Window) -> dict[str, Group]:
    reader = Reader(dsn)
    found = {}
    for name, _ in SERIES.values():
        for group in await reader.select(name, window):
            found[name] = group
    await reader.close()
    return found


async def roll_up_minutes(dsn: str) -> None:
    connection = await connect(dsn)
    while await roll_up(connection, 60):
        pass
    await connection.close()


async def test_what_the_first_version_wrote_is_kept(
    old: FirstVersion, database_url: str, at_version_one: pytest.MonkeyPatch
) -> None:
    await old.copy(NOW - 7000, 3)
    await old.copy(NOW - 3600, 4)
    await upgrade(database_url, at_version_one)
    await roll_up_minutes(database_url)
    found = await totals(database_url, Window(NOW - 7200, NOW))
    assert (found["latency"].count, found["latency"].sum, unpack(found["latency"].buckets)) == (7, 3.5, {3: 3, 4: 4})
    assert found["requests"].sum == 7
    assert (found["memory"].last, found["memory"].count) == (4, 2)


async def test_what_the_first_version_still_writes_is_there_at_once(
    old: FirstVersion, database_url: str, at_version_one: pytest.MonkeyPatch
) -> None:
    await upgrade(database_url, at_version_one)
    await old.copy(NOW + 10, 3)
    await old.merge(NOW + 10, 5)
    await old.merge(NOW + 20, 1)
    found = await totals(database_url, Window(NOW, NOW + 1800))
    assert (found["latency"].count, unpack(found["latency"].buckets)) == (9, {3: 3, 5: 5, 1: 1})
    assert (found["latency"].sum, found["latency"].min, found["latency"].max) == (4.5, 0.25, 0.75)
    assert found["requests"].sum == 9
    assert found["memory"].last == 1
    [row] = await old.connection.fetch("SELECT sum(count) FROM watchglass.metrics WHERE series_id = 1")
    assert row["sum"] == 9, "processes of the first version still see it as well"


async def test_nothing_is_counted_twice_when_an_old_row_grows_after_the_upgrade(
    old: FirstVersion, database_url: str, at_version_one: pytest.MonkeyPatch
) -> None:
    await old.copy(NOW - 1810, 3)
    await upgrade(database_url, at_version_one)
    await old.merge(NOW - 1810, 5)
    await old.copy(NOW - 1820, 2)
    await roll_up_minutes(database_url)
    found = await totals(database_url, Window(NOW - 3600, NOW))
    assert found["requests"].sum == 10
    assert unpack(found["latency"].buckets) == {3: 3, 5: 5, 2: 2}


async def test_what_the_first_version_writes_late_is_rolled_up_again(
    old: FirstVersion, database_url: str, at_version_one: pytest.MonkeyPatch
) -> None:
    await upgrade(database_url, at_version_one)
    await roll_up_minutes(database_url)
    await old.copy(NOW - 3700, 6)
    await roll_up_minutes(database_url)
    assert (await totals(database_url, Window(NOW - 7200, NOW)))["requests"].sum == 6


async def test_an_absurd_clock_of_a_process_does_not_stand_in_the_way(
    old: FirstVersion, database_url: str, at_version_one: pytest.MonkeyPatch
) -> None:
    await old.connection.execute("UPDATE watchglass.instances SET started_at = to_timestamp(5)")
    await upgrade(database_url, at_version_one)
    assert await old.connection.fetchval("SELECT count(*) FROM watchglass.partitions()") < 100


async def test_a_service_that_upgrades_by_itself_gives_the_others_what_they_need(
    postgres_server: PostgreSQL, old: FirstVersion, database_url: str, at_version_one: pytest.MonkeyPatch
) -> None:
    role = f"writer_{secrets.token_hex(4)}"
    superuser = f"{postgres_server.superuser_url.rpartition('/')[0]}/{database_url.rpartition('/')[2]}"
    execute(superuser, f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    await migrate(database_url, role)
    at_version_one.undo()
    connection = await connect(database_url)
    assert await migrations.upgrade(connection, database_url) == list(range(2, LATEST + 1))
    await connection.close()
    other = await asyncpg.connect(f"postgresql://{role}:x@{database_url.partition('@')[2]}")
    process = FirstVersion(other)
    await process.copy(NOW + 10, 3)
    await other.close()
    assert (await totals(database_url, Window(NOW, NOW + 1800)))["requests"].sum == 3
    execute(superuser, f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}")


async def test_a_process_of_the_first_version_finds_the_newer_schema_good(
    old: FirstVersion, database_url: str, at_version_one: pytest.MonkeyPatch
) -> None:
    await upgrade(database_url, at_version_one)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrations, "LATEST", 1)
        patch.setattr(migrations, "WRITER", 1)
        connection = await connect(database_url)
        assert await check(connection, database_url) == LATEST
        await connection.close()
