"""Text in log lines is found by an index, where the extension for it is there, and without it all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import asyncpg
import pytest

from support.log_lines import add_processes, fill
from support.partitions import HOUR, this_hour
from watchglass.jobs.text_index import TextIndex, index_text
from watchglass.settings import Settings
from watchglass.store.connection import connect
from watchglass.store.database import Database
from watchglass.store.logs import LogFilter, LogPage, LogSearch

Connection = asyncpg.Connection  # type: ignore[type-arg] # a class of one row type at run time only


@pytest.fixture
def hours() -> list[datetime]:
    """Two that are over, and the one that runs."""
    return [this_hour() - age * HOUR for age in (3, 2, 0)]


@pytest.fixture
async def connection(store_url: str, hours: list[datetime]) -> AsyncIterator[Connection]:
    """A store with lines of these hours."""
    connection = await asyncpg.connect(store_url)
    await add_processes(connection, "shop", "mail")
    for hour in hours:
        await fill(connection, hour, 2_000)
    yield connection
    await connection.close()


@pytest.fixture
async def with_trigrams(connection: Connection) -> Connection:
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm')"):
        pytest.skip("this PostgreSQL comes without pg_trgm")
    await connection.execute("CREATE SCHEMA extensions; CREATE EXTENSION pg_trgm SCHEMA extensions")
    return connection


async def search(store_url: str, text: str, start: datetime, hours: int = 2) -> LogPage:
    database = Database(store_url)
    try:
        return await LogSearch(database).before(LogFilter(text=text), start, start + hours * HOUR, 100)
    finally:
        await database.close()


async def test_hours_that_are_over_get_an_index_the_newest_first(
    store_url: str, with_trigrams: Connection, hours: list[datetime]
) -> None:
    names = [f"logs_{hour:%Y%m%d%H}" for hour in hours[1::-1]]
    assert await index_text(store_url, 8192) == names
    assert await index_text(store_url, 8192) == [], "each once, and none for the hour that runs"
    assert await index_text(store_url, 8192, 8192) == []


@pytest.mark.parametrize("text", ["took 99", "TOOK 99", "KeyError 1007", "xy"])
async def test_the_same_lines_are_found_with_the_index_as_without(
    store_url: str, with_trigrams: Connection, text: str, hours: list[datetime]
) -> None:
    without = await search(store_url, text, hours[0])
    await index_text(store_url, 8192)
    found = await search(store_url, text, hours[0])
    assert (without.indexed, found.indexed) == (False, True)
    assert found.rows == without.rows
    assert not (await search(store_url, text, hours[0], 4)).indexed, "the hour that runs is read line by line"


async def test_the_index_is_used(store_url: str, with_trigrams: Connection, hours: list[datetime]) -> None:
    await index_text(store_url, 8192)
    await with_trigrams.execute("ANALYZE watchglass.logs; SET enable_seqscan = off")
    plan = await with_trigrams.fetch(
        "EXPLAIN SELECT * FROM watchglass.logs WHERE time < $1 AND (message ILIKE $2 OR exception ILIKE $2)",
        *(hours[1], "%ff00ff%"),
    )
    text = "\n".join(row[0] for row in plan)
    assert text.count("_text") == 2 and "BitmapOr" in text


async def test_without_the_extension_there_is_none(
    store_url: str, connection: Connection, hours: list[datetime]
) -> None:
    assert await index_text(store_url, 8192) == []
    assert not (await search(store_url, "took", hours[0])).indexed


async def test_hours_that_are_read_as_quickly_without_get_none(store_url: str, with_trigrams: Connection) -> None:
    assert await index_text(store_url) == []


async def test_it_is_made_as_the_owner_and_for_those_who_were_granted_it(with_trigrams: Connection) -> None:

    assert await with_trigrams.fetchval(
        "SELECT prosecdef FROM pg_proc WHERE oid = 'watchglass.index_text(bigint, bigint)'::regprocedure"
    )
    assert await with_trigrams.fetchval(
        "SELECT NOT has_function_privilege('pg_monitor', 'watchglass.index_text(bigint, bigint)', 'EXECUTE')"
    )


async def test_it_is_left_off_when_the_process_stops(store_url: str, with_trigrams: Connection) -> None:
    job = TextIndex(Settings(app_database_url=store_url))
    async with with_trigrams.transaction():
        await with_trigrams.execute("SELECT pg_advisory_xact_lock(hashtext('watchglass'), hashtext('text'))")
        job.begin()
        first = job._task
        job.begin()
        assert job._task is first, "one at a time"
        await asyncio.wait_for(job.stop(), 30)
    assert first is not None and first.done()
    other = await connect(store_url)
    await other.close()
    await TextIndex(Settings()).stop()
