"""PostgreSQL and Redis say how they are; when they say nothing, nothing is shown."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest
import redis

from support.databases import execute
from watchglass import meters
from watchglass.demo.servers import PostgreSQL, Redis
from watchglass.instrumentation.recorder import Recorder
from watchglass.jobs import postgresql
from watchglass.jobs.snapshots import Snapshots
from watchglass.meters import Meter
from watchglass.settings import Settings


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def snapshots(database_url: str, redis_url: str, recorder: Recorder) -> AsyncIterator[Snapshots]:
    snapshots = Snapshots(Settings(app_database_url=database_url, redis_url=redis_url), recorder)
    yield snapshots
    await snapshots.forget()


def shown(recorder: Recorder, meter: Meter) -> dict[str | None, float]:
    return {
        state.values[0] if state.values else None: state.sum for state in recorder.collect() if state.meter is meter
    }


async def test_redis_says_what_it_holds(snapshots: Snapshots, recorder: Recorder, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        await snapshots.take()
        client.set("a", "x" * 1000)
        client.set("b", "1")
        for key in ("a", "a", "missing"):
            client.get(key)
        client.set("c", "1", px=1)
        client.select(3)
        client.set("d", "1")
        await asyncio.sleep(0.05)
        client.select(0)
        client.get("c")
        await snapshots.take()
    assert shown(recorder, meters.REDIS_KEYS) == {None: 3}
    assert shown(recorder, meters.REDIS_KEYSPACE_HITS) == {None: 2}
    assert shown(recorder, meters.REDIS_KEYSPACE_MISSES) == {None: 2}
    assert shown(recorder, meters.REDIS_KEYS_EXPIRED) == {None: 1}
    assert shown(recorder, meters.REDIS_KEYS_EVICTED) == {None: 0}
    assert shown(recorder, meters.REDIS_MEMORY_USED)[None] > 100_000
    assert shown(recorder, meters.REDIS_MEMORY_MAX)[None] >= 0
    assert shown(recorder, meters.REDIS_CLIENTS_CONNECTED)[None] >= 1
    assert shown(recorder, meters.REDIS_UPTIME)[None] >= 0
    assert snapshots.problems == {}


async def test_it_is_known_whether_it_is_redis_or_valkey(snapshots: Snapshots, redis_server: Redis) -> None:
    await snapshots.take()
    with redis.Redis.from_url(redis_server.url) as client:
        info = client.info()
    expected = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info['redis_version']}"
    assert snapshots.facts["redis"]["engine"] == expected


async def test_counters_that_were_reset_count_from_zero(
    snapshots: Snapshots, recorder: Recorder, redis_url: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        await snapshots.take()
        client.get("missing")
        client.get("missing")
        await snapshots.take()
        client.config_resetstat()
        client.get("missing")
        await snapshots.take()
    assert shown(recorder, meters.REDIS_KEYSPACE_MISSES) == {None: 3}


async def test_a_restarted_redis_counts_from_zero(database_url: str, recorder: Recorder) -> None:
    snapshots = Snapshots(Settings(app_database_url=database_url), recorder)
    for _ in range(2):
        with Redis() as server:
            snapshots._servers["redis"][0]._url = server.url  # type: ignore[attr-defined]
            with redis.Redis.from_url(server.url) as client:
                if recorder.collect():
                    client.get("missing")  # as often as before the restart
                await snapshots.take()
                client.get("missing")
                await snapshots.take()
                assert snapshots.problems == {}
    await snapshots.forget()
    assert shown(recorder, meters.REDIS_KEYSPACE_MISSES) == {None: 3}


async def test_postgresql_says_how_it_is(snapshots: Snapshots, recorder: Recorder, database_url: str) -> None:
    await snapshots.take()
    assert shown(recorder, meters.POSTGRESQL_CONNECTION_MAX)[None] >= 10
    assert shown(recorder, meters.POSTGRESQL_DB_SIZE)[None] > 1_000_000
    execute(database_url, "CREATE TABLE t AS SELECT generate_series(1, 10000)", "SELECT count(*) FROM t", "ANALYZE t")
    for _ in range(300):  # before 15 a process of its own collects what is counted, when it gets to it
        await snapshots.take()
        if shown(recorder, meters.POSTGRESQL_BLKS_HIT)[None] > 40:
            break
        await asyncio.sleep(0.1)
    assert shown(recorder, meters.POSTGRESQL_COMMITS)[None] >= 3
    assert shown(recorder, meters.POSTGRESQL_BLKS_HIT)[None] > 40
    assert shown(recorder, meters.POSTGRESQL_ROLLBACKS) == {None: 0}
    assert snapshots.facts["postgresql"]["version"].split(".")[0].isdigit()


async def test_the_size_of_the_database_is_asked_for_seldom(
    snapshots: Snapshots, recorder: Recorder, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await snapshots.take()
    before = shown(recorder, meters.POSTGRESQL_DB_SIZE)[None]
    execute(database_url, "CREATE TABLE t AS SELECT repeat('x', 500) FROM generate_series(1, 10000)")
    await snapshots.take()
    assert shown(recorder, meters.POSTGRESQL_DB_SIZE)[None] == before
    monkeypatch.setattr(postgresql, "SIZE_SECONDS", 0.0)
    await snapshots.take()
    assert shown(recorder, meters.POSTGRESQL_DB_SIZE)[None] > before + 4_000_000


async def test_connections_are_counted_by_state(snapshots: Snapshots, recorder: Recorder, database_url: str) -> None:
    idle, busy = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    await busy.execute("BEGIN")
    await snapshots.take()
    states = shown(recorder, meters.POSTGRESQL_BACKENDS)
    assert states == {
        "active": 1,
        "idle": 1,
        "idle in transaction": 1,
        "idle in transaction (aborted)": 0,
        "unknown": 0,
    }
    await busy.close()
    await idle.close()
    await snapshots.take()
    assert shown(recorder, meters.POSTGRESQL_BACKENDS)["idle"] == 0
    assert snapshots.facts["postgresql"]["note"] is None


async def test_connections_of_other_roles_count_without_their_state(
    snapshots: Snapshots, recorder: Recorder, database_url: str, postgres_server: PostgreSQL
) -> None:
    other = await asyncpg.connect(
        postgres_server.superuser_url.rpartition("/")[0] + "/" + database_url.rpartition("/")[2]
    )
    try:
        await snapshots.take()
    finally:
        await other.close()
    states = shown(recorder, meters.POSTGRESQL_BACKENDS)
    assert (states["active"], states["unknown"]) == (1, 1)
    note = snapshots.facts["postgresql"]["note"]
    assert note == "The role app does not see the state of 1 of 2 connections. To see them: GRANT pg_monitor TO app;"


async def test_what_does_not_answer_is_absent_and_says_why(
    database_url: str, redis_url: str, recorder: Recorder, free_port: int
) -> None:
    snapshots = Snapshots(Settings(app_database_url=database_url, redis_url=redis_url), recorder)
    await snapshots.take()
    assert shown(recorder, meters.REDIS_MEMORY_USED)
    assert shown(recorder, meters.POSTGRESQL_DB_SIZE)
    snapshots._servers["redis"][0]._url = f"redis://user:secret@127.0.0.1:{free_port}/0"  # type: ignore[attr-defined]
    snapshots._servers["postgresql"][0]._dsn = database_url.replace("app:", "app:wrong")  # type: ignore[attr-defined]
    await snapshots._servers["postgresql"][0].close()
    await snapshots.take()
    for meter in (meters.REDIS_MEMORY_USED, meters.REDIS_KEYS, meters.POSTGRESQL_DB_SIZE, meters.POSTGRESQL_BACKENDS):
        assert shown(recorder, meter) == {}
    assert snapshots.problems["redis"] == f"Redis at 127.0.0.1:{free_port} cannot be used: nothing listens there."
    assert snapshots.problems["postgresql"].endswith("does not answer: the password of the role app is wrong.")
    await snapshots.forget()


async def test_without_redis_it_is_said_that_none_is_set(database_url: str, recorder: Recorder) -> None:
    snapshots = Snapshots(Settings(app_database_url=database_url), recorder)
    await snapshots.take()
    assert snapshots.problems == {"redis": "No Redis is set: REDIS_URL=redis://host:6379/0."}
    await snapshots.forget()


async def test_a_redis_that_is_silent_costs_seconds_only(database_url: str, recorder: Recorder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        snapshots = Snapshots(Settings(app_database_url=database_url, redis_url=url), recorder)
        began = time.monotonic()
        await snapshots.take()
        assert time.monotonic() - began < 7
    assert snapshots.problems["redis"]
    assert shown(recorder, meters.POSTGRESQL_DB_SIZE)
    await snapshots.forget()


async def test_no_longer_elected_means_absent_gauges_and_a_new_beginning(
    snapshots: Snapshots, recorder: Recorder, redis_url: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        await snapshots.take()
        await snapshots.forget()
        assert shown(recorder, meters.REDIS_MEMORY_USED) == {}
        assert shown(recorder, meters.POSTGRESQL_BACKENDS) == {}
        client.get("missing")  # somebody else counts this one
        await snapshots.take()
    assert shown(recorder, meters.REDIS_KEYSPACE_MISSES) in ({}, {None: 0})
