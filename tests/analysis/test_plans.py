"""Plans of a running PostgreSQL are read into steps, said in a sentence, kept without values, and told apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from support.databases import fresh_database, run
from watchglass.analysis.plan_changes import difference, shape
from watchglass.analysis.plan_words import as_text, sentence, worst
from watchglass.analysis.plans import LEFT_OUT, MOST_STEPS, redacted, steps
from watchglass.demo.servers import PostgreSQL

TABLES = """
    CREATE TABLE customers (id int PRIMARY KEY, name text, city text);
    CREATE TABLE orders (id int PRIMARY KEY, customer int, note text, paid date);
    INSERT INTO customers SELECT i, 'name ' || i, 'city ' || i % 20 FROM generate_series(1, 2000) i;
    INSERT INTO orders SELECT i, i % 2000, repeat('note ', 20) || i, '2026-01-01' FROM generate_series(1, 60000) i;
    CREATE INDEX orders_paid ON orders (paid);
    CREATE TABLE days (id int, day date) PARTITION BY RANGE (day);
    CREATE TABLE days_2026_01 PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
    CREATE TABLE days_2026_02 PARTITION OF days FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
    CREATE TABLE days_2026_03 PARTITION OF days FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
    CREATE INDEX ON days (id);
    INSERT INTO days SELECT i, '2026-01-01'::date + i % 90 FROM generate_series(1, 3000) i;
    ANALYZE;
    SET max_parallel_workers_per_gather = 0;
"""
PARALLEL = "SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET min_parallel_table_scan_size = 0"

CORPUS = {
    "sequential": "SELECT * FROM orders WHERE note = 'secret 4711'",
    "index": "SELECT * FROM orders WHERE id = 4711",
    "index only": "SELECT id FROM orders WHERE id BETWEEN 4700 AND 4711",
    "bitmap": "SELECT * FROM orders WHERE id < 4711 OR paid = '2025-12-31'",
    "hash join": "SELECT count(*) FROM orders o JOIN customers c ON c.id = o.customer WHERE c.city = 'city 4711'",
    "nested loop": "SELECT * FROM customers c JOIN orders o ON o.id = c.id WHERE c.id < 11",
    "left join": "SELECT * FROM customers c LEFT JOIN orders o ON o.customer = c.id AND o.note LIKE '%4711%'",
    "sort": "SELECT * FROM orders ORDER BY note, id LIMIT 4711",
    "aggregate": "SELECT customer, count(*) FROM orders GROUP BY customer HAVING count(*) > 4711",
    "cte": "WITH c AS MATERIALIZED (SELECT * FROM orders WHERE id < 4711) SELECT * FROM c a JOIN c b USING (id)",
    "recursive": "WITH RECURSIVE r AS (SELECT 1 i UNION ALL SELECT i + 1 FROM r WHERE i < 47) SELECT * FROM r",
    "subplan": "SELECT (SELECT max(id) FROM orders WHERE customer = c.id AND note <> 'secret 4711') FROM customers c",
    "initplan": "SELECT * FROM orders WHERE id = (SELECT max(id) - 4711 FROM orders)",
    "anti join": "SELECT * FROM customers c WHERE NOT EXISTS (SELECT FROM orders o WHERE o.customer = c.id)",
    "partitions": "SELECT * FROM days WHERE id = 4711",
    "window": "SELECT id, row_number() OVER (PARTITION BY customer ORDER BY paid) FROM orders",
    "function": "SELECT * FROM generate_series(1, 4711) g WHERE g > 4711",
    "values": "SELECT * FROM (VALUES (4711, 'secret 4711'), (1, 'x')) v (a, b) JOIN orders ON id = a",
    "union": "SELECT id FROM orders WHERE id = 4711 UNION SELECT id FROM customers WHERE name = 'secret 4711'",
    "constant": "SELECT 4711 WHERE false",
    "limit": "SELECT * FROM orders WHERE note LIKE '%4711%' LIMIT 1",
    "lists": "SELECT * FROM orders WHERE id = ANY ('{4711,4712}') AND note IN ('secret 4711', 'secret')",
}

Plan = dict[str, Any]


@pytest.fixture(scope="module")
def database(postgres_server: PostgreSQL) -> Iterator[str]:
    with fresh_database(postgres_server) as url:
        run(ask(url, TABLES))
        yield url


async def ask(url: str, before: str, query: str = "SELECT 1", options: str = "FORMAT JSON, VERBOSE, SETTINGS") -> Plan:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(before)
        found: Plan = json.loads(await connection.fetchval(f"EXPLAIN ({options}) {query}"))[0]
        return found
    finally:
        await connection.close()


async def plan(url: str, query: str, *before: str, analyze: bool = False) -> Plan:
    options = "FORMAT JSON, VERBOSE, SETTINGS" + (", ANALYZE, TIMING OFF, BUFFERS" if analyze else "")
    return await ask(
        url, "; ".join(("SET max_parallel_workers_per_gather = 0", "SET jit = off", *before)), query, options
    )


def texts(value: Any) -> Iterator[str]:
    """Every text in a plan."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from texts(one)


