"""Where the server was read in the window, the checks are about the window, with what changed in it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx

from support.databases import execute
from support.past import Process
from support.pipelines import fetch
from watchglass import meters
from watchglass.demo import servers as demo
from watchglass.instrumentation.recorder import Recorder
from watchglass.jobs.postgresql import PostgreSQL
from watchglass.jobs.readings import Readings
from watchglass.meters import Meter

HEALTH = "/api/monitoring/postgres/health"
HOUR, DAY = 3600.0, 86_400.0
GIGABYTE = 1024.0**3

Start = Callable[..., Process]


async def ask(api: httpx.AsyncClient, name: str, **query: Any) -> Any:
    answer = await api.get(HEALTH, params=query)
    assert answer.status_code == 200, answer.text
    return next(one for one in answer.json()["checks"] if one["name"] == name)


def change(found: Any) -> float:
    """What the trend adds up to."""
    return sum(value or 0.0 for _, value in found["trend"])


async def counted(dsn: str, column: str, least: int) -> None:
    """Wait until PostgreSQL has counted so much: it does so a little later."""
    for _ in range(300):
        [row] = await asyncio.to_thread(
            fetch, dsn, f"SELECT {column} AS found FROM pg_stat_database WHERE datname = current_database()"
        )
        if row["found"] >= least:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"{column} is less than {least}")


async def deadlock(dsn: str) -> None:
    """Two transactions that wait for each other, until PostgreSQL ends one."""
    first, second = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    update = "UPDATE orders SET total = 0 WHERE id = $1"
    try:
        await first.execute("BEGIN")
        await second.execute("BEGIN")
        await first.execute(update, 1)
        await second.execute(update, 2)
        found = await asyncio.gather(first.execute(update, 2), second.execute(update, 1), return_exceptions=True)
    finally:
        await first.close()
        await second.close()
    assert [type(one) for one in found if isinstance(one, Exception)] == [asyncpg.DeadlockDetectedError]


async def test_deadlocks_of_the_window_are_told_from_those_before(
    api: httpx.AsyncClient, process: Start, store_url: str, now: float
) -> None:
    execute(
        store_url, "CREATE TABLE orders (id int PRIMARY KEY, total int)", "INSERT INTO orders VALUES (1, 0), (2, 0)"
    )
    await deadlock(store_url)
    await counted(store_url, "deadlocks", 1)
    elected = process(now - HOUR)
    server = PostgreSQL(store_url, Readings(elected.recorder))
    await server.read()
    await elected.flush(now - 240)
    found = await ask(api, "deadlocks")
    assert (found["state"], found["value"]) == ("good", 0)
    assert found["sentence"].startswith("No deadlock in the last 2 min (1 since ")
    await deadlock(store_url)
    await counted(store_url, "deadlocks", 2)
    text = "UPDATE orders SET total = ? WHERE id = ?"
    values = ("postgresql", "UPDATE", "UPDATE orders", text, None, "40P01")
    elected.recorder.histogram(meters.DB_CLIENT_OPERATION_DURATION, values).record(1.0)
    await server.read()
    await elected.flush(now - 120)
    await server.close()
    found = await ask(api, "deadlocks")
    assert (found["state"], found["value"], change(found)) == ("attention", 1, 1)
    assert "have all transactions lock their rows in one order" in found["sentence"]
    [row] = found["rows"]
    assert (row["statement"], row["errors"]) == (text, 1)


async def test_temporary_files_and_checkpoints_of_the_window_are_counted(
    api: httpx.AsyncClient, process: Start, store_url: str, now: float
) -> None:
    elected = process(now - HOUR)
    server = PostgreSQL(store_url, Readings(elected.recorder))
    await server.read()
    await elected.flush(now - 240)
    large = "SELECT i, repeat('x', 200) FROM generate_series(1, 100000) AS i ORDER BY i % 7"
    execute(store_url, "SET work_mem = '64kB'", f"DO $$ BEGIN PERFORM * FROM ({large}) AS sorted; END $$")
    await counted(store_url, "temp_files", 1)
    await server.read()
    elected.recorder.counter(meters.POSTGRESQL_CHECKPOINTS, ("requested",)).add(4)
    elected.recorder.counter(meters.POSTGRESQL_CHECKPOINTS, ("scheduled",)).add(1)
    await elected.flush(now - 120)
    await server.close()
    found = await ask(api, "temporary_files")
    assert found["state"] == "good"
    assert "in all were written in the last 4 min" in found["sentence"]
    assert found["value"] == change(found) > 10 * 1024**2
    found = await ask(api, "checkpoints")
    assert found["state"] == "attention"
    assert found["value"] >= 0.5
    assert change(found) >= 4


async def test_statements_that_spilled_are_named(
    api: httpx.AsyncClient, process: Start, store_url: str, now: float
) -> None:
    one, fingerprint = process(now - HOUR), "0123456789abcdef"

    def spill(recorder: Recorder) -> None:
        recorder.gauge(meters.POSTGRESQL_DB_SIZE).set(GIGABYTE)
        recorder.counter(meters.POSTGRESQL_TEMP_FILES).add(2)
        recorder.counter(meters.POSTGRESQL_TEMP_IO).add(GIGABYTE)
        recorder.counter(meters.STATEMENT_TEMP_WRITTEN, (fingerprint,)).add(131_072)

    await one.live(now - 600, now, spill)
    found = await ask(api, "temporary_files")
    assert found["state"] == "bad"
    assert found["command"] == "ALTER ROLE app SET work_mem = '1024MB';"
    assert found["rows"] == [{"statement": None, "fingerprint": fingerprint, "bytes": 10 * GIGABYTE}]


async def test_no_less_memory_is_advised_than_a_role_has(
    api: httpx.AsyncClient, process: Start, store_url: str, now: float, postgres_server: demo.PostgreSQL
) -> None:
    one, database = process(now - HOUR), store_url.rpartition("/")[2]

    def hash_batches(recorder: Recorder) -> None:
        recorder.gauge(meters.POSTGRESQL_DB_SIZE).set(GIGABYTE)
        recorder.counter(meters.POSTGRESQL_TEMP_FILES).add(10_000)
        recorder.counter(meters.POSTGRESQL_TEMP_IO).add(GIGABYTE)

    await one.live(now - 600, now, hash_batches)
    assert (await ask(api, "temporary_files"))["command"] == "ALTER ROLE app SET work_mem = '8MB';"
    for has, command in (("64MB", "ALTER ROLE app SET work_mem = '128MB';"), ("1GB", None)):
        execute(
            postgres_server.superuser_url,
            f"ALTER ROLE app IN DATABASE {database} SET work_mem = '{has}'",
            "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity "
            f"WHERE datname = '{database}' AND application_name = 'watchglass health'",
        )
        assert (await ask(api, "temporary_files"))["command"] == command


async def test_cache_hits_are_those_of_the_window(api: httpx.AsyncClient, process: Start, now: float) -> None:
    one = process(now - HOUR)

    def read(recorder: Recorder) -> None:
        recorder.gauge(meters.POSTGRESQL_DB_SIZE).set(GIGABYTE)
        recorder.counter(meters.POSTGRESQL_BLKS_HIT).add(9_500)
        recorder.counter(meters.POSTGRESQL_BLKS_READ).add(500)

    await one.live(now - 600, now, read)
    found = await ask(api, "cache_hit_ratio")
    assert (found["state"], found["value"]) == ("attention", 0.95)
    assert re.match(r"95 % of the blocks that were asked for in the last 1\d min were in shared_buf", found["sentence"])
    assert {value for _, value in found["trend"]} == {None, 0.95}


async def test_growth_says_until_when_the_disk_lasts(
    api: httpx.AsyncClient, process: Start, store_url: str, now: float
) -> None:
    execute(store_url, "CREATE TABLE orders AS SELECT i FROM generate_series(1, 100000) AS i", "ANALYZE orders")
    one, grown = process(now - 3 * DAY), iter(range(1000))

    def grow(recorder: Recorder) -> None:
        size = 100 + 0.25 * next(grown)  # gigabytes, a quarter each three hours
        recorder.gauge(meters.POSTGRESQL_DB_SIZE).set(size * GIGABYTE)
        recorder.gauge(meters.POSTGRESQL_TABLE_SIZE, ("public.orders",)).set(size * GIGABYTE / 2)
        recorder.gauge(meters.POSTGRESQL_INDEX_SIZE, ("public.orders",)).set(size * GIGABYTE / 4)
        recorder.gauge(meters.SYSTEM_FILESYSTEM_LIMIT).set(200 * GIGABYTE)
        recorder.gauge(meters.SYSTEM_FILESYSTEM_UTILIZATION).set(0.8)

    await one.live(now - 3 * DAY, now - 120, grow, every=3 * HOUR)
    await one.flush(now - 120)
    await one.flush(now)
    found = await ask(api, "growth", range="24h")
    assert found["state"] == "attention", found["sentence"]  # 40 GB free, 2 GB a day
    assert "grows by 14 GB a week" in found["sentence"]
    assert "has 40 GB free: enough until " in found["sentence"]
    [row] = [row for row in found["rows"] if row["table"] == "public.orders"]
    assert abs(row["week"] - 10.5 * GIGABYTE) < GIGABYTE  # a slot is dated by its start
    assert len([value for _, value in found["trend"] if value]) >= 10


async def test_a_young_history_says_nothing_of_a_week(api: httpx.AsyncClient, process: Start, now: float) -> None:
    one = process(now - HOUR)
    await one.live(now - 600, now, lambda recorder: recorder.gauge(meters.POSTGRESQL_DB_SIZE).set(3 * GIGABYTE))
    found = await ask(api, "growth")
    assert (found["state"], found["value"]) == ("good", 3 * GIGABYTE)
    assert found["sentence"].startswith("The database has 3 GB. How fast it grows is known after some hours.")


async def test_the_largest_tables_are_read_once_in_ten_minutes_and_are_absent_when_gone(store_url: str) -> None:
    recorder = Recorder()
    execute(
        store_url, "CREATE TABLE orders AS SELECT i FROM generate_series(1, 1000) AS i", "CREATE INDEX ON orders (i)"
    )
    server = PostgreSQL(store_url, Readings(recorder))
    await server.read()
    before = sizes(recorder, meters.POSTGRESQL_TABLE_SIZE)
    assert before["public.orders"] > 0
    assert sizes(recorder, meters.POSTGRESQL_INDEX_SIZE)["public.orders"] > 0
    execute(store_url, "DROP TABLE orders")
    await server.read()
    assert sizes(recorder, meters.POSTGRESQL_TABLE_SIZE) == before
    await server.close()
    await server.read()  # on another connection
    assert "public.orders" not in sizes(recorder, meters.POSTGRESQL_TABLE_SIZE)
    await server.close()


def sizes(recorder: Recorder, meter: Meter) -> dict[str | None, float]:
    return {
        state.values[0]: state.sum for state in recorder.collect() if state.meter is meter and state.sum is not None
    }
