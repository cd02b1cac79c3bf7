"""The elected process finds out when an advised index is there, and when it is there no more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest

from support.databases import execute
from watchglass.analysis.index_advice import Advice
from watchglass.analysis.index_sizes import Size
from watchglass.jobs import advice
from watchglass.jobs.advice import AdviceWatch
from watchglass.settings import Settings
from watchglass.store import advice as kept
from watchglass.store.connection import transaction
from watchglass.store.database import Database

TEXT = "SELECT * FROM orders WHERE lower(code) = $1"
ADVISED = Advice(
    *("public.orders", "btree", ("lower(code)",), ("lower(code)",)),
    *("CREATE INDEX CONCURRENTLY ON public.orders (lower(code))", "CREATE INDEX ON public.orders (lower(code))"),
    *("All pages are read.", 2363.0, 1.2, Size(8192, 8192), "Each INSERT writes to it."),
)


@pytest.fixture
async def connection(store_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    execute(store_url, "CREATE TABLE orders (id int, code varchar(20))")
    database = Database(store_url)
    await kept.keep(database, "shop", TEXT, [ADVISED], {"calls": 3, "p95": 2.0, "mean": 1.5})
    await database.close()
    connection = await asyncpg.connect(store_url)
    yield connection
    await connection.close()


@pytest.fixture
async def watch(store_url: str) -> AsyncIterator[AdviceWatch]:
    watch = AdviceWatch(Settings(service_name="shop", app_database_url=store_url))
    yield watch
    await watch.forget()


async def state(connection: asyncpg.Connection[asyncpg.Record]) -> tuple[str, bool]:
    [row] = await connection.fetch("SELECT state, built_at IS NOT NULL AS dated FROM watchglass.advice")
    return row["state"], row["dated"]


async def test_indexes_of_many_tables_are_all_looked_for(
    connection: asyncpg.Connection[asyncpg.Record], watch: AdviceWatch, store_url: str
) -> None:
    database = Database(store_url)
    for number in range(25):
        await connection.execute(f"CREATE TABLE table_{number} (code text)")
        await connection.execute(f"CREATE INDEX ON table_{number} (lower(code))")
        advised = replace(ADVISED, table=f"public.table_{number}", statement=f"CREATE INDEX {number}")
        await kept.keep(database, "shop", TEXT, [advised], {})
    await database.close()
    await watch.take(connection, transaction)
    counted = "SELECT count(*) FROM watchglass.advice WHERE state = 'built'"
    assert await connection.fetchval(counted) == 25


async def test_an_index_is_found_once_it_is_built_and_missed_once_it_is_gone(
    connection: asyncpg.Connection[asyncpg.Record], watch: AdviceWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advice, "EVERY", 0.0)
    await watch.take(connection, transaction)
    assert await state(connection) == ("open", False)
    await connection.execute("CREATE INDEX of_another_column ON orders (code)")
    await connection.execute("CREATE INDEX of_some_rows ON orders (lower(code)) WHERE id > 7")
    await watch.take(connection, transaction)
    assert await state(connection) == ("open", False)
    await connection.execute("CREATE INDEX by_hand ON orders (lower(code), id)")
    await watch.take(connection, transaction)
    assert await state(connection) == ("built", True)
    await connection.execute("DROP INDEX by_hand")
    await watch.take(connection, transaction)
    assert await state(connection) == ("gone", True)


async def test_it_looks_once_a_minute(connection: asyncpg.Connection[asyncpg.Record], watch: AdviceWatch) -> None:
    await watch.take(connection, transaction)
    await connection.execute("CREATE INDEX by_hand ON orders (lower(code))")
    await watch.take(connection, transaction)
    assert await state(connection) == ("open", False)


async def test_without_a_database_of_the_service_there_is_nothing_to_look_for(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    await AdviceWatch(Settings(service_name="shop")).take(connection, transaction)
    assert await state(connection) == ("open", False)
