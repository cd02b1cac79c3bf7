"""What changes rows is advised on by planning the search for them, which is behind the same fences as any statement."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from support.databases import execute
from support.pipelines import fetch
from watchglass.analysis.fingerprints import of_statement
from watchglass.instrumentation.slow_captures import SlowStatement
from watchglass.jobs.plans import explained_as_kept
from watchglass.store.advising import LOCKED, Advised, advise
from watchglass.store.database import Database
from watchglass.store.explain import Explainer

TABLES = (
    "CREATE TABLE orders (id int PRIMARY KEY, customer int, note text)",
    "INSERT INTO orders SELECT i, i % 2000, 'note ' || i FROM generate_series(1, 50000) i",
    "ANALYZE orders",
    "CREATE TABLE loot (id int)",
    "CREATE FUNCTION evil(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS"
    " $$ BEGIN RAISE EXCEPTION 'evil was run'; END $$",
)


@pytest.fixture
def url(database_url: str) -> str:
    execute(database_url, *TABLES)
    return database_url


@pytest_asyncio.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    yield database
    await database.close()


async def asked(database: Database, url: str, text: str, *arguments: object) -> Advised:
    return await advise(database, Explainer(url), text, arguments or None)


async def test_an_index_that_the_statement_itself_writes_to_says_so(database: Database, url: str) -> None:
    found = await asked(database, url, "UPDATE orders SET customer = $1, note = $2 WHERE customer = $3")
    [index] = found.indexes
    assert index.statement == "CREATE INDEX CONCURRENTLY ON public.orders (customer)"
    assert index.writes.endswith("The statement itself changes customer.")
    found = await asked(database, url, "UPDATE orders SET note = $1 WHERE customer = $2", "x", 7)
    assert found.how == "parameters" and "itself" not in found.indexes[0].writes


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("DELETE FROM orders WHERE customer = evil(7)", "evil is a function that is not PostgreSQL's own"),
        ("UPDATE orders SET note = 'x' WHERE customer = (SELECT evil(7))", "evil is a function"),
        ("DELETE FROM orders USING pg_read_file('PG_VERSION') f WHERE note = f", "pg_read_file is a function"),
        ("UPDATE orders SET note = 'x' WHERE pg_terminate_backend(customer)", "pg_terminate_backend is a function"),
        ("WITH x AS (DELETE FROM orders RETURNING id) DELETE FROM loot WHERE id IN (SELECT id FROM x)", "It writes"),
        ("WITH x AS (INSERT INTO loot VALUES (1) RETURNING id) SELECT * FROM x FOR UPDATE", "It writes"),
        ("DELETE FROM orders WHERE customer = 7; DELETE FROM orders", "not a statement that looks for rows"),
        ("DELETE FROM orders WHERE note = E'\\'; DELETE FROM orders; --'", None),
        ("DELETE FROM orders WHERE note = $$'; DELETE FROM orders; --$$", None),
        ("DELETE /* WHERE */ FROM orders WHERE customer = 7 -- ; DELETE FROM orders", None),
        ("UPDATE orders SET note = evil(7)::text WHERE customer = 7", None),
    ],
)
async def test_nothing_is_run_and_what_may_run_something_is_not_planned(
    database: Database, url: str, text: str, reason: str | None
) -> None:
    found = await asked(database, url, text)
    if reason is not None:
        assert found.indexes == () and found.note is not None and reason in found.note
    assert [row["count"] for row in fetch(url, "SELECT count(*) FROM orders UNION ALL SELECT count(*) FROM loot")] == [
        50_000,
        0,
    ]


async def test_a_table_that_is_locked_is_no_database_that_does_not_answer(database: Database, url: str) -> None:
    holder = await asyncpg.connect(url)
    try:
        async with holder.transaction():
            await holder.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            for text in ("SELECT id FROM orders WHERE customer = 7", "DELETE FROM orders WHERE customer = 7"):
                assert await asked(database, url, text) == Advised(note=LOCKED)
            other = await asked(database, url, "SELECT id FROM loot WHERE id = 7")
            assert other.note != LOCKED
    finally:
        await holder.close()
    [index] = (await asked(database, url, "SELECT id FROM orders WHERE customer = 7")).indexes
    assert index.columns == ("customer",)


async def test_a_value_in_a_document_is_advised_an_index_with_the_key_that_a_slow_execution_had(
    database: Database, url: str
) -> None:
    execute(
        url,
        "CREATE TABLE notes AS SELECT i AS id, jsonb_build_object('label', 'swordfish ' || i) AS doc,"
        " repeat('x', 200) AS filler FROM generate_series(1, 20000) i",
        "ANALYZE notes",
    )
    sent = "SELECT id FROM notes WHERE (doc ->> $1::text) = $2::varchar"
    slow = SlowStatement(of_statement(sent), sent, ("label", "swordfish 7"), 2.0, None, None, 0.0)
    kept, _ = await explained_as_kept(Explainer(url), slow, "shop")
    assert kept is not None and kept.plan["Keys"] == ["label"] and "swordfish" not in str(kept)
    assert (await asked(database, url, sent)).indexes == ()
    found = await advise(database, Explainer(url), sent, None, kept.plan)
    [index] = found.indexes
    assert index.statement == "CREATE INDEX CONCURRENTLY ON public.notes ((doc ->> 'label'))"
    assert "only guessed" in index.reason and index.size.most > 5 * index.size.least
    execute(url, index.definition, "ANALYZE notes")
    assert (await advise(database, Explainer(url), sent, None, kept.plan)).indexes == ()
