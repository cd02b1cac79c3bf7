"""What PostgreSQL counts of each statement is counted once, by its shape, without our own; what keeps it is said."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from support.databases import execute
from watchglass import meters
from watchglass.analysis.fingerprints import of_statement
from watchglass.demo.servers import PostgreSQL
from watchglass.exporters.prometheus import render
from watchglass.instrumentation.recorder import Recorder
from watchglass.jobs import statements
from watchglass.jobs.statements import OTHER, Statements
from watchglass.redaction import sql_shape
from watchglass.settings import Settings
from watchglass.store.connection import connect

BY_ID = "SELECT name FROM things WHERE id = $1"


@pytest.fixture
def superuser_url(postgres_server: PostgreSQL, store_url: str) -> str:
    return f"{postgres_server.superuser_url.rpartition('/')[0]}/{store_url.rpartition('/')[2]}"


@pytest.fixture(autouse=True)
def at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "EVERY", 0.0)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def job(store_url: str, recorder: Recorder) -> Statements:
    return Statements(Settings(service_name="shop", app_database_url=store_url), recorder)


@pytest.fixture
async def client(store_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """The service's own connection, and a table it asks."""
    connection = await asyncpg.connect(store_url)
    await connection.execute("CREATE TABLE things (id int PRIMARY KEY, name text)")
    await connection.execute("INSERT INTO things SELECT n, 'thing ' || n FROM generate_series(1, 1000) AS n")
    yield connection
    await connection.close()


def counted(recorder: Recorder, meter: meters.Meter = meters.STATEMENT_CALLS) -> dict[str | None, float]:
    return {state.values[0]: state.sum for state in recorder.collect() if state.meter is meter}


def fingerprint(text: str) -> str:
    return of_statement(sql_shape(text))


async def test_calls_time_rows_and_blocks_are_counted_from_the_first_reading_on(
    job: Statements, recorder: Recorder, client: asyncpg.Connection[Any]
) -> None:
    await client.fetch(BY_ID, 1)
    await job.take()
    assert job.facts["statements"]["problem"] is None
    assert counted(recorder) == {}
    for number in range(7):
        await client.fetch(BY_ID, number + 1)
    await client.fetch("SELECT count(*) FROM things WHERE name LIKE '%9%'")
    await job.take()
    by_id = fingerprint(BY_ID)
    assert counted(recorder)[by_id] == 7
    assert counted(recorder, meters.STATEMENT_ROWS)[by_id] == 7
    assert counted(recorder, meters.STATEMENT_BLKS_HIT)[by_id] >= 7
    assert 0 < counted(recorder, meters.STATEMENT_EXEC_TIME)[by_id] < 10
    assert counted(recorder)[fingerprint("SELECT count(*) FROM things WHERE name LIKE $1")] == 1
    await client.fetch(BY_ID, 1)
    await job.take()
    await job.take()
    assert counted(recorder)[by_id] == 8


async def test_a_reset_by_anybody_loses_nothing_that_came_after_it(
    job: Statements, recorder: Recorder, client: asyncpg.Connection[Any], superuser_url: str
) -> None:
    for _ in range(5):
        await client.fetch(BY_ID, 1)
    await job.take()
    execute(superuser_url, "SELECT pg_stat_statements_reset()")
    for _ in range(9):  # more than before
        await client.fetch(BY_ID, 1)
    await job.take()
    assert counted(recorder)[fingerprint(BY_ID)] == 9


async def test_it_never_resets(job: Statements, client: asyncpg.Connection[Any]) -> None:
    await client.fetch(BY_ID, 1)
    began = await client.fetchval("SELECT stats_reset FROM pg_stat_statements_info")
    for _ in range(3):
        await job.take()
    assert await client.fetchval("SELECT stats_reset FROM pg_stat_statements_info") == began
    known = "SELECT sum(calls) FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid"
    assert await client.fetchval(f"{known} WHERE datname = current_database() AND query = $1", BY_ID) == 1


async def test_statements_of_our_own_and_of_other_databases_are_left_out(
    job: Statements, recorder: Recorder, client: asyncpg.Connection[Any], store_url: str, superuser_url: str
) -> None:
    await job.take()
    elsewhere = await asyncpg.connect(superuser_url.rpartition("/")[0] + "/postgres")
    await elsewhere.fetch("SELECT 'elsewhere', 1, 2, 3")
    await elsewhere.close()
    await job.take()
    store = await connect(store_url)
    await job.note(store)
    await job.take()
    await job.note(store)
    rows = await store.fetch("SELECT text FROM watchglass.statements")
    await store.close()
    texts = [row["text"] for row in rows]
    assert texts and counted(recorder)
    assert not [text for text in texts if "pg_stat_statements(" in text or "watchglass.statements " in text], texts
    assert fingerprint("SELECT $1, $2, $3, $4") not in counted(recorder)


async def test_statements_are_noted_with_their_shape_and_identifier(
    job: Statements, client: asyncpg.Connection[Any], store_url: str
) -> None:
    await job.take()
    await client.fetch(BY_ID, 1)
    await job.take()
    store = await connect(store_url)
    await job.note(store)
    row = await store.fetchrow("SELECT * FROM watchglass.statements WHERE fingerprint = $1", fingerprint(BY_ID))
    queryid = await store.fetchval(
        "SELECT queryid FROM pg_stat_statements WHERE query = $1 AND dbid = ("
        " SELECT oid FROM pg_database WHERE datname = current_database())",
        BY_ID,
    )
    await store.close()
    assert row is not None
    assert (row["service_name"], row["text"], row["queryid"]) == ("shop", BY_ID, queryid)
    assert row["database"] == store_url.rpartition("/")[2]


