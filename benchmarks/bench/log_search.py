"""How fast is a page of log lines found among millions?

The lines of a day are made by PostgreSQL itself, an hour at a time: four services of two processes, and a fifth that
says one line in twenty thousand; 2 % warnings, 0.1 % errors, one logger that says one line in ten thousand, traces of
twenty lines. An hour is filled and then attached, its indexes made at once, as they would be had the lines come one
after the other, a little more tightly packed. Each question is then asked as the API does, of the whole day: a page of
a hundred lines, whether their traces were kept included, on a connection that is open.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg

from bench import tables
from watchglass.demo.servers import PostgreSQL
from watchglass.jobs.text_index import index_text
from watchglass.store.database import Database
from watchglass.store.logs import LogFilter, LogPage, LogSearch, Place
from watchglass.store.migrations import migrate

GOAL = 200.0
"""Milliseconds of a first page, where an index serves the filter."""

PAGE = 100

_PROCESSES = [*(f"service-{number // 2}" for number in range(8)), "rare"]

_ADD_PROCESS = """
    INSERT INTO watchglass.instances (service_instance_id, service_name, service_namespace, service_version, host_name,
        process_pid, started_at, last_seen)
    VALUES ($1, $2, '', '1.0', 'host', 1, now() - interval '3 days', now())
"""
_FILL = """
    INSERT INTO watchglass.{hour}
    SELECT
        $1::timestamptz + i * interval '1 hour' / $2, i / 50, CASE i % 20000 WHEN 99 THEN 9 ELSE 1 + i % 8 END, i % 50,
        CASE WHEN i % 1000 = 7 THEN 17 WHEN i % 50 = 7 THEN 13 ELSE 9 END,
        CASE WHEN i % 1000 = 7 THEN 'ERROR' WHEN i % 50 = 7 THEN 'WARNING' ELSE 'INFO' END,
        'service.' || CASE WHEN i % 10000 = 77 THEN 'payment'
            ELSE (ARRAY['orders', 'search', 'cart', 'users', 'http', 'cache'])[1 + i % 6] END,
        (ARRAY['request finished', 'cache miss for key', 'order placed by customer', 'payment accepted'])[1 + i % 4]
            || ' id=' || md5($3 || i::text) || ' in ' || i % 997 || ' ms',
        jsonb_build_object('user', i % 5000, 'path', '/items/' || i % 1000),
        CASE WHEN i % 2 = 0 THEN decode(md5($3 || 't' || i / 40), 'hex') END,
        CASE WHEN i % 2 = 0 THEN decode(substr(md5(i::text), 1, 16), 'hex') END,
        CASE WHEN i % 1000 = 7 THEN 'Traceback (most recent call last): KeyError: ' || i END
    FROM generate_series(0, $2 - 1) AS i
"""


class Case(NamedTuple):
    """A question; `served` says whether an index serves it."""

    title: str
    asked: LogFilter
    served: bool = True
    deep: bool = False


class Taken(NamedTuple):
    """Milliseconds of a question's answers, and the page it answered."""

    times: list[float]
    page: LogPage


def add(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=20)


def run(arguments: argparse.Namespace) -> None:
    """Measure, and print the tables."""
    machine = tables.machine()
    with PostgreSQL() as server:
        print(asyncio.run(_measure(server.url, arguments.lines, arguments.hours, arguments.rounds, machine)))