@pytest.mark.parametrize("before", ["SELECT 1", PARALLEL], ids=["alone", "parallel"])
@pytest.mark.parametrize("analyze", [False, True], ids=["explain", "analyze"])
@pytest.mark.parametrize("name", CORPUS)
async def test_every_plan_is_read_said_and_kept_without_values(
    database: str, name: str, analyze: bool, before: str
) -> None:
    found = await plan(database, CORPUS[name], before, analyze=analyze)
    kept = redacted(found)
    assert [text for text in texts(kept["Plan"]) if "4711" in text or "secret" in text] == []
    assert shape(kept) == shape(found)
    read = steps(kept)
    assert len(read) == json.dumps(kept).count('"Node Type"')
    assert sum(step.share for step in read) == pytest.approx(1)
    assert all(0 <= step.share <= 1 for step in read)
    assert all((step.actual_rows is not None) == analyze for step in read)
    assert sentence(read).endswith(".")
    assert as_text(read).count("own cost=") == len(read)


async def test_a_sequential_scan_is_named_with_what_it_throws_away(database: str) -> None:
    planned = steps(await plan(database, CORPUS["sequential"]))
    assert [step.kind for step in planned] == ["sequential"]
    assert sentence(planned).startswith("A sequential scan of orders makes up 100 % of the cost; it reads every row to")
    done = steps(await plan(database, CORPUS["sequential"], analyze=True))
    assert done[0].removed == 60_000
    assert "it read 60,000 rows and threw away 60,000" in sentence(done)


async def test_an_index_scan_is_named_by_its_index(database: str) -> None:
    read = steps(await plan(database, CORPUS["index"]))
    assert [(step.kind, step.index) for step in read] == [("index", "orders_pkey")]
    assert sentence(read) == "An index scan on orders_pkey makes up 100 % of the cost."


async def test_a_sort_that_does_not_fit_in_memory_is_told(database: str) -> None:
    query = "SELECT * FROM orders ORDER BY note OFFSET 59999"
    read = steps(await plan(database, query, "SET work_mem = '64kB'", analyze=True))
    assert next(step.spilled for step in read if step.kind == "sort")
    assert "A sort did not fit in memory" in sentence(read)


async def test_rows_that_were_misjudged_are_told(database: str) -> None:
    query = "SELECT * FROM customers WHERE left(name, 4) = 'name' AND left(city, 4) = 'city'"
    read = steps(await plan(database, query, analyze=True))
    assert read[0].misjudged is not None
    assert read[0].misjudged > 10
    assert "2,000 came: ANALYZE the table." in sentence(read)


