"""Libraries that stand between the service and what we watch: SQLAlchemy with its pools, and uvloop's event loop."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool, QueuePool

from conformance.modes import Mode
from conformance.service import service
from conformance.test_clients import SELECT, Row, done_in_a_request, hosts, measured, statements
from conformance.test_http import ROWS
from support.asgi import observe
from watchglass import meters

ITEM = "SELECT title FROM documents WHERE id = 1"
PATIENCE = 30.0


@pytest.fixture
async def documents(database_url: str) -> str:
    connection = await asyncpg.connect(database_url)
    await connection.execute("CREATE TABLE documents (id int PRIMARY KEY, title text)")
    await connection.execute("INSERT INTO documents SELECT n, 'title ' || n FROM generate_series(1, 5) n")
    await connection.close()
    return database_url


def engine_of(url: str, **options: Any) -> AsyncEngine:
    return create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"), **options)


async def by_sqlalchemy(url: str) -> None:
    engine = engine_of(url, poolclass=NullPool)
    async with engine.begin() as connection:
        for number in (1, 2, 3):
            row = await connection.execute(text("SELECT title FROM documents WHERE id = :id"), {"id": number})
            assert row.scalar_one() == f"title {number}"
        streamed = await connection.stream(text("SELECT id FROM documents ORDER BY id"))
        assert [row[0] async for row in streamed] == [1, 2, 3, 4, 5]
    await engine.dispose()


async def test_statements_of_sqlalchemy_are_measured_once_each(mode: Mode, documents: str) -> None:
    observed = await done_in_a_request(Row("by SQLAlchemy", by_sqlalchemy, {}, 0), mode, documents)
    counted = measured(observed)
    assert counted[SELECT] == 4
    assert counted[f"PREPARE {SELECT}"] == 2
    assert (counted["BEGIN"], counted["COMMIT"], counted["ROLLBACK"]) == (2, 1, 1), "its first look at the server too"
    if not mode.spans_of_contrib:
        assert len(statements(observed)) == counted.total()
        assert mode.spans() is None or len(hosts(mode)) == counted.total()


async def waits_for_the_pool(url: str) -> None:
    engine = engine_of(url, pool_size=1, max_overflow=0, pool_timeout=PATIENCE)
    held = await engine.connect()

    async def asks() -> Any:
        async with engine.connect() as connection:
            return (await connection.execute(text(ITEM))).scalar_one()

    asking = asyncio.create_task(asks())
    await asyncio.sleep(0.1)
    await held.close()
    assert await asking == "title 1"
    await engine.dispose()


async def times_out_at_the_pool(url: str) -> None:
    engine = engine_of(url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    async with engine.connect():
        with pytest.raises(PoolTimeout):
            await engine.connect()
    await engine.dispose()


async def waits_in_a_thread(url: str) -> None:
    """An engine that blocks, whose driver nobody measures: its pool is measured all the same."""
    engine = create_engine("sqlite://", poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.05)

    def asks() -> None:
        with engine.connect(), pytest.raises(PoolTimeout):
            engine.connect()
        engine.dispose()

    await asyncio.to_thread(asks)


POOLS = [
    Row("waits for SQLAlchemy's pool", waits_for_the_pool, {"acquired": 2}, 0),
    Row("times out at SQLAlchemy's pool", times_out_at_the_pool, {"acquired": 1, "in vain": 1}, 0),
    Row("times out at it in a thread", waits_in_a_thread, {"acquired": 1, "in vain": 1}, 0),
]


@pytest.mark.parametrize("row", POOLS, ids=lambda row: row.name)
async def test_waiting_for_a_pool_of_sqlalchemy_is_measured_once(row: Row, mode: Mode, documents: str) -> None:
    observed = await done_in_a_request(row, mode, documents)
    counted: Counter[str] = Counter()
    for state in observed.recorder.collect():
        if state.meter is meters.DB_CLIENT_CONNECTION_WAIT_TIME:
            counted["acquired"] += state.count
        elif state.meter is meters.DB_CLIENT_CONNECTION_TIMEOUTS:
            counted["in vain"] += round(state.sum)
    assert counted == row.measured
    [kept] = observed.traces
    acquiring = [span for span in kept.spans if span.name == "acquire connection"]
    shown = [span for span in acquiring if span.end_ns - span.start_ns >= 50_000_000]
    assert [span.error for span in shown if span.error] == ["TimeoutError"] * row.measured.get("in vain", 0)
    assert shown, "it is why the request took long"
    assert {span.trace_id for span in shown} == {kept.root.trace_id}
    assert kept.root.error is None, "the service has seen to it"


@pytest.fixture
def on_uvloop() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not for Windows")
    return uvloop.run  # type: ignore[no-any-return]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_request_is_recorded_once_on_uvloop(
    row: Any, on_uvloop: Callable[[Coroutine[Any, Any, Any]], Any], tmp_path: Path
) -> None:
    (tmp_path / "file.txt").write_text("content")
    observed = observe(service(tmp_path, root_path=row.root_path))
    on_uvloop(row.call(observed.app))
    assert sum(observed.requests().values()) == 1
    assert observed.active() == 0
