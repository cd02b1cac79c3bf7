"""Each bad state of PostgreSQL is made for real; the check says so, and what it says to do ends it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg
import pytest

from support.databases import execute, fresh_database
from support.locking import asking as serving
from support.past import browser, log_in
from support.standby import Standby
from watchglass.api.app import create_app
from watchglass.api.context import Context
from watchglass.api.postgresql_health_parts import KINDS
from watchglass.demo.servers import PostgreSQL

HEALTH = "/api/monitoring/postgres/health"
ORDERS = (
    "CREATE TABLE orders (id int PRIMARY KEY, total int) WITH (autovacuum_enabled = off)",
    "INSERT INTO orders SELECT i, i FROM generate_series(1, 20000) AS i",
)

Made = Callable[..., Context]
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture(scope="module")
def own_server(postgres_server: PostgreSQL) -> Iterator[PostgreSQL]:
    """A server whose settings, checkpoints and transactions are this module's alone."""
    settings = {"max_prepared_transactions": "5", "checkpoint_timeout": "1h"}
    with PostgreSQL(installation=postgres_server.installation, settings=settings) as server:
        yield server


@pytest.fixture
def own_url(own_server: PostgreSQL) -> Iterator[str]:
    with fresh_database(own_server) as url:
        yield url


def as_superuser(server: PostgreSQL, url: str) -> str:
    return f"{server.superuser_url.rpartition('/')[0]}/{url.rpartition('/')[2]}"


@asynccontextmanager
async def asking(context: Made, dsn: str) -> AsyncIterator[Callable[..., Any]]:
    """`await ask("deadlocks")` is that check of the database; without a name, the whole answer."""
    made = context(app_database_url=dsn)
    async with browser(create_app(made)) as client:
        await log_in(client, made)

        async def ask(name: str | None = None, **query: Any) -> Any:
            answer = await client.get(HEALTH, params=query)
            assert answer.status_code == 200, answer.text
            found = answer.json()
            return found if name is None else next(one for one in found["checks"] if one["name"] == name)

        yield ask


def make_orders(dsn: str) -> None:
    """20,000 of them without autovacuum; analyzed by another session, because PostgreSQL's figures come at its end."""
    execute(dsn, *ORDERS)
    execute(dsn, "ANALYZE orders")


async def until_said(ask: Callable[..., Any], name: str, *states: str) -> Any:
    """The check, as soon as it is of one of these states: PostgreSQL's statistics come a little late."""
    found = await ask(name)
    for _ in range(300):
        if found["state"] in states:
            return found
        await asyncio.sleep(0.2)
        found = await ask(name)
    raise AssertionError(found)


async def until_command(ask: Callable[..., Any], name: str, part: str) -> Any:
    """The check, as soon as it says this or to run it: settings are read anew a little late."""
    for _ in range(300):
        found = await ask(name)
        if part in f"{found['sentence']} {found['command']}":
            return found
        await asyncio.sleep(0.2)
    raise AssertionError(found)


