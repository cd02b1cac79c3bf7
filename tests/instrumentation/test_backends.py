"""Which connections are in use, and for which request, as a real PostgreSQL numbers them."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from watchglass import guard
from watchglass.instrumentation.asyncpg import AsyncPGInstrumentor
from watchglass.instrumentation.backends import Use
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.request import (
    Request,
    new_span_id,
    new_trace_id,
    reset_current_request,
    set_current_request,
)


@pytest.fixture(autouse=True)
def instrumented() -> Iterator[None]:
    instrumentor = AsyncPGInstrumentor()
    instrumentor.instrument(recorder=Recorder())
    yield
    instrumentor.uninstrument()


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Any]:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=3) as pool:
        yield pool


@contextmanager
def handling() -> Iterator[Request]:
    request = Request(new_trace_id(), new_span_id(), None, True, time.perf_counter(), "GET")
    token = set_current_request(request)
    yield request
    reset_current_request(token)
    request.closed = True


def in_use() -> list[Use]:
    observer = AsyncPGInstrumentor().observer
    assert observer is not None
    return observer.backends.in_use()


async def test_a_connection_is_in_use_for_the_request_that_sent_the_last_statement(pool: Any) -> None:
    with handling() as first:
        async with pool.acquire() as connection:
            number = await connection.fetchval("SELECT pg_backend_pid()")
            assert [(use.pid, use.request) for use in in_use()] == [(number, first)]
        assert in_use() == []
    with handling() as second:
        async with pool.acquire() as connection:
            await connection.execute("SELECT 1")
            (use,) = in_use()
            assert (use.pid, use.request) == (number, second)
            assert use.database == await connection.fetchval("SELECT current_database()")
            assert 0 < use.connected < time.perf_counter()


@pytest.mark.parametrize("way", ["execute", "fetch", "prepare", "cursor", "copy"])
async def test_whichever_way_a_statement_is_sent(pool: Any, way: str) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("CREATE TABLE notes (id int)")
        with handling() as request:
            match way:
                case "execute":
                    await connection.execute("INSERT INTO notes VALUES (1)")
                case "fetch":
                    await connection.fetch("SELECT * FROM notes WHERE id = $1", 1)
                case "prepare":
                    await (await connection.prepare("SELECT * FROM notes")).fetch()
                case "cursor":
                    async for _ in connection.cursor("SELECT generate_series(1, 100)", prefetch=10):
                        break
                case "copy":
                    await connection.copy_records_to_table("notes", records=[(1,)])
            assert [use.request for use in in_use()] == [request]


async def test_one_that_waits_for_a_lock_is_in_use_before_its_statement_ends(pool: Any, database_url: str) -> None:
    holder = await asyncpg.connect(database_url)
    await holder.execute("BEGIN; CREATE TABLE notes (id int)")
    await holder.execute("COMMIT; BEGIN; LOCK TABLE notes")
    with handling() as request:
        task = asyncio.create_task(pool.execute("INSERT INTO notes VALUES (1)"))
        deadline = time.monotonic() + 60
        while request not in [use.request for use in in_use()]:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        await holder.execute("COMMIT")
        await task
    await holder.close()


async def test_after_its_request_has_ended_only_a_transaction_keeps_it_in_use(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    with handling() as request:
        await connection.execute("SELECT 1")
    assert in_use() == []
    with handling() as request:
        await connection.execute("BEGIN")
    assert [use.request for use in in_use()] == [request]
    assert request.closed
    await connection.execute("COMMIT")
    assert in_use() == []
    await connection.execute("BEGIN")
    assert [use.request for use in in_use()] == [None]
    await connection.close()
    assert in_use() == []


async def test_sqlalchemys_connections_are_among_them(database_url: str) -> None:
    engine = create_async_engine(database_url.replace("postgresql://", "postgresql+asyncpg://"))
    with handling() as request:
        async with engine.connect() as connection:
            number = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar()
            assert [(use.pid, use.request) for use in in_use()] == [(number, request)]
    assert in_use() == []
    with handling() as request:
        left = await engine.connect()
        await left.execute(text("SELECT 1"))  # which begins a transaction
    assert [use.request for use in in_use()] == [request]
    await left.close()
    assert in_use() == []
    await engine.dispose()


async def test_a_connection_that_is_gone_is_let_go(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("BEGIN")
    assert len(in_use()) == 1
    await connection.close()
    del connection
    gc.collect()
    observer = AsyncPGInstrumentor().observer
    assert observer is not None
    assert len(observer.backends._open) == 0


async def test_watchglass_is_not_among_them(database_url: str) -> None:
    with guard.as_own_work():
        connection = await asyncpg.connect(database_url)
        await connection.execute("BEGIN")
    assert in_use() == []
    await connection.close()


async def test_those_of_the_parent_of_a_fork_are_not_the_childs(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("BEGIN")
    with monkeypatch.context() as patched:
        patched.setattr("watchglass.instrumentation.backends.os.getpid", lambda: 1)
        assert in_use() == []
    assert len(in_use()) == 1
    await connection.close()
