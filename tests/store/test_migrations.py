"""The schema comes by itself, or by an owner's hand, and the host's own tables are never touched."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Iterator

import asyncpg
import pytest

from support.databases import execute
from watchglass import sql
from watchglass.demo.servers import PostgreSQL
from watchglass.errors import DatabaseUnavailable, SchemaForbidden, SchemaMissing, WriterTooOld
from watchglass.jobs.retention import limit, maintain
from watchglass.jobs.rollup import roll_up_all
from watchglass.jobs.text_index import index_text
from watchglass.records import Batch, Instance, LogRecord, Point, Series
from watchglass.settings import Settings
from watchglass.store import migrations
from watchglass.store.access import Access
from watchglass.store.connection import connect
from watchglass.store.migrations import LATEST, check, migrate
from watchglass.store.writer import Writer


def instance() -> Instance:
    return Instance("shop", "", "1.0", os.urandom(8).hex(), "host", 1, time.time())


def batch() -> Batch:
    now = int(time.time()) // 10 * 10
    return Batch(
        1, [Point(Series("c", "counter", "1", ()), now, 1, 1.0)], [LogRecord(time.time_ns(), 9, "INFO", "l", "m", {})]
    )


@pytest.fixture
def poor_url(postgres_server: PostgreSQL, database_url: str) -> Iterator[str]:
    """The database as a role that may do nothing but connect."""
    role, database = f"poor_{secrets.token_hex(4)}", database_url.rpartition("/")[2]
    superuser = f"{postgres_server.superuser_url.rpartition('/')[0]}/{database}"
    execute(superuser, f"CREATE ROLE {role} LOGIN PASSWORD 'x'", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    yield f"postgresql://{role}:x@{database_url.partition('@')[2]}"
    execute(superuser, f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}")


async def written(dsn: str) -> tuple[int, int]:
    connection = await asyncpg.connect(dsn)
    try:
        return (
            await connection.fetchval("SELECT count(*) FROM watchglass.metrics_flat"),
            await connection.fetchval("SELECT count(*) FROM watchglass.logs"),
        )
    finally:
        await connection.close()


async def test_it_is_done_once(database_url: str) -> None:
    assert await migrate(database_url) == list(range(1, LATEST + 1))
    assert await migrate(database_url) == []


async def test_processes_that_migrate_at_once_are_safe(database_url: str) -> None:
    applied = await asyncio.gather(*(migrate(database_url) for _ in range(6)))
    assert sorted(version for versions in applied for version in versions) == list(range(1, LATEST + 1))


async def test_a_process_that_serves_migrates_by_itself(database_url: str) -> None:
    writer = Writer(database_url, instance())
    await writer.open()
    await writer.write(batch())
    await writer.close()
    assert await written(database_url) == (1, 1)


@pytest.mark.parametrize("mode", ["check", "off"])
async def test_without_auto_nothing_is_made(database_url: str, mode: migrations.Mode) -> None:
    writer = Writer(database_url, instance(), migrate=mode)
    with pytest.raises(SchemaMissing, match="Run `watchglass migrate`"):
        await writer.open()
    assert not writer.is_open
    await migrate(database_url)
    await writer.open()
    await writer.write(batch())
    await writer.close()


async def test_a_role_that_may_only_connect_is_told_what_an_owner_has_to_run(poor_url: str, database_url: str) -> None:
    role = poor_url.split("/")[2].partition(":")[0]
    writer = Writer(poor_url, instance())
    with pytest.raises(SchemaForbidden) as caught:
        await writer.open()
    statement = f"CREATE SCHEMA watchglass AUTHORIZATION {role};"
    assert statement in str(caught.value)
    assert f"watchglass migrate --role {role}" in str(caught.value)
    assert ":x@" not in str(caught.value)


async def test_the_statement_that_is_named_is_enough(
    poor_url: str, database_url: str, postgres_server: PostgreSQL
) -> None:
    writer = Writer(poor_url, instance())
    with pytest.raises(SchemaForbidden) as caught:
        await writer.open()
    statement = str(caught.value.fields["statement"]).partition(" -- ")[0]
    execute(f"{postgres_server.superuser_url.rpartition('/')[0]}/{database_url.rpartition('/')[2]}", statement)
    await writer.open()
    await writer.write(batch())
    await writer.close()
    assert await written(poor_url) == (1, 1)


FILL_AN_OLD_HOUR = (
    "SELECT watchglass.add_partition('logs', 'logs_2001010100', '2001-01-01 00:00Z', '2001-01-01 01:00Z')",
    "INSERT INTO watchglass.logs"
    " SELECT '2001-01-01 00:30Z', 1, 1, i, 9, 'INFO', 'l', md5(i::text) || repeat('.', 1500), '{}'"
    " FROM generate_series(1, 12000) AS i",
)
"""More than 16 MB."""


async def test_a_role_that_owns_nothing_works_once_an_owner_has_migrated(poor_url: str, database_url: str) -> None:
    role = poor_url.split("/")[2].partition(":")[0]
    await migrate(database_url, role)
    writer = Writer(poor_url, instance())
    await writer.open()
    await writer.write(batch())
    await writer.write(Batch(2, [Point(Series("c", "counter", "1", ()), int(time.time()) - 4000, 1, 1.0)]))
    assert await roll_up_all(writer.borrow) > 0, "what came late is rolled up by a role that owns nothing"
    async with writer.borrow() as connection:
        await maintain(connection, Settings())
    await writer.close()
    execute(database_url, *FILL_AN_OLD_HOUR)
    connection = await asyncpg.connect(poor_url)
    assert await limit(connection, Settings(retention_logs_bytes=16 * 1024**2)) == ["logs_2001010100"]
    await connection.close()
    assert await written(poor_url) == (2, 1)
    access = Access(poor_url)
    assert await access.use_login_token(await access.new_login_token())
    await access.audit("a", "b")
    await access.close()


async def test_that_role_has_text_indexed(poor_url: str, database_url: str) -> None:
    await migrate(database_url, poor_url.split("/")[2].partition(":")[0])
    connection = await asyncpg.connect(database_url)
    there = await connection.fetchval("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm')")
    await connection.close()
    if not there:
        pytest.skip("this PostgreSQL comes without pg_trgm")
    execute(database_url, "CREATE EXTENSION pg_trgm", *FILL_AN_OLD_HOUR)
    assert await index_text(poor_url, 8192) == ["logs_2001010100"]


async def test_that_role_may_do_no_more_than_it_needs(poor_url: str, database_url: str) -> None:
    role = poor_url.split("/")[2].partition(":")[0]
    await migrate(database_url, role)
    connection = await asyncpg.connect(poor_url)
    for refused in (
        "DROP TABLE watchglass.metrics",
        "CREATE TABLE watchglass.mine ()",
        "UPDATE watchglass.migrations SET min_writer = 99",
        "DELETE FROM watchglass.audit",
        "SELECT watchglass.grant_to('app')",
        "ALTER FUNCTION watchglass.create_partitions() RESET ALL",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(refused)
    await connection.close()


async def test_nobody_else_may_maintain(poor_url: str, database_url: str) -> None:
    await migrate(database_url)
    connection = await asyncpg.connect(database_url)
    await connection.execute("GRANT USAGE ON SCHEMA watchglass TO PUBLIC")
    await connection.close()
    connection = await asyncpg.connect(poor_url)
    for refused in (
        "SELECT watchglass.create_partitions()",
        "SELECT watchglass.drop_expired_partition(1, 1)",
        "SELECT watchglass.drop_expired_partition('{}')",
        "SELECT watchglass.drop_oversized_partition('{}')",
        "SELECT watchglass.divide_partitions('{}')",
        "SELECT watchglass.index_text(1, 1)",
        "SELECT watchglass.add_partition('logs', 'mine', now(), now())",
        "SELECT * FROM watchglass.metrics",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(refused)
    await connection.close()


async def test_what_runs_as_the_owner_looks_nothing_up_in_the_callers_path(poor_url: str, database_url: str) -> None:
    await migrate(database_url)
    connection = await asyncpg.connect(database_url)
    settings = await connection.fetch(
        "SELECT proconfig FROM pg_proc WHERE pronamespace = 'watchglass'::regnamespace AND prosecdef"
    )
    await connection.close()
    assert len(settings) == 6
    assert all("search_path=pg_catalog, pg_temp" in row["proconfig"] for row in settings)


async def test_a_role_without_grants_on_an_existing_schema_is_told_so(poor_url: str, database_url: str) -> None:
    await migrate(database_url)
    role = poor_url.split("/")[2].partition(":")[0]
    writer = Writer(poor_url, instance())
    with pytest.raises(SchemaForbidden, match=f"watchglass migrate --role {role} -- with the URL of app"):
        await writer.open()


async def test_a_later_migration_grants_again(poor_url: str, database_url: str) -> None:
    role = poor_url.split("/")[2].partition(":")[0]
    await migrate(database_url, role)
    connection = await asyncpg.connect(database_url)
    await connection.execute("CREATE TABLE watchglass.later (id int)")
    await connection.close()
    await migrate(database_url)
    connection = await asyncpg.connect(poor_url)
    assert await connection.fetch("SELECT * FROM watchglass.later") == []
    await connection.close()


async def test_the_tables_of_the_service_are_neither_touched_nor_locked(database_url: str) -> None:
    host = await asyncpg.connect(database_url)
    await host.execute("CREATE TABLE documents (id int)")
    transaction = host.transaction()
    await transaction.start()
    await host.execute("LOCK TABLE documents IN ACCESS EXCLUSIVE MODE")
    began = time.monotonic()
    writer = Writer(database_url, instance())
    await writer.open()
    await writer.write(batch())
    await writer.close()
    assert time.monotonic() - began < 5
    await transaction.rollback()
    tables = await host.fetch(
        "SELECT nspname, count(*) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema' AND relkind IN ('r', 'p') GROUP BY 1"
    )
    assert {row["nspname"]: row["count"] for row in tables}["public"] == 1
    await host.close()


async def test_a_migration_that_fails_leaves_nothing_behind(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {1: sql.migrations()[1] + "; SELECT 1/0"}
    with monkeypatch.context() as patch:
        patch.setattr(sql, "migrations", lambda: broken)
        with pytest.raises(asyncpg.DivisionByZeroError):
            await migrate(database_url)
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT to_regnamespace('watchglass')") is None
    await connection.close()
    assert await migrate(database_url) == list(range(1, LATEST + 1))


async def test_a_writer_that_is_too_old_stops_and_says_so(database_url: str) -> None:
    await migrate(database_url)
    old = Writer(database_url, instance())
    await old.open()
    await old.write(batch())
    connection = await asyncpg.connect(database_url)
    await connection.execute("INSERT INTO watchglass.migrations (version, name, min_writer) VALUES (99, 'future', 7)")
    await connection.close()
    with pytest.raises(WriterTooOld, match=f"version 7 or newer, this process writes version {migrations.WRITER}"):
        await old.write(Batch(2, batch().points))
    await old.close()
    with pytest.raises(WriterTooOld):
        await old.open()
    assert await written(database_url) == (1, 1)


async def test_a_newer_schema_takes_an_older_writer(database_url: str) -> None:
    await migrate(database_url)
    connection = await asyncpg.connect(database_url)
    await connection.execute("INSERT INTO watchglass.migrations (version, name, min_writer) VALUES (99, 'future', 1)")
    await connection.close()
    writer = Writer(database_url, instance())
    await writer.open()
    await writer.write(batch())
    await writer.close()


async def test_check_says_what_is_there(database_url: str) -> None:
    connection = await connect(database_url)
    with pytest.raises(SchemaMissing, match=f"0 < {LATEST}"):
        await check(connection, database_url)
    await migrate(database_url)
    assert await check(connection, database_url) == LATEST
    await connection.close()


async def test_no_database_is_said_plainly(free_port: int) -> None:
    with pytest.raises(DatabaseUnavailable, match="nothing listens there"):
        await migrate(f"postgresql://app@127.0.0.1:{free_port}/shop")
