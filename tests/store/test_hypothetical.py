"""PostgreSQL itself is asked whether it would use an index, where HypoPG is; where it is not, that is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from support.databases import execute, fresh_database
from support.installations import installation_in
from support.pgbouncer import PgBouncer
from support.programs import need
from support.shop_tables import SHOP
from watchglass.analysis.index_advice import Advice
from watchglass.demo.servers import PostgreSQL
from watchglass.store import relations
from watchglass.store.advising import Advised, advise
from watchglass.store.database import Database
from watchglass.store.explain import Explainer
from watchglass.store.hypothetical import NO_HYPOPG, NO_INVERTED, Hypothetical, verify

CREATE = "CREATE EXTENSION hypopg"
BY_REFERENCE = "SELECT * FROM orders WHERE reference = $1"


def with_hypopg(server: PostgreSQL) -> Path | None:
    """The programs of a PostgreSQL that has HypoPG: the session's, or one of the machine's."""
    installed = [server.installation.binaries] if server.installation else []
    installed += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((one for one in installed if installation_in(one).has_library("hypopg")), None)


@pytest.fixture(scope="module")
def server(postgres_server: PostgreSQL) -> Iterator[PostgreSQL]:
    binaries = with_hypopg(postgres_server)
    if binaries is None:
        pytest.skip("no PostgreSQL of this machine has HypoPG: install postgresql-NN-hypopg")
    with PostgreSQL(installation=installation_in(binaries)) as server:
        yield server


@pytest.fixture(scope="module")
def shop_url(server: PostgreSQL) -> Iterator[str]:
    """A shop in a database that has HypoPG, in a schema that is on nobody's path."""
    with fresh_database(server) as url:
        execute(url, SHOP, "VACUUM ANALYZE")
        superuser = server.superuser_url.rpartition("/")[0] + "/" + url.rpartition("/")[2]
        execute(superuser, "CREATE SCHEMA tools", "GRANT USAGE ON SCHEMA tools TO app", f"{CREATE} SCHEMA tools")
        yield url


async def asked(url: str, text: str) -> Advised:
    database = Database(url)
    try:
        return await advise(database, Explainer(url), text)
    finally:
        await database.close()


async def test_an_index_that_postgresql_would_use_is_verified(shop_url: str) -> None:
    found = await asked(shop_url, BY_REFERENCE)
    [one] = found.indexes
    assert one.statement == "CREATE INDEX CONCURRENTLY ON public.orders (reference)"
    assert (one.basis, found.note, found.how) == ("verified", None, "generic")
    assert one.cost_before == found.cost
    assert one.cost_after < 20 < 1000 < one.cost_before
    assert 1_000_000 < one.size.least <= one.size.most < 10_000_000


async def test_several_indexes_are_verified_together(shop_url: str) -> None:
    found = await asked(shop_url, "SELECT * FROM items WHERE order_id IN (SELECT id FROM orders WHERE reference = $1)")
    assert {one.keys for one in found.indexes} == {("order_id",), ("reference",)}
    assert {one.basis for one in found.indexes} == {"verified"}


async def test_what_hypopg_does_not_know_stays_an_estimate_and_says_so(shop_url: str) -> None:
    found = await asked(shop_url, """SELECT id FROM events WHERE payload @> '{"sku": 77}'""")
    assert [one.basis for one in found.indexes] == ["estimated"]
    assert found.note == NO_INVERTED


async def test_what_postgresql_would_not_use_is_not_advised(shop_url: str) -> None:
    database = Database(shop_url)
    facts = await database.ask(lambda fetch: relations.facts(fetch, []))
    await database.close()
    useless = Advice("", "btree", (), (), "", "CREATE INDEX ON public.orders (total)", "", 1e6, 1.0, 1, "")
    kept, note = await verify(Explainer(shop_url), BY_REFERENCE, None, [useless], facts[1])
    assert (kept, note) == ([], None)


async def test_nothing_is_left_behind_in_a_pool_of_connections(shop_url: str) -> None:
    with PgBouncer(need("pgbouncer", package="pgbouncer"), shop_url, size=1) as pgbouncer:
        found = await asked(pgbouncer.url, BY_REFERENCE)
        assert [one.basis for one in found.indexes] == ["verified"]
        with pytest.raises(ZeroDivisionError):
            await planned_and_failed(pgbouncer.url)
        connection = await asyncpg.connect(pgbouncer.url, statement_cache_size=0)
        plan = await connection.fetch("EXPLAIN SELECT * FROM orders WHERE reference = 'R1'")
        await connection.close()
        assert "hypo" not in str(plan)
        assert not [row for row in plan if "Index" in row[0]]


async def planned_and_failed(url: str) -> None:
    connection = await asyncpg.connect(url, statement_cache_size=0)
    try:
        async with connection.transaction(readonly=True):
            hypothetical = Hypothetical("tools", ["CREATE INDEX ON public.orders (reference)"])
            async with hypothetical.around(connection):
                assert "Index" in str(await connection.fetch("EXPLAIN SELECT * FROM orders WHERE reference = 'R1'"))
                raise ZeroDivisionError
    finally:
        await connection.close()


async def test_without_hypopg_costs_are_estimates_and_that_is_said(database_url: str) -> None:
    execute(database_url, SHOP)
    found = await asked(database_url, BY_REFERENCE)
    assert [(one.keys, one.basis) for one in found.indexes] == [(("reference",), "estimated")]
    assert found.note == NO_HYPOPG


async def test_a_statement_that_is_not_planned_has_a_note_instead(database_url: str) -> None:
    execute(database_url, "CREATE TABLE orders (id int)")
    for text, reason in (
        ("SELECT * FROM nowhere WHERE id = $1", "42P01"),
        ("SELECT * FROM orders WHERE evil(id) FOR UPDATE", "42883"),
        ("DELETE FROM orders", "not a statement that looks for rows"),
    ):
        found = await asked(database_url, text)
        assert (found.indexes, found.cost) == ((), None)
        assert found.note is not None
        assert reason in found.note
