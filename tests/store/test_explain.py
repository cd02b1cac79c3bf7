"""A statement is planned by EXPLAIN with its own parameters, or for any, and nothing else happens."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from support.databases import execute
from support.pgbouncer import PgBouncer
from support.pipelines import fetch, until
from support.programs import need
from watchglass.errors import DatabaseUnavailable
from watchglass.store.explain import NEEDS_PARAMETERS, NEEDS_ROLE, Explained, Explainer

TABLES = (
    "CREATE TABLE orders (id int PRIMARY KEY, customer int, note text, paid date)",
    "INSERT INTO orders SELECT i, i % 1000, 'note ' || i, '2026-01-01' FROM generate_series(1, 20000) i",
    "CREATE INDEX orders_customer ON orders (customer)",
    "ANALYZE orders",
)

OPEN = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = 'watchglass explain' AND datname = current_database()
"""


@pytest.fixture
def explainer(database_url: str) -> Explainer:
    execute(database_url, *TABLES)
    return Explainer(database_url)


@pytest.fixture
async def application(database_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


def top(explained: Explained) -> str:
    assert explained.plan is not None, explained
    return str(explained.plan["Plan"]["Node Type"])


async def test_a_plan_is_that_of_the_parameters(explainer: Explainer) -> None:
    few = await explainer.explain("SELECT * FROM orders WHERE id < $1", [10])
    most = await explainer.explain("SELECT * FROM orders WHERE id < $1", [20_000])
    assert (few.how, top(few)) == ("parameters", "Index Scan")
    assert (most.how, top(most)) == ("parameters", "Seq Scan")
    assert few.server_version.split(".")[0].isdigit()


async def test_without_parameters_a_plan_is_one_for_any(explainer: Explainer) -> None:
    explained = await explainer.explain("SELECT * FROM orders WHERE customer = $1 AND note <> $2")
    assert explained.how == "generic"
    assert explained.plan is not None
    assert "$1" in str(explained.plan), "planned for NULL it would be no scan at all"
    again = await explainer.explain("SELECT * FROM orders WHERE customer = $1 AND note <> $2")
    assert again.plan == explained.plan


async def test_parameters_that_the_driver_cannot_send_make_a_generic_plan(explainer: Explainer) -> None:
    explained = await explainer.explain("SELECT * FROM orders WHERE customer = $1", [{"of": "the application's"}])
    assert explained.how == "generic"
    assert explained.plan is not None
    too_few = await explainer.explain("SELECT * FROM orders WHERE customer = $1 AND id = $2", [1])
    assert too_few.how == "generic"
    assert too_few.plan is not None


async def test_a_plan_names_the_statement_as_pg_stat_statements_does(
    explainer: Explainer, application: asyncpg.Connection[asyncpg.Record]
) -> None:
    text = "SELECT note FROM orders WHERE customer = $1"
    await application.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    await application.fetch(text, 3)
    explained = await explainer.explain(text, [3])
    assert explained.plan is not None
    rows = await application.fetch("SELECT queryid FROM pg_stat_statements WHERE query = $1", text)
    assert explained.plan["Query Identifier"] in [row["queryid"] for row in rows]
    for_any = await explainer.explain(text)
    assert for_any.plan is not None
    assert for_any.plan["Query Identifier"] == explained.plan["Query Identifier"]


async def test_our_statements_are_marked(explainer: Explainer, application: asyncpg.Connection[asyncpg.Record]) -> None:
    await explainer.explain("SELECT paid FROM orders WHERE customer = $1", [3])
    await explainer.explain("SELECT paid FROM orders WHERE customer = $1")
    rows = await application.fetch(
        "SELECT query FROM pg_stat_statements WHERE query ~* 'paid from orders' AND query !~ 'pg_stat_statements'"
    )
    assert rows
    assert [row["query"] for row in rows if "/* watchglass:explain */" not in row["query"]] == []


async def test_an_error_is_told_by_its_sqlstate_alone(explainer: Explainer) -> None:
    assert await explainer.explain("SELECT * FROM nothing_here") == Explained(
        "parameters", sqlstate="42P01", server_version=(await explainer.explain("SELECT 1")).server_version
    )
    secret = await explainer.explain("SELECT * FROM orders WHERE id = ('secret ' || 'word')::int")
    assert secret.sqlstate == "22P02"
    assert "secret" not in repr(secret)


async def test_analyze_needs_a_role_of_its_own_and_parameters(explainer: Explainer, database_url: str) -> None:
    assert (await explainer.explain("SELECT 1", analyze=True)).refusal == NEEDS_ROLE
    of_role = Explainer(database_url, database_url)
    assert (await of_role.explain("SELECT * FROM orders WHERE id = $1", analyze=True)).refusal == NEEDS_PARAMETERS
    explained = await of_role.explain("SELECT * FROM orders WHERE id < $1", [10], analyze=True)
    assert explained.plan is not None
    assert (explained.how, explained.plan["Plan"]["Actual Rows"]) == ("analyze", 9)
    assert "Actual Total Time" not in explained.plan["Plan"]


async def test_a_lock_of_the_application_is_not_waited_for(
    explainer: Explainer, application: asyncpg.Connection[asyncpg.Record]
) -> None:
    async with application.transaction():
        await application.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        assert (await explainer.explain("SELECT * FROM orders")).sqlstate == "55P03"
    assert (await explainer.explain("SELECT * FROM orders")).plan is not None


async def test_a_plan_that_takes_too_long_is_cancelled(explainer: Explainer, database_url: str) -> None:
    of_role = Explainer(database_url, database_url)
    endless = "SELECT count(*) FROM generate_series(1, 10000000000) a"
    assert (await of_role.explain(endless, analyze=True, seconds=0.5)).sqlstate == "57014"


async def test_nothing_stays_open(explainer: Explainer, database_url: str) -> None:
    await explainer.explain("SELECT * FROM orders WHERE id = $1", [1])
    await explainer.explain("SELECT * FROM nothing_here")
    until(lambda: fetch(database_url, OPEN)[0]["count"] == 0)


async def test_behind_pgbouncer_a_server_connection_is_left_as_it_was(explainer: Explainer, database_url: str) -> None:
    with PgBouncer(need("pgbouncer", package="pgbouncer"), database_url) as pgbouncer:
        pooled = Explainer(pgbouncer.url)
        for text in ("SELECT * FROM orders WHERE customer = $1", "SELECT nothing FROM orders WHERE customer = $1"):
            for arguments in ([3], None):
                explained = await pooled.explain(text, arguments)
                assert (explained.plan is not None) == ("nothing" not in text), explained
        application = await asyncpg.connect(pgbouncer.url, statement_cache_size=0)
        assert await application.fetchval("SELECT count(*) FROM pg_prepared_statements WHERE name ~ 'watchglass'") == 0
        assert await application.fetchval("SHOW transaction_read_only") == "off"
        assert await application.fetchval("SHOW plan_cache_mode") == "auto"
        await application.close()


async def test_a_database_that_is_away_is_an_error_of_ours(free_port: int) -> None:
    with pytest.raises(DatabaseUnavailable):
        await Explainer(f"postgresql://app@127.0.0.1:{free_port}/app").explain("SELECT 1")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM orders o JOIN LATERAL (SELECT max(id) FROM orders WHERE customer = o.customer) m ON true",
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT * FROM n",
        "SELECT count(*) FILTER (WHERE paid > now()), date_trunc('day', paid) AS d FROM orders GROUP BY d",
        "(SELECT id FROM orders) UNION ALL SELECT customer FROM orders ORDER BY 1 LIMIT 5;",
        "SELECT row_number() OVER (PARTITION BY customer ORDER BY id), lower(note) FROM orders WHERE note ILIKE '%x%'",
        "/* of the application */ SELECT * FROM orders WHERE customer = ANY($1::int[]) -- the end",
        "SELECT jsonb_agg(o) FROM (SELECT * FROM orders OFFSET 5) o WHERE o.note ~ '^n' OR o.id IN (1, 2)",
    ],
)
async def test_ordinary_statements_are_explained(explainer: Explainer, text: str) -> None:
    explained = await explainer.explain(text)
    assert explained.plan is not None, explained


@pytest.mark.parametrize(
    ("extension", "text"),
    [
        ("citext", "SELECT * FROM things WHERE name = 'a' AND lower(name) = 'b'"),
        ("pg_trgm", "SELECT * FROM things WHERE similarity(name::text, 'a') > 0.3 AND name::text % 'b'"),
        ("hstore", "SELECT * FROM things WHERE name::text::hstore -> 'a' = 'b'"),
    ],
)
async def test_functions_of_well_known_extensions_are_trusted(database_url: str, extension: str, text: str) -> None:
    kind = "citext" if extension == "citext" else "text"
    execute(database_url, f"CREATE EXTENSION {extension}", f"CREATE TABLE things (name {kind})")
    explained = await Explainer(database_url).explain(text)
    assert explained.plan is not None, explained