@asynccontextmanager
async def session(dsn: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        connection.terminate()


async def test_every_check_is_answered_in_one_order_with_the_manual(context: Made, own_url: str) -> None:
    async with asking(context, own_url) as ask:
        answer = await ask()
    assert [one["name"] for one in answer["checks"]] == list(KINDS)
    assert all(one["manual"].startswith("https://www.postgresql.org/docs/current/") for one in answer["checks"])
    assert answer["role"]["name"] == "app"
    assert not answer["role"]["sees_all"]
    assert any("GRANT pg_monitor TO app;" in one for one in answer["told"])
    assert any("was not read in this window" in one for one in answer["told"])


async def test_a_role_that_sees_all_is_told_nothing_of_rights(
    context: Made, own_server: PostgreSQL, own_url: str
) -> None:
    async with asking(context, as_superuser(own_server, own_url)) as ask:
        answer = await ask()
    assert answer["role"]["sees_all"]
    assert answer["role"]["would_add"] is None
    assert not any("pg_monitor" in one for one in answer["told"])


async def test_dead_rows_without_autovacuum_are_said_until_what_is_advised_was_done(
    context: Made, own_url: str
) -> None:
    make_orders(own_url)
    execute(own_url, "DELETE FROM orders WHERE id % 3 > 0")
    async with asking(context, own_url) as ask:
        found = await until_said(ask, "dead_tuples", "bad")
        assert "public.orders has 13,334 dead rows beside 6,666 live ones" in found["sentence"]
        assert "3.3 times the 4,050 at which autovacuum begins" in found["sentence"]
        assert "switched off for this table" in found["sentence"]
        [row] = [row for row in found["rows"] if row["table"] == "public.orders"]
        assert (row["dead"], row["threshold"], row["autovacuum"]) == (13_334, 4050, "off")
        assert {column["key"] for column in found["columns"]} == set(row)
        reset, vacuum = found["command"].split("; ")
        execute(own_url, reset, vacuum)
        found = await until_said(ask, "dead_tuples", "good")
        assert found["command"] is None


async def test_a_tables_own_threshold_counts(context: Made, own_url: str) -> None:
    own = "ALTER TABLE orders SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100)"
    make_orders(own_url)
    execute(own_url, own, "UPDATE orders SET total = 0 WHERE id <= 1500")
    async with asking(context, own_url) as ask:
        found = await until_said(ask, "dead_tuples", "bad")
    assert "15 times the 100 at which autovacuum begins" in found["sentence"]


async def test_dead_rows_of_a_small_table_that_autovacuum_will_come_for_are_no_alarm(
    context: Made, own_url: str
) -> None:
    make_orders(own_url)
    execute(own_url, "ALTER TABLE orders RESET (autovacuum_enabled)")
    async with asking(context, own_url) as ask, session(own_url) as idle:
        await idle.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await idle.fetch("SELECT FROM orders LIMIT 1")  # keeps them, if autovacuum comes before the question
        execute(own_url, "DELETE FROM orders WHERE id <= 15000")
        found = await until_said(ask, "dead_tuples", "attention")
    assert "15,000 dead rows beside 5,000 live ones" in found["sentence"]


async def test_an_idle_transaction_that_keeps_dead_rows_is_named_until_it_ends(context: Made, own_url: str) -> None:
    make_orders(own_url)
    async with asking(context, own_url) as ask, session(own_url) as idle:
        await idle.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        pid = await idle.fetchval("SELECT pg_backend_pid() FROM orders LIMIT 1")
        execute(own_url, "DELETE FROM orders WHERE id <= 15000", "VACUUM orders")
        found = await until_said(ask, "autovacuum", "attention")
        assert f"The session {pid} (app), idle in transaction for " in found["sentence"]
        assert "keeps dead rows of public.orders from being removed" in found["sentence"]
        assert found["command"] == f"SELECT pg_terminate_backend({pid});"
        assert f"had to keep them, because of the session {pid}" in (await ask("dead_tuples"))["sentence"]
        execute(own_url, found["command"], "VACUUM orders")
        found = await until_said(ask, "autovacuum", "good")
        assert "nothing keeps dead rows for long" in found["sentence"]


async def test_a_prepared_transaction_that_keeps_dead_rows_is_named_until_it_ends(context: Made, own_url: str) -> None:
    make_orders(own_url)
    async with session(own_url) as forgetful:
        await forgetful.execute("BEGIN; UPDATE orders SET total = 1 WHERE id = 20000; PREPARE TRANSACTION 'it''s mine'")
    execute(own_url, "DELETE FROM orders WHERE id <= 15000", "VACUUM orders")
    async with asking(context, own_url) as ask:
        found = await until_said(ask, "autovacuum", "attention")
        assert found["sentence"].startswith("The prepared transaction it's mine (app) for ")
        assert found["command"] == "ROLLBACK PREPARED 'it''s mine';"
        [row] = [row for row in found["rows"] if row["what"] == "prepared transaction"]
        assert row["name"] == "it's mine"
        execute(own_url, found["command"], "VACUUM orders")
        await until_said(ask, "autovacuum", "good")


async def test_what_keeps_dead_rows_is_seen_of_other_roles_with_pg_monitor_alone(
    context: Made, own_server: PostgreSQL, own_url: str
) -> None:
    make_orders(own_url)
    superuser = as_superuser(own_server, own_url)
    async with asking(context, own_url) as ask, session(superuser) as idle:
        await idle.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await idle.fetch("SELECT FROM orders LIMIT 1")
        execute(own_url, "DELETE FROM orders WHERE id <= 15000", "VACUUM orders")
        await until_said(ask, "dead_tuples", "bad")
        assert (await ask("autovacuum"))["state"] == "good"
        execute(superuser, "GRANT pg_monitor TO app")
        try:
            found = await until_said(ask, "autovacuum", "attention")
        finally:
            execute(superuser, "REVOKE pg_monitor FROM app")
        assert "(postgres), idle in transaction" in found["sentence"]


async def test_a_vacuum_that_runs_shows_how_far_it_is(context: Made, own_url: str) -> None:
    make_orders(own_url)
    execute(own_url, "DELETE FROM orders WHERE id % 2 = 0")
    async with asking(context, own_url) as ask, session(own_url) as slow:
        await slow.execute("SET vacuum_cost_delay = '100ms'; SET vacuum_cost_limit = 1")
        vacuum = asyncio.ensure_future(slow.execute("VACUUM orders"))
        found = await ask("autovacuum")
        while not found["rows"] or not found["rows"][0]["progress"]:
            assert not vacuum.done(), vacuum
            found = await ask("autovacuum")
        [row] = [row for row in found["rows"] if row["what"] == "VACUUM"]
        assert row["name"] == "public.orders"
        assert 0 < row["progress"] <= 1
        assert row["detail"] in ("scanning heap", "vacuuming indexes", "vacuuming heap")
        assert "1 vacuum running" in found["sentence"]
        slow.terminate()
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError)):
            await vacuum


