"""An index for a table with partitions: made of none, then of each without a lock, and attached; tried for real."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from support.databases import execute
from watchglass.analysis.existing import is_built
from watchglass.analysis.index_advice import GAIN, Advice, advise
from watchglass.analysis.relations import Relation
from watchglass.analysis.scans import cost_of, indexes_of
from watchglass.store import relations

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

TABLES = """
CREATE SCHEMA "Archive";
CREATE TABLE visits (id bigint, place int, at date NOT NULL, kind text) PARTITION BY RANGE (at);
CREATE TABLE visits_2024 PARTITION OF visits FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE visits_2025 PARTITION OF visits FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')
    PARTITION BY LIST (kind);
CREATE TABLE "Archive"."Visits 2025 a" PARTITION OF visits_2025 FOR VALUES IN ('a');
CREATE TABLE visits_2025_other PARTITION OF visits_2025 DEFAULT;
INSERT INTO visits
SELECT i, i % 20000, '2024-01-01'::date + i % 700, CASE WHEN i % 3 = 0 THEN 'a' ELSE 'b' END
FROM generate_series(1, 100000) AS i;
"""
ANALYZE = "ANALYZE visits"
STATEMENT = "SELECT * FROM visits AS v WHERE v.place = 42"
TABLE = '"visits"'


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    execute(database_url, TABLES, ANALYZE)
    connection = await asyncpg.connect(database_url, statement_cache_size=0)
    yield connection
    await connection.close()


async def plan_of(connection: Connection, statement: str = STATEMENT) -> dict[str, Any]:
    [row] = await connection.fetch(f"EXPLAIN (FORMAT JSON, VERBOSE) {statement}")
    found: dict[str, Any] = json.loads(row[0])[0]["Plan"]
    return found


async def advice_for(connection: Connection, statement: str = STATEMENT) -> list[Advice]:
    facts, _ = await relations.facts(connection.fetch, [TABLE])
    return advise(statement, await plan_of(connection, statement), facts)


async def visits(connection: Connection) -> Relation:
    return (await relations.facts(connection.fetch, [TABLE]))[0].relations[TABLE]


async def test_the_statements_are_those_that_lock_nobody_out_and_the_index_is_whole_in_the_end(
    connection: Connection,
) -> None:
    before = cost_of(await plan_of(connection))
    [advised] = await advice_for(connection)
    assert advised.statement.split(";\n") == [
        "CREATE INDEX visits_place_idx ON ONLY public.visits (place)",
        "CREATE INDEX visits_2025_place_idx ON ONLY public.visits_2025 (place)",
        "CREATE INDEX CONCURRENTLY visits_2024_place_idx ON public.visits_2024 (place)",
        'CREATE INDEX CONCURRENTLY "Visits 2025 a_place_idx" ON "Archive"."Visits 2025 a" (place)',
        "CREATE INDEX CONCURRENTLY visits_2025_other_place_idx ON public.visits_2025_other (place)",
        "ALTER INDEX public.visits_2025_place_idx ATTACH PARTITION public.visits_2025_other_place_idx",
        'ALTER INDEX public.visits_2025_place_idx ATTACH PARTITION "Archive"."Visits 2025 a_place_idx"',
        "ALTER INDEX public.visits_place_idx ATTACH PARTITION public.visits_2025_place_idx",
        "ALTER INDEX public.visits_place_idx ATTACH PARTITION public.visits_2024_place_idx",
    ]
    for statement in advised.statement.split(";\n")[:-1]:
        await connection.execute(statement)
    assert not is_built("btree", advised.shapes, (await visits(connection)).indexes)
    await connection.execute(advised.statement.split(";\n")[-1])
    assert is_built("btree", advised.shapes, (await visits(connection)).indexes)
    after = await plan_of(connection)
    assert len(indexes_of(after)) == 3
    assert cost_of(after) * GAIN < before
    assert cost_of(after) < 3 * advised.cost_after
    assert await advice_for(connection) == []


async def test_what_is_known_of_the_whole_is_the_sum_of_its_parts(connection: Connection) -> None:
    found = await visits(connection)
    pages = await connection.fetchval("SELECT sum(relpages) FROM pg_class WHERE relname ~* 'visits' AND relkind = 'r'")
    assert (found.kind, found.rows, found.pages) == ("p", 100_000, pages)
    assert found.columns["place"].distinct == pytest.approx(20_000, rel=0.2)


async def test_without_statistics_of_the_whole_those_of_its_largest_part_stand_in(database_url: str) -> None:
    execute(database_url, TABLES, "ANALYZE visits_2024", "ANALYZE visits_2025_other")
    connection = await asyncpg.connect(database_url)
    try:
        found = await visits(connection)
        assert found.columns["place"].analyzed and 10_000 < found.columns["place"].distinct < 24_000
        assert len(await advice_for(connection)) == 1
    finally:
        await connection.close()


async def test_only_the_parts_that_are_read_count(connection: Connection) -> None:
    [whole] = await advice_for(connection)
    [part] = await advice_for(connection, f"{STATEMENT} AND at < '2025-01-01'")
    assert part.statement == whole.statement
    assert part.cost_before < whole.cost_before and part.size.most == pytest.approx(whole.size.most, rel=0.01)
    await connection.execute(
        "CREATE TABLE visits_2026 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO (MAXVALUE)"
    )
    await connection.execute("INSERT INTO visits VALUES (1, 42, '2026-03-01', 'a')")
    assert await advice_for(connection, f"{STATEMENT} AND at > '2026-01-01'") == []


async def test_a_part_that_has_the_index_is_not_given_another(connection: Connection) -> None:
    await connection.execute("CREATE INDEX ON visits_2024 (place)")
    assert await advice_for(connection) == []


async def test_a_name_that_is_taken_or_too_long_is_another(connection: Connection) -> None:
    name = "visits_" + "long" * 14
    await connection.execute(f"ALTER TABLE visits_2024 RENAME TO {name}")
    await connection.execute("CREATE INDEX visits_place_idx ON visits (place) WHERE id < 0")
    [advised] = await advice_for(connection)
    for statement in advised.statement.split(";\n"):
        await connection.execute(statement)
    assert is_built("btree", advised.shapes, (await visits(connection)).indexes)


async def test_of_very_many_parts_some_stand_for_all_and_psql_is_told_to_index_each(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connection.execute('ALTER TABLE visits RENAME place TO "it\'s 100%"')
    statement = STATEMENT.replace("v.place", 'v."it\'s 100%"')
    [named] = await advice_for(connection, statement)
    monkeypatch.setattr(relations, "MOST_PARTITIONS", 2)
    some = await visits(connection)
    assert (len(some.partitions or ()), some.partitions_left_off) == (3, 2)
    before = cost_of(await plan_of(connection, statement))
    [advised] = await advice_for(connection, statement)
    assert "3 of 5 were looked at" in advised.reason and "looked at" not in named.reason
    assert advised.cost_before == named.cost_before
    for line in advised.statement.splitlines():
        query, _, rest = line.partition(" \\gexec")
        assert line.startswith("-- ") or rest == ""
        for row in await connection.fetch(query) if rest == "" and not line.startswith("-- ") else ():
            await connection.execute(row[0])
    assert is_built("btree", advised.shapes, (await visits(connection)).indexes)
    after = await plan_of(connection, statement)
    assert len(indexes_of(after)) == 3 and cost_of(after) * GAIN < before
    assert await advice_for(connection, statement) == []


async def test_what_is_known_of_very_many_parts_is_reckoned_from_some(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connection.execute("DROP TABLE visits; CREATE TABLE visits (id int, place int) PARTITION BY HASH (id)")
    for part in range(20):
        await connection.execute(
            f"CREATE TABLE part_{part} PARTITION OF visits FOR VALUES WITH (MODULUS 20, REMAINDER {part})"
        )
    await connection.execute("INSERT INTO visits SELECT i, i % 20000 FROM generate_series(1, 400000) i")
    await connection.execute(ANALYZE)
    whole, [of_whole] = await visits(connection), await advice_for(connection)
    monkeypatch.setattr(relations, "MOST_PARTITIONS", 6)
    some, [of_some] = await visits(connection), await advice_for(connection)
    assert (len(some.partitions or ()), some.partitions_left_off) == (7, 14)
    assert (some.rows, some.pages) == pytest.approx((whole.rows, whole.pages), rel=0.2)
    assert of_some.cost_after == pytest.approx(of_whole.cost_after, rel=0.2)
    assert of_some.size.most == pytest.approx(of_whole.size.most, rel=0.2)


async def test_a_small_partitioned_table_beside_a_large_one_is_known_whole(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relations, "MOST_PARTITIONS", 2)
    await connection.execute("CREATE TABLE few (id int, at date) PARTITION BY RANGE (at)")
    await connection.execute("CREATE TABLE few_2024 PARTITION OF few DEFAULT")
    facts, _ = await relations.facts(connection.fetch, [TABLE, '"few"'])
    assert [one.partitions_left_off for one in facts.relations.values()] == [2, 0]


async def test_one_part_asked_for_by_its_name_gets_an_index_of_its_own(connection: Connection) -> None:
    text = "SELECT * FROM visits_2024 WHERE place = 42"
    facts, _ = await relations.facts(connection.fetch, ['"visits_2024"'])
    [advised] = advise(text, await plan_of(connection, text), facts)
    assert advised.statement == "CREATE INDEX CONCURRENTLY ON public.visits_2024 (place)"
