"""What an index costs to read is what PostgreSQL says it costs."""

from __future__ import annotations

import json

import asyncpg
import pytest

from support.databases import execute
from watchglass.analysis.index_costs import read_cost
from watchglass.analysis.relations import Relation
from watchglass.store import relations

TABLE = """
CREATE TABLE flags AS
SELECT i AS id, i % 20 <> 0 AS active, i % 20 AS few, i / 500 AS batch, (i * 7919::bigint) % 40009 AS many,
    repeat('x', 90) AS padding
FROM generate_series(1, 200000) i
"""


async def planned(connection: asyncpg.Connection[asyncpg.Record], condition: str) -> tuple[float, float]:
    [row] = await connection.fetch(f"EXPLAIN (FORMAT JSON) SELECT * FROM flags WHERE {condition}")
    plan = json.loads(row[0])[0]["Plan"]
    assert plan["Node Type"] != "Seq Scan"
    return plan["Total Cost"], plan["Plan Rows"]


async def flags(connection: asyncpg.Connection[asyncpg.Record]) -> Relation:
    return (await relations.facts(connection.fetch, ['"flags"']))[0].relations['"flags"']


@pytest.mark.parametrize(
    ("column", "condition"),
    [
        ("active", "active = false"),
        ("few", "few = 3"),
        ("batch", "batch BETWEEN 30 AND 40"),
        ("many", "many = 77"),
        ("many", "many < 900"),
        ("id", "id BETWEEN 5000 AND 9000"),
    ],
)
async def test_reading_through_a_b_tree(database_url: str, column: str, condition: str) -> None:
    execute(database_url, TABLE, f"CREATE INDEX ON flags ({column})", "VACUUM ANALYZE flags")
    connection = await asyncpg.connect(database_url)
    try:
        cost, rows = await planned(connection, condition)
        found = await flags(connection)
    finally:
        await connection.close()
    assert read_cost(found, rows, correlation=found.columns[column].correlation) == pytest.approx(cost, rel=0.25, abs=6)