async def test_a_table_that_is_late_to_be_frozen_is_named_until_it_was(context: Made, own_url: str) -> None:
    execute(own_url, "CREATE TABLE old (id int) WITH (autovacuum_freeze_max_age = 100000)")
    burn = """DO $$ BEGIN CREATE TEMP TABLE burnt (i int); FOR i IN 1..125000 LOOP
        BEGIN INSERT INTO burnt VALUES (i); EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$"""
    async with asking(context, own_url) as ask, session(own_url) as busy:
        await busy.execute("BEGIN; LOCK TABLE old IN SHARE UPDATE EXCLUSIVE MODE")  # autovacuum may not come meanwhile
        execute(own_url, burn)
        found = await ask("wraparound")
        assert found["state"] == "attention"
        assert found["sentence"].startswith("public.old was frozen 125,0")
        assert "1.3 times the age at which autovacuum has to" in found["sentence"]
        assert 2_147_000_000 < found["value"] < 2_147_483_648
        assert found["command"] == "VACUUM (FREEZE, VERBOSE) public.old;"
        await busy.execute("ROLLBACK")
        execute(own_url, found["command"])
        found = await ask("wraparound")
    assert found["state"] == "good"
    assert "autovacuum freezes a table after 200 million transactions" in found["sentence"]


