"""What the service's database says of its health is bounded, and right for odd names, TOAST and other databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from support.databases import execute, fresh_database
from support.pipelines import fetch, until
from watchglass.analysis.postgresql_health import DeadTuples
from watchglass.demo.servers import PostgreSQL
from watchglass.errors import DatabaseUnavailable
from watchglass.store import postgresql_health as health
from watchglass.store.database import Database

ODD = '"Shop, ""old"""."Orders; --"'


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


def dead_rows_are_counted(dsn: str, relation: str, least: int) -> None:
    """Wait for it: PostgreSQL's figures come a little later."""
    query = f"SELECT pg_stat_get_dead_tuples({relation}) AS dead"
    until(lambda: fetch(dsn, query)[0]["dead"] >= least)


def of(tables: list[DeadTuples], name: str, toast: bool = False) -> DeadTuples:
    [found] = [one for one in tables if (one.table, one.toast) == (name, toast)]
    return found


async def test_many_tables_give_short_answers(database: Database, database_url: str) -> None:
    tables = [f"CREATE TABLE t{number} AS SELECT i FROM generate_series(1, 20) AS i" for number in range(150)]
    deletes = [f"DELETE FROM t{number}" for number in range(150)]
    execute(database_url, *tables, *deletes)
    dead_rows_are_counted(database_url, "'t149'::regclass", 20)
    found = await health.dead_tuples(database)
    assert len(found) == health.MOST
    assert found[0].tables >= 150
    assert len(await health.sizes(database)) == health.MOST
    assert len(await health.table_ages(database)) == health.MOST


async def test_what_is_advised_for_an_odd_name_can_be_run(database: Database, database_url: str) -> None:
    make = f"CREATE TABLE {ODD} (id int) WITH (autovacuum_enabled = off)"
    fill = f"INSERT INTO {ODD} SELECT generate_series(1, 100)"
    execute(database_url, f"CREATE SCHEMA {ODD.rpartition('.')[0]}", make, fill, f"DELETE FROM {ODD}")
    dead_rows_are_counted(database_url, f"'{ODD}'::regclass", 100)
    one = of(await health.dead_tuples(database), ODD)
    assert not one.enabled
    reset, vacuum = one.remedy.split("; VACUUM")
    execute(database_url, reset, f"VACUUM{vacuum}")
    until(lambda: fetch(database_url, f"SELECT pg_stat_get_dead_tuples('{ODD}'::regclass) AS dead")[0]["dead"] == 0)
    assert ODD in {one.table for one in await health.sizes(database)}


async def test_dead_rows_of_a_toast_are_those_of_its_table(database: Database, database_url: str) -> None:
    execute(
        database_url,
        "CREATE TABLE notes (id int, text text) WITH (autovacuum_enabled = off, toast.autovacuum_enabled = off)",
        "ALTER TABLE notes ALTER text SET STORAGE EXTERNAL",
        "INSERT INTO notes SELECT i, repeat('x', 10000) FROM generate_series(1, 100) AS i",
        "DELETE FROM notes",
    )
    toast = "(SELECT reltoastrelid FROM pg_class WHERE oid = 'notes'::regclass)"
    dead_rows_are_counted(database_url, toast, 500)
    one = of(await health.dead_tuples(database), "public.notes", toast=True)
    assert one.dead >= 500
    assert one.remedy == ("ALTER TABLE public.notes RESET (toast.autovacuum_enabled); VACUUM (ANALYZE) public.notes;")


async def test_a_threshold_has_the_bound_that_newer_versions_give_it(database: Database, database_url: str) -> None:
    execute(database_url, "CREATE TABLE orders AS SELECT i FROM generate_series(1, 100000) AS i", "ANALYZE orders")
    [row] = fetch(database_url, "SELECT current_setting('server_version_num')::int / 10000 AS major")
    own = "autovacuum_vacuum_scale_factor = 0.5"
    if row["major"] >= 18:
        own += ", autovacuum_vacuum_max_threshold = 1234"
    execute(database_url, f"ALTER TABLE orders SET ({own})", "DELETE FROM orders WHERE i <= 50")
    dead_rows_are_counted(database_url, "'orders'::regclass", 50)
    one = of(await health.dead_tuples(database), "public.orders")
    assert one.own
    assert one.threshold == (1234 if row["major"] >= 18 else 50_050)


async def test_transactions_of_another_database_keep_nothing_here(
    database: Database, database_url: str, postgres_server: PostgreSQL
) -> None:
    with fresh_database(postgres_server) as other:
        there, here = await asyncpg.connect(other), await asyncpg.connect(database_url)
        try:
            for session in (there, here):
                await session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_class LIMIT 1")
            found = [one.name for one in await health.horizon(database) if one.kind == "session"]
            assert str(here.get_server_pid()) in found
            assert str(there.get_server_pid()) not in found
        finally:
            there.terminate()
            here.terminate()


async def test_sizes_wait_for_no_lock_that_is_asked_for_behind_another(database: Database, database_url: str) -> None:
    execute(database_url, "CREATE TABLE orders AS SELECT i FROM generate_series(1, 1000) AS i")
    reader, changer = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    try:
        await reader.execute("BEGIN; SELECT FROM orders")
        await changer.execute("SET lock_timeout = '60s'; BEGIN")
        waiting = changer.execute("ALTER TABLE orders ADD COLUMN total int")
        task = asyncio.ensure_future(waiting)
        waits = f"SELECT wait_event_type AS waits FROM pg_stat_activity WHERE pid = {changer.get_server_pid()}"
        await asyncio.to_thread(until, lambda: fetch(database_url, waits)[0]["waits"] == "Lock")
        assert "public.orders" not in {one.table for one in await health.sizes(database)}
        await reader.execute("ROLLBACK")
        await task
        await changer.execute("COMMIT")
        assert "public.orders" in {one.table for one in await health.sizes(database)}
    finally:
        reader.terminate()
        changer.terminate()


async def test_a_database_that_is_away_is_said_so(free_port: int) -> None:
    database = Database(f"postgresql://app@127.0.0.1:{free_port}/shop")
    with pytest.raises(DatabaseUnavailable):
        await health.server(database)
    await database.close()
