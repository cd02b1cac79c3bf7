"""Twenty slow statements, what should be advised for each, and what each advised index does once it exists.

The tables are made on a real server, the plans are its own, and so are those with the indexes.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from support.databases import execute, fresh_database
from support.shop_tables import SHOP
from watchglass.analysis import sql_reading
from watchglass.analysis.index_advice import GAIN, Advice, advise
from watchglass.analysis.relations import Facts
from watchglass.analysis.rewrites import rewrites
from watchglass.analysis.scans import cost_of, indexes_of
from watchglass.analysis.searches import search_of
from watchglass.demo.servers import PostgreSQL
from watchglass.store import relations

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

ON = "CREATE INDEX CONCURRENTLY ON public."


@dataclass(frozen=True)
class Case:
    statement: str
    indexes: tuple[str, ...] = ()
    rewrite: str | None = None


CASES = {
    "equality": Case("SELECT * FROM orders WHERE reference = 'R77'", (f"{ON}orders (reference)",)),
    "equality and range": Case(
        "SELECT * FROM orders WHERE created_at >= '2024-07-01' AND customer_id = 42",
        (f"{ON}orders (customer_id, created_at)",),
    ),
    "equality, sort and limit": Case(
        "SELECT * FROM orders WHERE customer_id = 42 ORDER BY created_at DESC LIMIT 10",
        (f"{ON}orders (customer_id, created_at)",),
    ),
    "sort and limit": Case("SELECT * FROM orders ORDER BY created_at DESC LIMIT 20", (f"{ON}orders (created_at)",)),
    "join without index": Case(
        "SELECT o.* FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.email = 'user42@example.com'",
        (f"{ON}orders (customer_id)",),
    ),
    "two joins": Case(
        "SELECT c.name, i.product FROM customers c JOIN orders o ON o.customer_id = c.id JOIN items i"
        " ON i.order_id = o.id WHERE c.email = 'user42@example.com'",
        (f"{ON}items (order_id)", f"{ON}orders (customer_id)"),
    ),
    "lower of a column": Case(
        "SELECT * FROM customers WHERE lower(email) = 'user42@example.com'", (f"{ON}customers (lower(email))",)
    ),
    "LIKE anywhere": Case(
        "SELECT * FROM customers WHERE name LIKE '%c81e728d9d%'",
        (f"{ON}customers USING gin (name public.gin_trgm_ops)",),
    ),
    "LIKE from the beginning": Case(
        """SELECT * FROM orders WHERE "Delivery Code" LIKE 'K1234%'""",
        (f'{ON}orders ("Delivery Code" text_pattern_ops)',),
    ),
    "containment in a document": Case(
        """SELECT id FROM events WHERE payload @> '{"sku": 77}'""",
        (f"{ON}events USING gin (payload jsonb_path_ops)",),
    ),
    "membership in an array": Case(
        "SELECT id FROM events WHERE tags @> ARRAY['t77']", (f"{ON}events USING gin (tags)",)
    ),
    "a list": Case("SELECT * FROM orders WHERE reference IN ('R1', 'R2', 'R3')", (f"{ON}orders (reference)",)),
    "a subquery that needs two indexes": Case(
        "SELECT * FROM items WHERE order_id IN (SELECT id FROM orders WHERE reference = 'R77')",
        (f"{ON}items (order_id)", f"{ON}orders (reference)"),
    ),
    "cast on the column": Case("SELECT * FROM events WHERE code::text = '4711'", rewrite="cast"),
    "low selectivity": Case("SELECT * FROM orders WHERE status = 'paid'"),
    "aggregate of the whole table": Case("SELECT status, count(*), sum(total) FROM orders GROUP BY status"),
    "tiny table": Case("SELECT * FROM rates WHERE country = 'C3'"),
    "already indexed": Case("SELECT * FROM customers WHERE email = 'user42@example.com'"),
    "OFFSET paging": Case("SELECT * FROM orders ORDER BY id LIMIT 20 OFFSET 50000", rewrite="offset"),
    "NOT IN": Case("SELECT count(*) FROM customers WHERE id NOT IN (SELECT customer_id FROM orders)", rewrite="not_in"),
}


MORE = {
    "a prefix, by bytes": Case("SELECT * FROM orders WHERE reference LIKE 'R1234%'", (f"{ON}orders (reference)",)),
    "a prefix without regard to case": Case(
        "SELECT * FROM customers WHERE name ILIKE 'C81E728D9D%'",
        (f"{ON}customers USING gin (name public.gin_trgm_ops)",),
    ),
    "a pattern that is no word": Case("SELECT * FROM customers WHERE name LIKE '%a%'"),
    "a pattern without a letter": Case("SELECT * FROM customers WHERE name LIKE '%-- -%'"),
    "anything but a pattern": Case("SELECT * FROM customers WHERE name NOT LIKE '% %'"),
    "any of two patterns": Case(
        "SELECT * FROM customers WHERE name ILIKE ANY (ARRAY['%C81E728D9D%', 'eccbc87e4b%'])",
        (f"{ON}customers USING gin (name public.gin_trgm_ops)",),
    ),
    "any of the patterns of a literal": Case(
        "SELECT * FROM customers WHERE name LIKE ANY ('{%c81e728d9d%,%eccbc87e4b%}'::text[]) ORDER BY id LIMIT 50",
        (f"{ON}customers USING gin (name public.gin_trgm_ops)",),
    ),
    "any of two patterns, one of which has no trigrams": Case(
        "SELECT * FROM customers WHERE name LIKE ANY (ARRAY['%c81e728d9d%', '%zz%'])"
    ),
    "any of two patterns, or something else": Case(
        "SELECT * FROM customers WHERE name LIKE ANY (ARRAY['%c81e728d9d%', '%eccbc87e4b%']) OR country = 'C3'"
    ),
    "all of two patterns": Case("SELECT * FROM customers WHERE name LIKE ALL (ARRAY['%c81e728d9d%', '%eccbc87e4b%'])"),
    "not any of two patterns": Case(
        "SELECT * FROM customers WHERE name NOT LIKE ANY (ARRAY['%c81e728d9d%', '%eccbc87e4b%'])"
    ),
    "any of many patterns": Case(
        f"SELECT * FROM customers WHERE name LIKE ANY ('{{{','.join(f'%{i:06x}ab%' for i in range(300))}}}')",
        (f"{ON}customers USING gin (name public.gin_trgm_ops)",),
    ),
    "a value in a document": Case(
        "SELECT id FROM events WHERE payload ->> 'sku' = '77'", (f"{ON}events ((payload ->> 'sku'))",)
    ),
    "a value in a document that is a number": Case(
        "SELECT id FROM events WHERE 77=(payload->>'sku')::int",
        (f"{ON}events (((payload ->> 'sku')::integer))",),
    ),
    "a value further down in a document, folded": Case(
        "SELECT id FROM events e WHERE lower((e.payload -> 'more') ->> 'name') = 'x'",
        (f"{ON}events (lower(((payload -> 'more') ->> 'name')))",),
    ),
    "a value in a document, by a function": Case(
        "SELECT id FROM events WHERE jsonb_extract_path_text(payload, 'sku') = '77'"
    ),
    "a key of a document that each row has": Case("SELECT id FROM events WHERE payload ->> id::text = '77'"),
    "a value in a document that has an index": Case("SELECT id FROM numbered WHERE (payload -> 'a') ->> 'sku' = '7'"),
    "a member of an array": Case("SELECT id FROM events WHERE 't77' = ANY(tags)", rewrite="member"),
    "a day of a timestamp": Case("SELECT * FROM orders WHERE created_at::date = '2024-07-01'", rewrite="cast"),
    "names that need quotes": Case(
        """SELECT * FROM "Old Shop"."order" AS "O" WHERE "O"."user" = 42""",
        ('CREATE INDEX CONCURRENTLY ON "Old Shop"."order" ("user")',),
    ),
    "an order of two directions": Case(
        "SELECT * FROM items ORDER BY quantity DESC, product LIMIT 10", (f"{ON}items (quantity DESC, product)",)
    ),
    "NULLs at the other end": Case(
        "SELECT * FROM orders ORDER BY created_at DESC NULLS LAST LIMIT 10",
        (f"{ON}orders (created_at DESC NULLS LAST)",),
    ),
    "either of two columns": Case(
        "SELECT * FROM orders WHERE reference = 'R77' OR customer_id = 3",
        (f"{ON}orders (customer_id)", f"{ON}orders (reference)"),
    ),
    "either of two columns, one of which has an index": Case(
        "SELECT * FROM customers WHERE email = 'user42@example.com' OR name = 'x'", (f"{ON}customers (name)",)
    ),
    "one of two values": Case(
        "SELECT * FROM orders WHERE reference = 'R77' OR reference = 'R78'", (f"{ON}orders (reference)",)
    ),
    "either, with something else": Case(
        "SELECT * FROM orders WHERE (reference = 'R77' OR (customer_id = 3 AND status = 'open')) AND total > 5",
        (f"{ON}orders (customer_id, status)", f"{ON}orders (reference)"),
    ),
    "either, of which one lets most through": Case("SELECT * FROM orders WHERE reference = 'R77' OR status = 'paid'"),
    "either, of which no index serves one": Case(
        "SELECT * FROM orders WHERE reference = 'R77' OR total::text = '5'", rewrite=None
    ),
    "either, of two tables": Case(
        "SELECT * FROM orders o JOIN items i ON i.id = o.id WHERE o.reference = 'R77' OR i.product = 'P7'"
    ),
    "an update": Case(
        "UPDATE orders SET status = 'sent', total = total + 1 WHERE reference = 'R77'", (f"{ON}orders (reference)",)
    ),
    "an update from another table": Case(
        "UPDATE orders AS o SET status = c.country FROM customers c"
        " WHERE c.id = o.customer_id AND c.email = 'user42@example.com'",
        (f"{ON}orders (customer_id)",),
    ),
    "an update of all rows": Case("UPDATE orders SET total = total + 1"),
    "a delete": Case(
        "DELETE FROM orders WHERE customer_id = 42 AND created_at < '2024-02-01' RETURNING id",
        (f"{ON}orders (customer_id, created_at)",),
    ),
    "a delete by a key": Case("DELETE FROM orders WHERE id = 42"),
    "a delete with another table": Case(
        "DELETE FROM items USING orders o WHERE o.id = items.order_id AND o.id = 42", (f"{ON}items (order_id)",)
    ),
    "a queue": Case(
        "UPDATE orders SET status = 'sent' WHERE id = (SELECT id FROM orders WHERE customer_id = 42"
        " ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED)",
        (f"{ON}orders (customer_id, created_at)",),
    ),
    "what locks rows": Case("SELECT * FROM orders WHERE reference = 'R77' FOR UPDATE", (f"{ON}orders (reference)",)),
    "two ways to ask one table, one of which serves both": Case(
        "SELECT id FROM orders WHERE customer_id = 42 AND status = 'sent' UNION ALL"
        " SELECT id FROM orders WHERE customer_id IN (1, 2)",
        (f"{ON}orders (customer_id, status)",),
    ),
    "a subquery for each row": Case(
        "SELECT c.name, (SELECT max(total) FROM orders o WHERE o.customer_id = c.id) FROM customers c LIMIT 10",
        (f"{ON}orders (customer_id)",),
    ),
    "a subquery in the condition": Case(
        "SELECT c.name FROM customers c WHERE (SELECT count(*) FROM orders o WHERE o.customer_id = c.id) > 60",
        (f"{ON}orders (customer_id)",),
    ),
    "a value that is looked up first": Case(
        "SELECT * FROM orders WHERE created_at = (SELECT max(created_at) FROM orders WHERE reference = 'R77') LIMIT 3",
        (f"{ON}orders (created_at)", f"{ON}orders (reference)"),
    ),
    "something rare beside something frequent": Case(
        "SELECT * FROM orders WHERE status = 'paid' AND total::text = '5'", rewrite="cast"
    ),
    "a text that is cast to a text": Case(
        "SELECT * FROM orders WHERE reference::varchar = 'R77'", (f"{ON}orders (reference)",)
    ),
    "a table whose name ends in a number": Case(
        "SELECT * FROM shifts_2024 WHERE place = 42", (f"{ON}shifts_2024 (place)",)
    ),
    "anything but a value": Case("SELECT * FROM orders WHERE reference <> 'R77'"),
    "an order of everything": Case("SELECT * FROM orders ORDER BY created_at"),
    "a key and its value": Case(
        "SELECT * FROM orders WHERE status = 'sent' AND customer_id = 42", (f"{ON}orders (customer_id, status)",)
    ),
    "a join of everything": Case("SELECT count(*) FROM orders o JOIN items i ON i.order_id = o.id"),
    "what does not exist elsewhere": Case(
        "SELECT * FROM customers c WHERE c.email LIKE 'user1777%' AND NOT EXISTS"
        " (SELECT FROM orders o WHERE o.customer_id = c.id)",
        (f"{ON}orders (customer_id)",),
    ),
    "a table by another name": Case(
        "WITH orders AS (SELECT * FROM items WHERE product = 'P7') SELECT * FROM orders WHERE quantity = 3",
        (f"{ON}items (product)",),
    ),
    "OFFSET of a few rows": Case("SELECT * FROM orders ORDER BY id LIMIT 20 OFFSET 40"),
}
"""Beside the twenty: what goes wrong easily."""


INDEXED = (
    "CREATE TABLE numbered AS SELECT id, jsonb_build_object('a', payload) AS payload FROM events",
    "CREATE INDEX ON numbered (((payload -> 'a') ->> 'sku'))",
)
NUMBERED = "CREATE TABLE shifts_2024 AS SELECT i AS id, i % 5000 AS place FROM generate_series(1, 50000) AS i"


@pytest.fixture(scope="module")
def shop_url(postgres_server: PostgreSQL) -> Iterator[str]:
    with fresh_database(postgres_server) as url:
        execute(url, SHOP, NUMBERED, *INDEXED, "VACUUM ANALYZE")
        yield url


@pytest.fixture
async def connection(shop_url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(shop_url, statement_cache_size=0)
    yield connection
    await connection.close()


async def plan_of(connection: Connection, statement: str) -> dict[str, Any]:
    [row] = await connection.fetch(f"EXPLAIN (FORMAT JSON) {statement}")
    found: dict[str, Any] = json.loads(row[0])[0]["Plan"]
    return found


def asked(statement: str) -> str:
    """What is planned of it: the SELECT that finds the rows, where it changes or locks some."""
    search = search_of(statement)
    return search.text if search else statement


async def facts_of(connection: Connection, statement: str) -> Facts:
    tree = sql_reading.read(statement)
    names = [sql_reading.written(table) for table in (sql_reading.tables(tree) if tree else ())]
    return (await relations.facts(connection.fetch, names))[0]


async def advice_for(connection: Connection, statement: str) -> list[Advice]:
    planned = asked(statement)
    return advise(planned, await plan_of(connection, planned), await facts_of(connection, planned))


ALL = CASES | MORE


@pytest.mark.parametrize("name", ALL)
async def test_what_is_advised_for_a_slow_statement(connection: Connection, name: str) -> None:
    case = ALL[name]
    found = await advice_for(connection, case.statement)
    assert sorted(one.statement for one in found) == sorted(case.indexes)
    suggested = [one.kind for one in rewrites(asked(case.statement), await facts_of(connection, asked(case.statement)))]
    assert suggested == ([case.rewrite] if case.rewrite else [])


@pytest.mark.parametrize("name", [name for name, case in ALL.items() if case.indexes])
async def test_an_advised_index_is_used_and_makes_the_statement_cheaper(connection: Connection, name: str) -> None:
    statement = ALL[name].statement
    found = await advice_for(connection, statement)
    assert found
    before = await plan_of(connection, statement)
    made, after = await with_indexes(connection, found, statement)
    assert made <= indexes_of(after)
    assert cost_of(after) * GAIN < cost_of(before)


async def with_indexes(connection: Connection, advice: list[Advice], statement: str) -> tuple[set[str], dict[str, Any]]:
    """The names of the indexes once they exist, and the plan then; they are gone afterwards."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        there = await names_of_indexes(connection)
        for one in advice:
            if one.extension:
                await connection.execute(f"CREATE EXTENSION {one.extension}")
            await connection.execute(one.definition)
            await connection.execute(f"ANALYZE {one.table}")
        return await names_of_indexes(connection) - there, await plan_of(connection, statement)
    finally:
        await transaction.rollback()


async def names_of_indexes(connection: Connection) -> set[str]:
    return {row["indexname"] for row in await connection.fetch("SELECT indexname FROM pg_indexes")}