async def test_checkpoints_that_are_requested_all_the_time_are_said(
    context: Made, own_server: PostgreSQL, own_url: str
) -> None:
    assert own_server.installation
    counted_by = "checkpointer" if own_server.installation.major >= 17 else "bgwriter"
    execute(own_server.superuser_url, f"SELECT pg_stat_reset_shared('{counted_by}')")
    async with asking(context, own_url) as ask:
        assert (await until_said(ask, "checkpoints", "good"))["command"] is None
        execute(own_server.superuser_url, *(["CHECKPOINT"] * 12))
        found = await until_said(ask, "checkpoints", "bad")
    assert "12 of 12 checkpoints since " in found["sentence"]
    assert "requested before 60 min were over" in found["sentence"]
    assert "max_wal_size (1 GB) was full" in found["sentence"]
    assert re.fullmatch(r"ALTER SYSTEM SET max_wal_size = '\d+GB'; SELECT pg_reload_conf\(\);", found["command"])
    assert found["rows"][0]["requested"] == 12
    larger = ("ALTER SYSTEM SET max_wal_size = '100GB'", "SELECT pg_reload_conf()")
    usual = ("ALTER SYSTEM RESET max_wal_size", "SELECT pg_reload_conf()")
    async with asking(context, own_url) as ask:
        execute(own_server.superuser_url, *larger)
        try:
            await until_command(ask, "checkpoints", "SET max_wal_size = '256GB'")
        finally:
            execute(own_server.superuser_url, *usual)
        await until_command(ask, "checkpoints", "max_wal_size (1 GB)")


async def test_sorts_that_spill_are_said_with_the_memory_they_would_need(context: Made, own_url: str) -> None:
    async with asking(context, own_url) as ask:
        found = await ask("temporary_files")
        assert found["state"] == "good"
        assert found["sentence"].startswith("No sort and no hash needed a temporary file since ")
        large = "SELECT i, repeat('x', 200) FROM generate_series(1, 300000) AS i ORDER BY i % 7"
        execute(own_url, "SET work_mem = '64kB'", *[f"DO $$ BEGIN PERFORM * FROM ({large}) AS sorted; END $$"] * 2)
        found = await until_said(ask, "temporary_files", "attention")
    assert "larger than work_mem (4 MB)" in found["sentence"], found["sentence"]
    assert found["value"] > 100 * 1024**2
    assert found["command"].startswith("ALTER ROLE app SET work_mem = '")
    execute(own_url, found["command"].replace("ROLE app", "ROLE CURRENT_USER"), "ALTER ROLE app RESET work_mem")


async def test_a_slot_that_nobody_reads_is_said_until_it_is_dropped(
    context: Made, own_server: PostgreSQL, own_url: str
) -> None:
    superuser = own_server.superuser_url
    async with asking(context, own_url) as ask:
        found = await ask("replication")
        assert found["state"] == "good"
        assert found["sentence"] == "No replica follows this server, and no slot keeps write-ahead log for one."
        execute(superuser, "SELECT pg_create_physical_replication_slot('gone', true)")
        try:
            found = await ask("replication")
        finally:
            execute(superuser, "SELECT pg_drop_replication_slot('gone')")
        assert found["state"] == "attention"
        assert found["sentence"].startswith("The slot gone keeps ")
        assert found["command"] == "SELECT pg_drop_replication_slot('gone');"
        assert found["rows"][0]["name"] == "gone"


