"""Why there is no connection is said in words that help, and never with the password."""

from __future__ import annotations

import os
import signal
import socket
import time
from urllib.parse import urlsplit

import asyncpg
import pytest

from support.databases import execute
from support.locking import session
from watchglass.demo.servers import PostgreSQL
from watchglass.errors import DatabaseBusy, DatabaseUnavailable
from watchglass.store.connection import address_of, close, connect, for_asyncpg, reported, transaction


async def refused(dsn: str, seconds: float = 5.0) -> str:
    with pytest.raises(DatabaseUnavailable) as caught:
        await connect(dsn, seconds=seconds)
    assert (urlsplit(dsn).password or "nothing") not in str(caught.value)
    return str(caught.value.fields["reason"])


async def test_each_reason_is_said_plainly(database_url: str, free_port: int) -> None:
    base, _, database = database_url.rpartition("/")
    assert await refused(database_url.replace("app:", "app:wrong")) == "the password of the role app is wrong"
    assert await refused(database_url.replace("app:", "nobody:")) == "the password of the role nobody is wrong"
    assert await refused(f"{base}/none_{database}") == f"there is no database none_{database}"
    assert await refused(f"postgresql://app:secret@no.such.host.invalid/{database}") == (
        "the host name no.such.host.invalid is unknown"
    )
    assert (
        await refused(f"postgresql://app:secret@127.0.0.1:{free_port}/x")
        == "the connection is refused, nothing listens there"
    )
    assert (
        await refused(f"postgresql://app:secret@localhost:{free_port}/x")
        == "the connection is refused, nothing listens there"
    )


async def test_a_url_that_makes_no_sense_is_said_to_make_none() -> None:
    for url in ("postgresql://app:secret@host:port/x", "postgresql://app:secret@host/x?sslmode=maybe"):
        assert "its URL is not understood" in await refused(url)


async def test_a_server_that_is_silent_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        reason = await refused(f"postgresql://app:secret@127.0.0.1:{silent.getsockname()[1]}/x", seconds=0.3)
    assert reason == "nothing was heard from it in time"
    assert time.monotonic() - began < 2


async def said(dsn: str, *statements: str, seconds: float = 5.0, lock_seconds: float = 5.0) -> str:
    """The whole message of what keeps these statements from being executed."""
    connection = await connect(dsn)
    try:
        with pytest.raises(DatabaseBusy) as caught, reported(dsn):
            async with transaction(connection, seconds=seconds, lock_seconds=lock_seconds):
                for statement in statements:
                    await connection.execute(statement)
    finally:
        await close(connection)
    return str(caught.value)


async def test_what_a_server_cannot_do_now_is_no_silence_and_comes_with_what_helps(database_url: str) -> None:
    address = address_of(database_url)
    execute(database_url, "CREATE TABLE taken ()")
    async with session(database_url, "BEGIN", "LOCK TABLE taken"):
        assert await said(database_url, "SELECT FROM taken", lock_seconds=0.1) == (
            f"PostgreSQL at {address} answers, but a lock was not free in time. Its page shows who holds it, under "
            "Now: wait for that session, or end it there. Telemetry is kept in memory meanwhile."
        )
    assert await said(database_url, "SELECT pg_sleep(5)", seconds=0.2) == (
        f"PostgreSQL at {address} answers, but a statement took too long and was cancelled. Its page shows what keeps "
        "it busy, under Now: end that, or ask for less. Telemetry is kept in memory meanwhile."
    )


def test_why_is_said_without_what_it_means_for_telemetry_as_well() -> None:
    assert (
        DatabaseUnavailable(address="db:5432/shop", reason="nothing was heard from it in time").plainly
        == "PostgreSQL at db:5432/shop does not answer: nothing was heard from it in time."
    )
    assert DatabaseBusy(address="a", reason="its disk is full", remedy="Make room there.").plainly == (
        "PostgreSQL at a answers, but its disk is full. Make room there."
    )


async def test_no_connection_left_is_said(database_url: str, postgres_server: PostgreSQL) -> None:
    superuser = f"{postgres_server.superuser_url.rpartition('/')[0]}/{urlsplit(database_url).path[1:]}"
    execute(superuser, f"ALTER DATABASE {urlsplit(database_url).path[1:]} CONNECTION LIMIT 1")
    one = await connect(database_url)
    assert await refused(database_url) == "all its connections are taken"
    await close(one)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ""),
        ("?ssl=require", "?sslmode=require"),
        ("?sslmode=verify-full&channel_binding=require", "?sslmode=verify-full"),
        ("?prepared_statement_cache_size=0&connect_timeout=5", ""),
        ("?host=/var/run/postgresql", "?host=%2Fvar%2Frun%2Fpostgresql"),
    ],
)
def test_parameters_that_only_other_drivers_know_are_left_out(query: str, expected: str) -> None:
    assert for_asyncpg(f"postgresql://u:p@h:1/d{query}") == f"postgresql://u:p@h:1/d{expected}"


async def test_such_a_url_connects(database_url: str) -> None:
    connection = await connect(
        f"{database_url}?prepared_statement_cache_size=0&channel_binding=prefer&connect_timeout=3"
    )
    await close(connection)


def test_an_address_has_no_password() -> None:
    assert address_of("postgresql://u:p@db.internal:5432/shop?x=y") == "db.internal:5432/shop"
    assert address_of("postgresql:///shop") == "the local socket/shop"


async def test_a_transaction_has_its_limits(database_url: str) -> None:
    connection = await connect(database_url)
    with pytest.raises(DatabaseUnavailable, match="took too long"), reported(database_url):
        async with transaction(connection, seconds=0.2):
            await connection.execute("SELECT pg_sleep(5)")
    async with transaction(connection, seconds=2.0, lock_seconds=0.1):
        settings = await connection.fetchrow(
            "SELECT current_setting('statement_timeout') a, current_setting('lock_timeout') b, current_setting('jit') c"
        )
    assert tuple(settings or ()) == ("2s", "100ms", "off")
    assert await connection.fetchval("SELECT current_setting('statement_timeout')") == "0", "the session keeps its own"
    await close(connection)


async def test_a_server_that_stops_answering_ends_the_transaction(database_url: str) -> None:
    connection = await connect(database_url)
    backend, began = connection.get_server_pid(), time.monotonic()
    try:
        with pytest.raises(DatabaseUnavailable, match="the connection was lost"), reported(database_url):
            async with transaction(connection, seconds=0.3):
                os.kill(backend, signal.SIGSTOP)
                await connection.execute("SELECT 1")
    finally:
        os.kill(backend, signal.SIGCONT)
    assert time.monotonic() - began < 4
    assert connection.is_closed()


async def test_closing_a_broken_connection_is_no_error(database_url: str) -> None:
    connection, other = await connect(database_url), await asyncpg.connect(database_url)
    await other.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
    await close(connection)
    await other.close()
    assert connection.is_closed()


async def test_the_server_ends_a_transaction_whose_client_is_frozen(store_url: str) -> None:
    """Whatever the host has its role bounded by: what was locked is free a second after the transaction's own limit."""
    execute(store_url, "CREATE TABLE work (id integer)")
    frozen = await connect(store_url)
    await frozen.execute("SET idle_in_transaction_session_timeout = 0")
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        async with transaction(frozen, seconds=0.5):
            await frozen.execute("LOCK TABLE work")
            # It holds up the event loop, and with it the transaction's own watchdog.
            execute(store_url, "SET lock_timeout = '60s'", "ALTER TABLE work ADD COLUMN at integer")
            await frozen.fetch("SELECT 1")
