"""Everything works behind pgbouncer in transaction mode, where no session is anybody's own."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator

import pytest

from support.pgbouncer import PgBouncer
from support.programs import need
from watchglass.analysis.windows import Window
from watchglass.jobs.lease import Lease
from watchglass.jobs.retention import maintain
from watchglass.records import Batch, Instance, LogRecord, Point, Series
from watchglass.settings import Settings
from watchglass.store.access import Access
from watchglass.store.connection import connect
from watchglass.store.migrations import migrate
from watchglass.store.reader import Reader
from watchglass.store.writer import Writer

NOW = int(time.time()) // 10 * 10


@pytest.fixture
def pooled_url(database_url: str) -> Iterator[str]:
    with PgBouncer(need("pgbouncer", package="pgbouncer"), database_url) as pgbouncer:
        yield pgbouncer.url


def instance() -> Instance:
    return Instance("shop", "", "1.0", os.urandom(8).hex(), "host", 1, NOW - 20.0)


def batch(sequence: int) -> Batch:
    points = [Point(Series("c", "counter", "1", (("n", str(n)),)), NOW + 10 * sequence, 1, 1.0) for n in range(20)]
    return Batch(sequence, points, [LogRecord(time.time_ns(), 9, "INFO", "l", "m", {})] * 5)


async def test_processes_migrate_at_once_and_write_and_read(pooled_url: str) -> None:
    await asyncio.gather(*(migrate(pooled_url) for _ in range(4)))
    writers = [Writer(pooled_url, instance()) for _ in range(5)]
    await asyncio.gather(*(writer.open() for writer in writers))
    reader, access = Reader(pooled_url), Access(pooled_url)

    async def write(writer: Writer) -> None:
        for sequence in range(1, 11):
            for _ in range(2):  # a retry changes nothing
                await writer.write(batch(sequence))

    async def read() -> None:
        for _ in range(20):
            await reader.select("c", Window(0, NOW + 1000), by=("n",))
            assert await access.use_login_token(await access.new_login_token())

    await asyncio.gather(read(), *(write(writer) for writer in writers))
    assert sum(group.sum for group in await reader.select("c", Window(0, NOW + 1000))) == 5 * 10 * 20
    assert len(await reader.instances(Window(0, NOW + 1000))) == 5
    await asyncio.gather(reader.close(), access.close(), *(writer.close() for writer in writers))


async def test_one_holds_the_lease_and_maintains(pooled_url: str) -> None:
    await migrate(pooled_url)
    connections = await asyncio.gather(*(connect(pooled_url) for _ in range(4)))
    leases = [Lease("jobs", str(number), seconds=0.5) for number in range(4)]
    for _ in range(5):
        held = await asyncio.gather(*(one.renew(c) for one, c in zip(leases, connections, strict=True)))
        assert sum(held) == 1
    await asyncio.sleep(0.6)
    [epoch] = [one.epoch for one in leases if one.epoch]
    late = leases[held.index(False)]
    assert await late.renew(connections[0])
    assert late.epoch == epoch + 1
    await maintain(connections[1], Settings())
    for connection in connections:
        await connection.close()


async def test_nothing_is_left_on_the_sessions_that_others_use_next(pooled_url: str) -> None:
    await migrate(pooled_url)
    writer = Writer(pooled_url, instance())
    await writer.open()
    await writer.write(batch(1))
    await writer.close()
    host = await connect(pooled_url)
    for name, expected in (("statement_timeout", "0"), ("lock_timeout", "0"), ("search_path", '"$user", public')):
        assert await host.fetchval("SELECT current_setting($1)", name) == expected
    assert await host.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
    await host.close()
