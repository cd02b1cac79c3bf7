"""The host's statements on its own tables never wait for Watchglass, whatever is maintained and whoever is in the way.

The host works on its tables, makes and changes some, and has long transactions open: one that has read all of ours, as
pg_dump does, one that keeps a snapshot, one that changed a row and is idle, one that has a table for itself. Around
each step of maintenance it is looked who waits for whom, two hundred times a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from support.host import Host, in_the_way
from support.partitions import add_partition, this_hour
from support.past import Process, request
from watchglass import sql
from watchglass.errors import DatabaseUnavailable
from watchglass.jobs.retention import maintain
from watchglass.settings import Settings
from watchglass.store import migrations
from watchglass.store.connection import connect
from watchglass.store.migrations import LATEST, check, migrate

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

PATIENCE = 10.0
"""Seconds after which maintenance has certainly given up on a busy machine; its own bound for a lock is 0.2 s."""


@pytest.fixture
async def host(store_url: str) -> AsyncIterator[Host]:
    """At work in the database of the store."""
    async with Host(store_url) as host:
        await host.more()
        yield host


@pytest.fixture
async def ours(store_url: str) -> AsyncIterator[Connection]:
    """The connection of the elected process."""
    connection = await connect(store_url, application_name="watchglass writer")
    yield connection
    await connection.close()


async def check_host(host: Host) -> None:
    """It went on, and nothing of ours was ever in its way."""
    await host.more()
    assert host.samples > 10
    assert host.blocked == []
    assert host.slowest < PATIENCE


async def maintained(connection: Connection) -> list[str]:
    """What one round of maintenance dropped; it is over soon, whoever is in the way."""
    async with asyncio.timeout(PATIENCE):
        return await maintain(connection, Settings())


async def test_the_host_notices_if_ours_is_in_its_way(host: Host, ours: Connection) -> None:
    """What the other tests rely on."""
    async with ours.transaction():
        await ours.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        await asyncio.sleep(0.5)
    await host.more()
    assert {by for _, by in host.blocked} == {"LOCK TABLE orders IN ACCESS EXCLUSIVE MODE"}
    assert host.slowest > 0.3


THERE = "SELECT name FROM watchglass.partitions()"
AHEAD = f"{THERE} WHERE lower > now() + interval '2 hours'"


async def test_creating_partitions_waits_for_nobody(host: Host, ours: Connection) -> None:
    await maintained(ours)
    wanted = await ours.fetch(AHEAD)
    assert wanted
    for row in wanted:
        await ours.execute(f"DROP TABLE watchglass.{row['name']}")
    async with in_the_way(host):
        await maintained(ours)
        assert set(wanted) <= set(await ours.fetch(THERE))
        await host.more()
    await check_host(host)


async def expired_partition(connection: Connection) -> str:
    """A new one of logs of long ago; its name."""
    return await add_partition(connection, "logs", this_hour() - timedelta(days=20))


async def test_dropping_what_has_expired_gives_up_and_is_done_later(host: Host, ours: Connection) -> None:
    name = await expired_partition(ours)
    async with in_the_way(host):
        for _ in range(3):
            assert await maintained(ours) == []
        await host.more()
    assert await maintained(ours) == [name]
    await check_host(host)


async def test_who_reads_ours_waits_no_longer_than_an_attempt_to_drop_does(host: Host, ours: Connection) -> None:
    """Another dump, or a query by hand, queues behind an attempt that itself waits, and gets through between two."""
    name = await expired_partition(ours)
    reader = await host.session()
    await reader.execute("SET statement_timeout = '5s'")
    async with in_the_way(host):
        attempts = asyncio.create_task(attempt(ours, 5))
        reads = 0
        while not attempts.done():
            assert await reader.fetchval("SELECT count(*) FROM watchglass.logs") == 0
            reads += 1
        await attempts
    await reader.close()
    assert reads >= 5
    assert await maintained(ours) == [name]


async def attempt(connection: Connection, times: int) -> None:
    for _ in range(times):
        assert await maintained(connection) == []


async def test_writing_and_rolling_up_wait_for_nobody(host: Host, ours: Connection, store_url: str) -> None:
    now = time.time()
    past = Process(store_url, now - 3 * 3600)
    async with in_the_way(host), asyncio.timeout(PATIENCE):
        await past.live(now - 3 * 3600, now - 3600, lambda recorder: request(recorder, "/a", 0.1), every=600)
        assert await ours.fetchval("SELECT count(DISTINCT time) FROM watchglass.metrics_1m") > 2
        await host.more()
    await past.close()
    await check_host(host)


async def test_migrating_gives_up_and_is_done_later(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first version to the latest: what changes of ours is locked, of the host's nothing."""
    monkeypatch.setattr(migrations, "_LOCK_SECONDS", 0.3)
    async with Host(database_url) as host:
        await first_version(host)
        async with in_the_way(host):
            for _ in range(3):
                with pytest.raises(DatabaseUnavailable, match="a lock was not free in time"):
                    await migrate(database_url)
            await host.more()
        assert await migrate(database_url) == list(range(2, LATEST + 1))
        await check_host(host)
    connection = await connect(database_url)
    assert await check(connection, database_url) == LATEST
    await connection.close()


async def first_version(host: Host) -> None:
    connection = await host.session()
    await connection.execute(sql.load("migrations")["create_schema"])
    await connection.execute(sql.migrations()[1])
    await connection.close()
