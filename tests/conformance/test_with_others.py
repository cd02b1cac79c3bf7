"""Libraries that stand between the service and what we watch: SQLAlchemy's asyncpg dialect, and uvloop's event loop."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from conformance.modes import Mode
from conformance.service import service
from conformance.test_clients import SELECT, Row, done_in_a_request, hosts, measured, statements
from conformance.test_http import ROWS
from support.asgi import observe


@pytest.fixture
async def documents(database_url: str) -> str:
    connection = await asyncpg.connect(database_url)
    await connection.execute("CREATE TABLE documents (id int PRIMARY KEY, title text)")
    await connection.execute("INSERT INTO documents SELECT n, 'title ' || n FROM generate_series(1, 5) n")
    await connection.close()
    return database_url


async def by_sqlalchemy(url: str) -> None:
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"), poolclass=NullPool)
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
