"""An index is as large as was said before it was made: nearly so for B-trees, within the range for GIN."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from support.databases import execute, fresh_database
from watchglass.analysis import index_sizes
from watchglass.analysis.relations import Relation
from watchglass.demo.servers import PostgreSQL
from watchglass.store import relations

DOCUMENTS = Path(__file__).parents[2] / "docs"
ROWS = 40_000
NEARLY = 0.17
"""What is said of equal keys depends on how many different ones ANALYZE guesses from a sample."""

chosen = random.Random(7)
prose = re.sub(r"\s+", " ", "".join(path.read_text() for path in sorted(DOCUMENTS.rglob("*.md"))))
words = sorted(set(re.findall(r"[a-z]{3,10}", prose)))


def name() -> str:
    return f"{chosen.choice(words).title()} {chosen.choice(words).title()}"


def address() -> str:
    return f"{chosen.choice(words)}.{chosen.choice(words)}{chosen.randrange(100)}@{chosen.choice(words[:90])}.example"


def digest() -> str:
    return f"{chosen.getrandbits(128):032x}"


def said(characters: int) -> Callable[[], str]:
    def some() -> str:
        begin = chosen.randrange(len(prose) - 2 * characters)
        return prose[begin : begin + int(characters * chosen.uniform(0.4, 1.6))]

    return some


def state() -> str:
    return chosen.choice(["pending", "delivered", "cancelled", "returned"])


def order() -> str:
    return json.dumps({"customer": chosen.randrange(20_000), "state": state(), "total": chosen.randrange(99_999) / 100})


def event() -> str:
    user = {"id": chosen.randrange(100_000), "name": name()}
    return json.dumps({"type": chosen.choice(words[:50]), "id": digest(), "user": user, "tags": tags()})


def tags() -> list[str]:
    return chosen.sample(words[:200], 4)


def parents() -> list[int]:
    return [chosen.randrange(20_000) for _ in range(10)]


INVERTED: dict[str, tuple[str, int, Callable[[], Any]]] = {
    "names": ("text", ROWS, name),
    "mail addresses": ("text", ROWS, address),
    "random digits": ("text", ROWS, digest),
    "a few states": ("text", ROWS, state),
    "sentences": ("text", ROWS, said(100)),
    "paragraphs": ("text", 10_000, said(1000)),
    "pages": ("text", 4_000, said(2000)),
    "chapters": ("text", 1_000, said(10_000)),
    "short documents": ("jsonb", ROWS, order),
    "longer documents": ("jsonb", ROWS, event),
    "words of some": ("text[]", ROWS, tags),
    "numbers of many": ("int[]", ROWS, parents),
}

SORTED = (
    *("id", "customer", "state", "uid", "at", "price", "is_paid", "city", "rarely", "name"),
    *("customer, at", "customer, state", "city, customer", "uid, at"),
)
ORDERS = f"""
    CREATE TABLE orders AS
    SELECT i AS id, (random() * 400)::int AS customer, (random() * 4)::int AS state, gen_random_uuid() AS uid,
        now() - random() * interval '90 days' AS at, (random() * 10000)::int::numeric AS price,
        random() < 0.5 AS is_paid,
        'city ' || (random() * 500)::int AS city, CASE WHEN random() < 0.2 THEN i END AS rarely,
        left(md5(i::text), 8 + i % 16) AS name
    FROM generate_series(1, {ROWS}) i
"""


@pytest.fixture(scope="module")
def orders_url(postgres_server: PostgreSQL) -> Iterator[str]:
    with fresh_database(postgres_server) as url:
        execute(url, ORDERS, "VACUUM ANALYZE orders")
        yield url


async def known(connection: asyncpg.Connection[asyncpg.Record], table: str) -> Relation:
    written = f'"{table}"'
    return (await relations.facts(connection.fetch, [written]))[0].relations[written]


async def made(connection: asyncpg.Connection[asyncpg.Record], index: str) -> int:
    await connection.execute(f"CREATE INDEX measured ON {index}")
    size: int = await connection.fetchval("SELECT pg_relation_size('measured')")
    await connection.execute("DROP INDEX measured")
    return size


@pytest.mark.parametrize("columns", SORTED)
async def test_the_size_of_a_b_tree(orders_url: str, columns: str) -> None:
    connection = await asyncpg.connect(orders_url)
    try:
        orders = await known(connection, "orders")
        real = await made(connection, f"orders ({columns})")
    finally:
        await connection.close()
    size = index_sizes.btree(orders, [orders.columns[one] for one in columns.split(", ")])
    assert size.least * (1 - NEARLY) <= real <= size.most * (1 + NEARLY)
    assert size.most <= size.least * (6 if columns == "city, customer" else 1.3)


@pytest.mark.parametrize("what", INVERTED)
async def test_the_size_of_an_inverted_index(database_url: str, what: str) -> None:
    kind, rows, value = INVERTED[what]
    chosen.seed(7)
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("CREATE EXTENSION pg_trgm")
        await connection.execute(f"CREATE TABLE notes (id int, value {kind})")
        await connection.set_type_codec(
            "jsonb", schema="pg_catalog", encoder=lambda text: b"\1" + text.encode(), decoder=bytes, format="binary"
        )
        await connection.copy_records_to_table("notes", records=((at, value()) for at in range(rows)))
        await connection.execute("VACUUM ANALYZE notes")
        notes = await known(connection, "notes")
        how = {"text": "value gin_trgm_ops", "jsonb": "value jsonb_path_ops"}.get(kind, "value")
        real = await made(connection, f"notes USING gin ({how})")
    finally:
        await connection.close()
    size = index_sizes.inverted(notes, notes.columns["value"])
    assert size.least <= real <= size.most