async def test_what_a_limit_cuts_short_is_not_misjudged(database: str) -> None:
    query = "SELECT customer FROM (SELECT customer FROM orders ORDER BY note OFFSET 0) AS o LIMIT 5"
    read = steps(await plan(database, query, analyze=True))
    assert [(step.kind, step.actual_rows) for step in read if step.relation or step.kind == "sort"] == [
        ("sort", 5.0),
        ("sequential", 60_000.0),
    ]
    assert [step.misjudged for step in read if step.kind == "sort"] == [None]
    assert [step.misjudged for step in read if step.kind == "sequential"] == [pytest.approx(1, rel=0.1)]
    assert "ANALYZE" not in sentence(read)
    lookup = steps(await plan(database, "SELECT * FROM orders LIMIT 6", analyze=True))
    assert "ANALYZE" not in sentence(lookup)


def test_the_inner_side_of_a_nested_loop_costs_as_often_as_it_is_asked() -> None:
    outer = {"Node Type": "Seq Scan", "Parent Relationship": "Outer", "Total Cost": 200.0, "Plan Rows": 100}
    inner = {"Node Type": "Index Scan", "Parent Relationship": "Inner", "Total Cost": 8.0, "Plan Rows": 1}
    loop = {"Node Type": "Nested Loop", "Total Cost": 1010.0, "Plan Rows": 100, "Plans": [outer, inner]}
    read = steps({"Plan": loop})
    assert [round(step.cost) for step in read] == [10, 200, 800]
    assert worst(read).name == "Index Scan"


async def test_a_limit_pays_for_what_it_takes(database: str) -> None:
    read = steps(await plan(database, "SELECT * FROM orders LIMIT 6"))
    assert worst(read).relation == "orders"
    assert sum(step.cost for step in read) < 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT * FROM orders WHERE note = 'a'", "SELECT * FROM orders WHERE note = 'b' OR note = 'c'"),
        ("SELECT * FROM days WHERE id = 1", "SELECT * FROM days WHERE id = 1 AND day < '2026-02-15'"),
        (
            "SELECT * FROM days WHERE day = '2026-01-03' AND id = 2",
            "SELECT * FROM days WHERE day = '2026-03-03' AND id = 2",
        ),
    ],
)
async def test_values_and_the_number_of_partitions_are_no_change(database: str, one: str, other: str) -> None:
    first, second = await plan(database, one), await plan(database, other)
    assert shape(first) == shape(second)


async def test_working_in_parallel_is_no_change(database: str) -> None:
    query = "SELECT count(*) FROM orders WHERE note LIKE '%x%'"
    alone, together = await plan(database, query), await plan(database, query, PARALLEL)
    assert "Parallel Seq Scan" in [step.name for step in steps(together)]
    assert shape(alone) == shape(together)


async def test_a_lost_index_is_a_change_said_in_a_sentence(database: str) -> None:
    query = "SELECT * FROM orders WHERE id = 5"
    before = await plan(database, query)
    after = await plan(database, query, "SET enable_indexscan = off", "SET enable_bitmapscan = off")
    assert shape(before) != shape(after)
    said = difference(steps(before), steps(after), "14:02")
    assert said == "Since 14:02 a sequential scan of orders, before an index scan on orders_pkey."


async def test_another_join_is_a_change_said_in_a_sentence(database: str) -> None:
    query = "SELECT * FROM customers c JOIN orders o ON o.customer = c.id"
    before = await plan(database, query)
    after = await plan(
        database, query, "SET enable_hashjoin = off", "SET enable_nestloop = off", "SET enable_indexscan = off"
    )
    assert shape(before) != shape(after)
    said = difference(steps(before), steps(after), "14:02")
    assert "a merge join" in said.partition(", before ")[0]
    assert "a hash join" in said.partition(", before ")[2]
    assert difference(steps(before), steps(before), "14:02") == "Since 14:02 the same steps in another order."


def test_a_plan_of_too_many_steps_is_cut() -> None:
    leaf = {"Node Type": "Seq Scan", "Relation Name": "t", "Total Cost": 1.0, "Plan Rows": 1}
    large = {"Plan": {"Node Type": "Append", "Total Cost": 2000.0, "Plan Rows": 1, "Plans": [leaf] * 2000}}
    kept = redacted(large)
    assert len(steps(kept)) == MOST_STEPS
    assert kept["Plan"][LEFT_OUT] == 2001 - MOST_STEPS
