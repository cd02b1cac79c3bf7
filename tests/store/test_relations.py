"""What the catalogue says of tables and indexes: right, bounded, and for any role."""

from __future__ import annotations

from collections.abc import Iterable

import asyncpg
import pytest

from support.databases import execute
from watchglass.analysis.index_usage import IndexUse, duplicates, invalid
from watchglass.analysis.relations import Facts
from watchglass.demo.servers import PostgreSQL
from watchglass.store import relations
from watchglass.store.database import Database
from watchglass.store.relations import MOST_TABLES, Server, Usage

TABLES = (
    "CREATE SCHEMA shop",
    'CREATE TABLE shop."Orders" (id bigint PRIMARY KEY, customer int, "order" text, tags text[], payload jsonb)',
    """INSERT INTO shop."Orders"
    SELECT i, i % 100, 'o' || i, ARRAY['a'], '{}' FROM generate_series(1, 20000) AS i""",
    'CREATE INDEX lowered ON shop."Orders" (lower("order")) WHERE customer > 7',
    'CREATE INDEX prefixes ON shop."Orders" ("order" text_pattern_ops, customer DESC) INCLUDE (id)',
    'CREATE INDEX documents ON shop."Orders" USING gin (payload jsonb_path_ops)',
    "ANALYZE",
)


async def facts(url: str, *names: str) -> tuple[Facts, Server]:
    database = Database(url)
    try:
        return await database.ask(lambda fetch: relations.facts(fetch, names))
    finally:
        await database.close()


async def usage(url: str, limit: int = 1000) -> Usage:
    database = Database(url)
    try:
        return await relations.usage(database, limit)
    finally:
        await database.close()


def url_as(server: PostgreSQL, url: str) -> str:
    """The superuser's URL of the same database."""
    return f"{server.superuser_url.rpartition('/')[0]}/{url.rpartition('/')[2]}"


async def test_a_table_is_known_with_its_columns_and_indexes(database_url: str) -> None:
    execute(database_url, *TABLES)
    found, server = await facts(database_url, '"shop"."Orders"', '"nowhere"', '"no"."where"')
    [(written, orders)] = found.relations.items()
    assert (written, orders.quoted, orders.kind) == ('"shop"."Orders"', 'shop."Orders"', "r")
    assert orders.rows == pytest.approx(20_000, rel=0.01) and orders.pages > 100
    columns = orders.columns
    assert columns["order"].quoted == '"order"' and columns["order"].is_text
    assert columns["tags"].is_array and columns["payload"].is_jsonb
    assert columns["customer"].distinct == pytest.approx(100, rel=0.05)
    assert columns["id"].distinct == pytest.approx(20_000, rel=0.05)
    indexes = {index.name: index for index in orders.indexes}
    assert indexes["Orders_pkey"].primary and indexes["Orders_pkey"].constraint == "Orders_pkey"
    assert indexes["lowered"].shapes == ("lower(order)",) and not indexes["lowered"].serves
    assert indexes["prefixes"].shapes == ("order", "customer")
    assert indexes["prefixes"].classes[0] == "text_pattern_ops"
    assert (indexes["documents"].method, indexes["documents"].classes) == ("gin", ("jsonb_path_ops",))
    assert server.counted_seconds >= 0 and not server.replica


async def test_a_table_that_was_never_analyzed_has_a_size_and_guesses(database_url: str) -> None:
    execute(database_url, *TABLES[:3])
    found, _ = await facts(database_url, '"shop"."Orders"')
    orders = found.relations['"shop"."Orders"']
    assert orders.pages > 100 and orders.rows > 1000
    if not orders.columns["customer"].analyzed:  # autovacuum may have been there
        assert orders.columns["customer"].distinct == 200


async def test_a_role_that_may_not_read_the_table_gets_guesses_instead_of_its_statistics(
    postgres_server: PostgreSQL, database_url: str
) -> None:
    superuser = url_as(postgres_server, database_url)
    execute(superuser, *TABLES)
    execute(superuser, "GRANT USAGE ON SCHEMA shop TO app")
    found, _ = await facts(database_url, '"shop"."Orders"')
    orders = found.relations['"shop"."Orders"']
    assert not orders.columns["customer"].analyzed
    assert orders.rows == pytest.approx(20_000, rel=0.01)
    assert len((await usage(database_url)).indexes) == 4


async def test_a_statement_of_many_tables_is_looked_at_in_part(database_url: str) -> None:
    execute(database_url, *(f"CREATE TABLE t{number} (id int)" for number in range(MOST_TABLES + 5)))
    found, _ = await facts(database_url, *(f'"t{number}"' for number in range(MOST_TABLES + 5)))
    assert len(found.relations) == MOST_TABLES


async def test_indexes_that_cannot_be_dropped_alone_or_are_not_the_applications_are_left_out(store_url: str) -> None:
    execute(
        store_url,
        "CREATE TABLE parts (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)",
        "CREATE INDEX parts_day ON parts (day)",
        "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
        "CREATE INDEX parts_1_only ON parts_1 (id)",
    )
    assert names((await usage(store_url)).indexes) == {"parts_1_only"}


async def test_the_largest_indexes_come_first_and_others_are_said_to_be_there(database_url: str) -> None:
    execute(database_url, *TABLES)
    found = await usage(database_url, 2)
    assert found.more and len(found.indexes) == 2
    assert found.indexes[0].bytes >= found.indexes[1].bytes > 0


async def test_scans_are_counted_and_what_failed_to_be_built_is_told(database_url: str) -> None:
    execute(database_url, "CREATE TABLE t (id int, other int)", "INSERT INTO t VALUES (1), (1)")
    with pytest.raises(asyncpg.UniqueViolationError):
        execute(database_url, "CREATE UNIQUE INDEX CONCURRENTLY broken ON t (id)")
    execute(database_url, "CREATE INDEX fine ON t (other)", "CREATE INDEX again ON t (other)")
    found = (await usage(database_url)).indexes
    assert [(one.index.name, one.serving) for one in duplicates(found)] == [("again", "fine")]
    [broken] = [one for one in found if one.name == "broken"]
    assert not broken.valid
    assert names(one.index for one in invalid(found)) == {"broken"}


@pytest.mark.slow
async def test_a_database_of_five_thousand_tables_is_read_within_the_bound(database_url: str) -> None:
    """`Database.ask` would raise `QueryTooSlow` after three seconds."""
    for hundred in range(50):
        execute(database_url, "; ".join(f"CREATE TABLE t{hundred}_{number} {COLUMNS}" for number in range(100)))
    execute(database_url, "ANALYZE")
    found = await usage(database_url, 20_000)
    assert len(found.indexes) == 10_000 and not found.more
    known, _ = await facts(database_url, '"t7_7"', '"t49_99"')
    assert {one.name for one in known.relations.values()} == {"t7_7", "t49_99"}
    assert all(len(one.indexes) == 2 for one in known.relations.values())


COLUMNS = "(id int PRIMARY KEY, customer int, total numeric, note text, UNIQUE (customer, total))"


def names(indexes: Iterable[IndexUse]) -> set[str]:
    return {index.name for index in indexes}