async def test_a_locked_table_is_left_out_of_the_sizes_and_nothing_waits(context: Made, own_url: str) -> None:
    make_orders(own_url)
    execute(own_url, "CREATE TABLE carts AS SELECT i FROM generate_series(1, 1000) AS i")
    async with asking(context, own_url) as ask, session(own_url) as busy:
        await busy.execute("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        found = await ask("growth")
        assert {row["table"] for row in found["rows"]} == {"public.carts"}
        await busy.execute("ROLLBACK")
        found = await ask("growth")
    [orders] = [row for row in found["rows"] if row["table"] == "public.orders"]
    assert orders["bytes"] > orders["index_bytes"] > 0


async def test_a_database_that_is_away_leaves_every_check_unknown(context: Made, free_port: int) -> None:
    async with asking(context, f"postgresql://app:secret@127.0.0.1:{free_port}/shop") as ask:
        answer = await ask()
    assert {one["state"] for one in answer["checks"]} == {"unknown"}
    assert answer["state"] == "unknown"
    assert answer["role"] is None
    assert answer["told"] == [answer["checks"][0]["sentence"]]
    assert answer["told"][0].endswith("does not answer: the connection is refused, nothing listens there.")


async def test_a_store_that_is_away_is_told_while_the_database_answers(own_url: str, free_port: int) -> None:
    away = f"postgresql://app:secret@127.0.0.1:{free_port}/telemetry"
    async with serving(own_url, database_url=away) as client:
        answer = (await client.get(HEALTH)).json()
    assert answer["told"][0] == (
        "What is kept of PostgreSQL is not known, so that figures are those since it began to count. PostgreSQL at "
        f"127.0.0.1:{free_port}/telemetry does not answer: the connection is refused, nothing listens there."
    )
    assert {one["state"] for one in answer["checks"] if one["name"] in ("wraparound", "deadlocks")} == {"good"}


async def test_a_replica_that_falls_behind_is_said_on_both_sides(context: Made, postgres_server: PostgreSQL) -> None:
    with PostgreSQL(installation=postgres_server.installation) as primary, Standby(primary) as standby:
        superuser = primary.superuser_url
        async with asking(context, superuser) as ask, asking(context, standby.of(superuser)) as ask_replica:
            standby.catch_up()
            found = await until_said(ask, "replication", "good")
            assert found["sentence"] == "1 replica follows this server and keeps up."
            found = await ask_replica("replication")
            assert (found["state"], found["value"]) == ("good", 0)
            assert found["sentence"] == "This replica has replayed what it received."
            assert "primary" in (await ask_replica("dead_tuples"))["sentence"]
            assert {(await ask_replica(name))["state"] for name in ("dead_tuples", "autovacuum", "checkpoints")} == {
                "unknown"
            }
            execute(standby.superuser_url, "SELECT pg_wal_replay_pause()")
            message = "SELECT pg_logical_emit_message(false, 'filler', repeat('x', 1000000))"
            execute(superuser, *[message] * 110)
            found = await until_said(ask, "replication", "attention", "bad")
            assert re.match(r"The replica walreceiver is 1\d\d MB, .* behind", found["sentence"])
            found = await until_said(ask_replica, "replication", "attention", "bad")
            assert "behind what it received, because replaying was paused on it" in found["sentence"]
            execute(standby.superuser_url, found["command"])
            await until_said(ask_replica, "replication", "good")
            await until_said(ask, "replication", "good")


async def test_a_replica_that_lost_its_primary_is_said(context: Made, postgres_server: PostgreSQL) -> None:
    with PostgreSQL(installation=postgres_server.installation) as primary, Standby(primary) as standby:
        async with asking(context, standby.of(primary.url)) as ask:
            standby.catch_up()
            await until_said(ask, "replication", "good")
            primary.stop()
            found = await until_said(ask, "replication", "bad")
    assert found["sentence"].startswith("This replica receives nothing")


async def test_a_check_that_gets_no_answer_in_time_leaves_the_others_as_they_are(
    context: Made, own_server: PostgreSQL, own_url: str
) -> None:
    async with asking(context, own_url) as ask, session(as_superuser(own_server, own_url)) as busy:
        await busy.execute("BEGIN; LOCK TABLE pg_catalog.pg_stat_wal IN ACCESS EXCLUSIVE MODE")
        answer = await ask()
        await busy.execute("ROLLBACK")
    found = {one["name"]: one for one in answer["checks"]}
    assert found["checkpoints"]["state"] == "unknown"
    assert re.search(r" answers, but a lock was not free in time\. .* who holds it", found["checkpoints"]["sentence"])
    assert {found[name]["state"] for name in ("wraparound", "replication", "deadlocks", "growth")} == {"good"}