async def test_what_is_beyond_the_bound_is_counted_together(
    job: Statements, recorder: Recorder, client: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "MOST_KEPT", 2)
    await job.take()
    for number in range(5):
        await client.fetch(f"SELECT {', '.join(['id'] * (number + 1))} FROM things")
    await job.take()
    calls = counted(recorder)
    assert len(calls) == 3 and calls[OTHER] >= 3


async def test_texts_are_asked_for_a_few_at_a_time(
    job: Statements, recorder: Recorder, client: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "MOST_NAMED", 3)
    await job.take()
    for _ in range(4):
        for number in range(5):
            await client.fetch(f"SELECT {', '.join(['id'] * (number + 1))} FROM things")
        await job.take()
    calls = counted(recorder)
    assert calls[OTHER] > 0
    texts = [f"SELECT {', '.join(['id'] * (number + 1))} FROM things" for number in range(5)]
    assert calls[OTHER] + sum(calls[fingerprint(text)] for text in texts) >= 20
    assert all(calls[fingerprint(text)] <= 4 for text in texts)


async def test_on_metrics_all_statements_are_one_series(
    job: Statements, recorder: Recorder, client: asyncpg.Connection[Any]
) -> None:
    await job.take()
    await client.fetch(BY_ID, 1)
    await client.fetch("SELECT count(*) FROM things")
    await job.take()
    text = render(recorder.collect())[0].decode()
    lines = [line for line in text.splitlines() if line.startswith("watchglass_statement_calls")]
    assert len(lines) == 1 and float(lines[0].split()[-1]) == sum(counted(recorder).values())


@pytest.fixture
def bare_url(postgres_server: PostgreSQL, database_url: str) -> Iterator[str]:
    """The database as a role that may only connect, and sees no statement of another role."""
    role, database = f"bare_{secrets.token_hex(4)}", database_url.rpartition("/")[2]
    superuser = f"{postgres_server.superuser_url.rpartition('/')[0]}/{database}"
    execute(superuser, f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    yield f"postgresql://{role}:x@{database_url.partition('@')[2]}"
    execute(superuser, f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}")


async def test_a_role_that_sees_its_own_statements_only_is_told_what_shows_the_others(
    bare_url: str, database_url: str, recorder: Recorder
) -> None:
    execute(database_url, "SELECT 1 AS of_another_role")
    job = Statements(Settings(app_database_url=bare_url), recorder)
    await job.take()
    mine = await asyncpg.connect(bare_url)
    await mine.fetch("SELECT 1 AS mine")
    await mine.close()
    await job.take()
    fact = job.facts["statements"]
    role = bare_url.split("/")[2].partition(":")[0]
    assert fact["problem"] is None and fact["hidden"] >= 1
    assert fact["note"].startswith(f"The role {role} does not see ")
    assert fact["command"] == f"GRANT pg_monitor TO {role};"
    assert counted(recorder)[fingerprint("SELECT $1 AS mine")] == 1


async def test_a_database_without_the_extension_is_told_what_creates_it(
    job: Statements, recorder: Recorder, superuser_url: str
) -> None:
    execute(superuser_url, "DROP EXTENSION pg_stat_statements")
    await job.take()
    fact = job.facts["statements"]
    assert fact["command"] == "CREATE EXTENSION pg_stat_statements;"
    assert "not created in the database" in fact["problem"]
    execute(superuser_url, "CREATE SCHEMA stats", fact["command"].replace(";", " SCHEMA stats;"))
    await job.take()
    fact = job.facts["statements"]
    assert fact["command"] == "GRANT USAGE ON SCHEMA stats TO app;"
    execute(superuser_url, fact["command"])
    await job.take()
    await job.take()
    assert job.facts["statements"]["problem"] is None, "whichever schema it is in"
    assert counted(recorder)


async def test_a_role_that_was_refused_is_told_what_grants_it(
    bare_url: str, postgres_server: PostgreSQL, recorder: Recorder
) -> None:
    superuser = f"{postgres_server.superuser_url.rpartition('/')[0]}/{bare_url.rpartition('/')[2]}"
    execute(superuser, "REVOKE EXECUTE ON FUNCTION pg_stat_statements(boolean) FROM PUBLIC")
    job = Statements(Settings(app_database_url=bare_url), recorder)
    await job.take()
    fact = job.facts["statements"]
    assert "may not read pg_stat_statements" in fact["problem"]
    execute(superuser, *(one for one in fact["command"].split("; ") if one))
    await job.take()
    assert job.facts["statements"]["problem"] is None


async def test_a_database_that_is_away_is_said_so(recorder: Recorder, free_port: int) -> None:
    job = Statements(Settings(app_database_url=f"postgresql://app@127.0.0.1:{free_port}/shop"), recorder)
    await job.take()
    assert "nothing listens there" in job.facts["statements"]["problem"]


async def test_it_is_read_once_a_minute(job: Statements, monkeypatch: pytest.MonkeyPatch) -> None:
    await job.take()
    read_at = job._read_at
    monkeypatch.setattr(statements, "EVERY", 60.0)
    await job.take()
    assert job._read_at == read_at
    job.forget()
    assert job.facts == {}
    await job.take()
    assert read_at < job._read_at <= time.monotonic()


async def test_whoever_is_elected_again_does_not_count_what_others_counted(
    job: Statements, recorder: Recorder, client: asyncpg.Connection[Any]
) -> None:
    await job.take()
    job.forget()
    await client.fetch(BY_ID, 1)  # somebody else counts this one
    await job.take()
    assert counted(recorder) == {}
