"""What does it take to ask a database of very many tables about itself? Each question, and what it may take.

python benchmarks/catalogues.py
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from statistics import median
from typing import Any

import asyncpg
from bench import tables

from watchglass.demo.servers import PostgreSQL
from watchglass.instrumentation.recorder import Recorder
from watchglass.jobs import postgresql as snapshots
from watchglass.jobs import statements
from watchglass.jobs.snapshots import Snapshots
from watchglass.jobs.statements import Statements
from watchglass.settings import Settings
from watchglass.store import activity, explain, postgresql_health, relations
from watchglass.store.database import Database
from watchglass.store.explain import Explainer

AT_A_TIME = 100
HEALTH = ("server", "reads", "dead_tuples", "vacuums", "horizon", "sizes", "table_ages", "wal")
NAMED = ["tenant_7", "tenant_8", "tenant_9"]
JOINED = "SELECT * FROM tenant_7 JOIN tenant_8 USING (id) JOIN tenant_9 USING (id) WHERE tenant_7.customer = $1"

Ask = Callable[[], Awaitable[object]]


async def fill(connection: asyncpg.Connection[Any], number: int) -> None:
    """Tables of five columns with two indexes and a few rows each, and a statement of its own for each."""
    names = [f"tenant_{n}" for n in range(number)]
    for n in range(0, number, AT_A_TIME):
        await connection.execute("".join(map(_table, names[n : n + AT_A_TIME])))
    await connection.execute("ANALYZE")
    for name in names:
        await connection.execute(f"SELECT note FROM {name} WHERE customer = 3")


def _table(name: str) -> str:
    return (
        f"CREATE TABLE {name} (id int PRIMARY KEY, customer int, status text, note text, made timestamptz);"
        f"CREATE INDEX ON {name} (customer, status);"
        f"INSERT INTO {name} SELECT n, n % 7, n % 3, 'note ' || n, now() FROM generate_series(1, 20) AS n;"
    )


def questions(database: Database) -> dict[str, tuple[Ask, float]]:
    """What is asked by that name, and the seconds after which PostgreSQL gives up."""
    settings = Settings(app_database_url=database.dsn)
    plain = Explainer(database.dsn)
    return {
        "figures and connections, every 10 s": (lambda: snapshot(settings), snapshots.SECONDS),
        "statements, once a minute": (lambda: read_statements(settings), statements.SECONDS),
        "sessions and locks": (lambda: activity.activity(database), activity.SECONDS),
        **{f"health: {name}": (partial(getattr(postgresql_health, name), database), postgresql_health.SECONDS)
           for name in HEALTH},
        "all indexes": (lambda: relations.usage(database), relations.SECONDS),
        "three tables and their indexes": (
            lambda: database.ask(lambda fetch: relations.facts(fetch, NAMED), seconds=relations.SECONDS),
            relations.SECONDS,
        ),
        "the plan of a join of them": (lambda: plain.explain(JOINED, [3]), explain.SECONDS),
    }  # fmt: skip


async def snapshot(settings: Settings) -> None:
    taken = Snapshots(settings, Recorder())
    await taken.take()
    assert taken.facts["postgresql"]["problem"] is None, taken.facts
    await taken.forget()


async def read_statements(settings: Settings) -> None:
    job = Statements(settings, Recorder())
    await job.take()
    assert job.facts["statements"]["problem"] is None, job.facts


async def measured(url: str, rounds: int) -> list[list[str]]:
    database, took = Database(url), defaultdict(list)
    asked = questions(database)
    for number in range(rounds + 1):
        for name, (ask, _) in asked.items():
            began = time.perf_counter()
            await ask()
            if number:  # the first time the parser is imported, and catalogues are read into memory
                took[name].append((time.perf_counter() - began) * 1000)
    await database.close()
    return [
        [name, tables.ms(median(took[name])), tables.ms(max(took[name])), tables.ms(limit * 1000)]
        for name, (_, limit) in asked.items()
    ]


async def run(url: str, number: int, rounds: int) -> str:
    connection = await asyncpg.connect(url, statement_cache_size=0)
    await fill(connection, number)
    counted = await connection.fetchval("SELECT count(*) FROM pg_index WHERE indrelid >= 16384")
    await connection.close()
    rows = await measured(url, rounds)
    head = tables.table(["ms, connecting where it does", "median", "longest", "limit"], rows)
    return f"{number:,} tables, {counted:,} indexes with those of TOAST, {rounds} rounds.\n\n{head}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    machine = tables.machine()
    with PostgreSQL() as server:
        assert server.installation
        told = asyncio.run(run(server.url, arguments.tables, arguments.rounds))
        print(f"{machine}, PostgreSQL {server.installation.version}. {told}")


if __name__ == "__main__":
    main()
