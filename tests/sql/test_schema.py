"""schema.sql is what the migrations lead to."""

from __future__ import annotations

import asyncpg

from watchglass import sql
from watchglass.store.migrations import LATEST, migrate

# What pg_dump would print of a schema, and whatever it would not, a line for each object.
CATALOGUE = """
    SELECT format('%s %s', relkind, relname) || coalesce(' ' || reloptions::text, '')
        || coalesce(' PARTITION BY ' || pg_get_partkeydef(oid), '') AS line
    FROM pg_class WHERE relnamespace = 'watchglass'::regnamespace
UNION ALL
    SELECT format('column %s.%s %s %s %s %s %s', relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull,
        attidentity, pg_get_expr(adbin, adrelid))
    FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relnamespace = 'watchglass'::regnamespace AND relkind IN ('r', 'p', 'v') AND attnum > 0
UNION ALL
    SELECT format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace = 'watchglass'::regnamespace
UNION ALL
    SELECT pg_get_indexdef(indexrelid)
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE relnamespace = 'watchglass'::regnamespace
UNION ALL
    SELECT pg_get_viewdef(oid) FROM pg_class WHERE relnamespace = 'watchglass'::regnamespace AND relkind = 'v'
UNION ALL
    SELECT pg_get_triggerdef(pg_trigger.oid)
    FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid WHERE relnamespace = 'watchglass'::regnamespace
UNION ALL
    SELECT pg_get_functiondef(oid) || coalesce(proacl::text, 'public')
    FROM pg_proc WHERE pronamespace = 'watchglass'::regnamespace
ORDER BY 1
"""


async def catalogue(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return [row["line"] for row in await connection.fetch(CATALOGUE)]
    finally:
        await connection.close()


async def test_schema_sql_is_what_the_migrations_lead_to(database_url: str) -> None:
    assert await migrate(database_url) == list(range(1, LATEST + 1))
    migrated = await catalogue(database_url)
    connection = await asyncpg.connect(database_url)
    await connection.execute("DROP SCHEMA watchglass CASCADE")
    await connection.execute(sql.schema())
    await connection.execute("SELECT watchglass.create_partitions()")
    await connection.close()
    assert await catalogue(database_url) == migrated
    assert len(migrated) > 100


async def test_each_migration_says_which_it_is(database_url: str) -> None:
    assert list(sql.migrations()) == list(range(1, LATEST + 1))
    await migrate(database_url)
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch("SELECT version, name, min_writer FROM watchglass.migrations ORDER BY version")
    await connection.close()
    assert [row["version"] for row in rows] == list(sql.migrations())
    assert all(1 <= row["min_writer"] <= row["version"] for row in rows)
