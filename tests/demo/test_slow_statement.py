"""The demo's slow statement keeps its promise: an index is advised for it, and makes it fast once it is there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import asyncpg
import pytest_asyncio

from watchglass.analysis.fingerprints import of_statement
from watchglass.analysis.scans import cost_of, indexes_of
from watchglass.demo import library
from watchglass.demo.requests import Memory, references
from watchglass.demo.traffic import MOST_SYMBOLS
from watchglass.instrumentation.slow_captures import SlowStatement
from watchglass.jobs.plans import explained_as_kept
from watchglass.store.advising import advise
from watchglass.store.database import Database
from watchglass.store.explain import Explainer

CREATED = "CREATE INDEX CONCURRENTLY ON public.chunks USING gin (content public.gin_trgm_ops)"


@pytest_asyncio.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database_url)
    await library.fill(opened)
    yield opened
    await opened.close()


def patterns(symbols: int) -> list[str]:
    found = references(Random(22), Memory(symbols=symbols)).params["symbol"]
    assert isinstance(found, list)
    return [f"%{one}%" for one in found]


async def advised(url: str, symbols: int) -> list[tuple[str, str | None]]:
    """The indexes for a slow execution with so many patterns, whose values nobody knows any more."""
    sent = SlowStatement(
        of_statement(library.REFERENCES), library.REFERENCES, (patterns(symbols),), 2.0, None, None, 0.0
    )
    kept, _ = await explained_as_kept(Explainer(url), sent, "code-search")
    assert kept is not None
    database = Database(url)
    try:
        found = await advise(database, Explainer(url), library.REFERENCES, None, kept.plan)
    finally:
        await database.close()
    return [(one.statement, one.extension) for one in found.indexes]


async def plan_of(connection: asyncpg.Connection, symbols: int) -> dict[str, Any]:
    text = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {library.REFERENCES}", patterns(symbols))
    plan: dict[str, Any] = json.loads(text)[0]["Plan"]
    return plan


async def test_the_index_that_is_advised_for_it_makes_it_fast(
    connection: asyncpg.Connection, database_url: str
) -> None:
    few, many = 2, MOST_SYMBOLS
    before = {symbols: await plan_of(connection, symbols) for symbols in (few, many)}
    for symbols in before:
        assert await advised(database_url, symbols) == [(CREATED, "pg_trgm")]
    await connection.execute("CREATE EXTENSION pg_trgm")
    await connection.execute(CREATED)
    for symbols, slow in before.items():
        fast = await plan_of(connection, symbols)
        assert indexes_of(fast) == {"chunks_content_idx"}
        assert 2 * cost_of(fast) < cost_of(slow)
        assert await advised(database_url, symbols) == []
    # A pool keeps statements prepared, and PostgreSQL plans them for any patterns after a while.
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    assert indexes_of(await plan_of(connection, many)) == {"chunks_content_idx"}