async def _measure(dsn: str, lines: int, hours: int, rounds: int, machine: str) -> str:
    await migrate(dsn)
    connection = await asyncpg.connect(dsn)
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    start = end - timedelta(hours=hours)
    began = time.perf_counter()
    await fill(connection, start, hours, lines // hours)
    filled = time.perf_counter() - began
    size = await _size(connection)
    database = Database(dsn)
    search = LogSearch(database)
    without = [(case, await _take(search, case, start, end, rounds)) for case in await cases(connection, start, end)]
    began = time.perf_counter()
    indexed = await _index(connection, dsn)
    indexing = time.perf_counter() - began
    with_trigrams = [
        (case._replace(served=True, title=f"{case.title}, with pg_trgm"), await _take(search, case, start, end, rounds))
        for case, _ in without
        if case.asked.text and indexed
    ]
    after = await _size(connection)
    await database.close()
    await connection.close()
    said = (
        f"{lines:,} lines in {hours} hours; {machine}. {size / lines:.0f} bytes a line with indexes; filled in "
        f"{filled / 60:.0f} minutes. Trigrams of {indexed} hours add {(after - size) / lines:.0f} bytes a line and "
        f"took {indexing / lines * 1e6:.0f} µs a line to index."
    )
    return f"{said}\n\n{_table(without + with_trigrams)}"


async def fill(connection: Any, start: datetime, hours: int, lines: int) -> None:
    """So many lines in each of the hours from `start`; the names of the partitions are made of their hours only."""
    for number, service in enumerate(_PROCESSES, 1):
        await connection.execute(_ADD_PROCESS, f"process-{number}", service)
    for number in range(hours):
        lower = start + timedelta(hours=number)
        name = f"logs_{lower:%Y%m%d%H}"
        bounds = f"FROM ('{lower.isoformat()}') TO ('{(lower + timedelta(hours=1)).isoformat()}')"
        await connection.execute(f"DROP TABLE IF EXISTS watchglass.{name}")
        await connection.execute(f"CREATE TABLE watchglass.{name} (LIKE watchglass.logs INCLUDING DEFAULTS)")
        await connection.execute(_FILL.format(hour=name), lower, lines, name)
        await connection.execute(f"ALTER TABLE watchglass.logs ATTACH PARTITION watchglass.{name} FOR VALUES {bounds}")
        await connection.execute(f"VACUUM ANALYZE watchglass.{name}")
        print(f"  filled {number + 1} of {hours} hours", file=sys.stderr, flush=True)


async def cases(connection: Any, start: datetime, end: datetime) -> list[Case]:
    """What is asked."""
    half = start + (end - start) / 2
    row = await connection.fetchrow(
        "SELECT trace_id, message FROM watchglass.logs WHERE time >= $1 AND trace_id IS NOT NULL ORDER BY time LIMIT 1",
        half,
    )
    rare = row["message"].partition("id=")[2][:20]
    return [
        Case("everything", LogFilter()),
        Case("everything, a page in the middle", LogFilter(), deep=True),
        Case("WARNING and above (2 %)", LogFilter(severity=13)),
        Case("ERROR and above (0.1 %)", LogFilter(severity=17)),
        Case("ERROR and above, a page in the middle", LogFilter(severity=17), deep=True),
        Case("a service (25 %)", LogFilter(service="service-1")),
        Case("a service (0.005 %)", LogFilter(service="rare")),
        Case("a process (12 %)", LogFilter(instance="process-3")),
        Case("a logger (17 %)", LogFilter(logger="service.cart")),
        Case("a logger (0.01 %)", LogFilter(logger="service.payment")),
        Case("a trace", LogFilter(trace_id=row["trace_id"])),
        Case("a service and ERROR", LogFilter(service="service-3", severity=17)),
        Case("text in every fourth line", LogFilter(text="payment accepted"), served=False),
        Case("text in one line of all", LogFilter(text=rare), served=False),
        Case("text in no line", LogFilter(text="no such text"), served=False),
    ]


async def _take(search: LogSearch, case: Case, start: datetime, end: datetime, rounds: int) -> Taken:
    place = Place.at(start + (end - start) / 2) if case.deep else None

    async def ask() -> LogPage:
        return await search.before(case.asked, start, end, PAGE, place)

    page = await ask()
    return Taken([await _milliseconds(ask) for _ in range(rounds)], page)


async def _milliseconds(ask: Callable[[], Awaitable[LogPage]]) -> float:
    began = time.perf_counter()
    await ask()
    return (time.perf_counter() - began) * 1000


async def _index(connection: Any, dsn: str) -> int:
    """Have the hours indexed by trigrams; how many were."""
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm')"):
        return 0
    await connection.execute("CREATE EXTENSION pg_trgm")
    return len(await index_text(dsn, smallest=8192))


async def _size(connection: Any) -> int:
    size: int = await connection.fetchval(
        "SELECT sum(pg_total_relation_size(relation))::bigint FROM watchglass.partitions() WHERE parent = 'logs'"
    )
    return size


def _table(taken: list[tuple[Case, Taken]]) -> str:
    head = ["first page of", "lines", "ms, median", "ms, worst", f"under {GOAL:.0f} ms"]
    rows = []
    for case, one in taken:
        median, page = statistics.median(one.times), one.page
        reached = ("yes" if median < GOAL else "**no**") if case.served else "no index serves it"
        whole = "" if page.complete else ", of what it got to in 2 s"
        rows.append([case.title, f"{len(page.rows)}{whole}", tables.ms(median), tables.ms(max(one.times)), reached])
    return tables.table(head, rows)
