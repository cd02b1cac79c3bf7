"""An application at work in the same database: its own table, its statements' times, and who was in their way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

TABLES = """
CREATE TABLE orders (id bigint PRIMARY KEY, state text NOT NULL);
CREATE TABLE items (id bigint PRIMARY KEY, price integer NOT NULL);
CREATE TABLE archive (id bigint);
INSERT INTO orders SELECT n, 'new' FROM generate_series(1, 1000) AS n;
INSERT INTO items SELECT n, n FROM generate_series(1, 1000) AS n;
"""
# Who adds a page to a catalog holds others up for microseconds ("extend"); whoever makes tables does, also the host.
BLOCKED_BY_US = """
SELECT waiting.query, blocker.query AS by
FROM pg_stat_activity AS waiting
CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS blocking (pid)
JOIN pg_stat_activity AS blocker ON blocker.pid = blocking.pid
WHERE waiting.application_name = 'host' AND blocker.application_name LIKE 'watchglass%'
AND waiting.wait_event_type = 'Lock' AND waiting.wait_event <> 'extend' AND waiting.datname = current_database()
"""


class Host:
    """Works while the `async with` block runs. `blocked` has each moment in which ours stood in the way of a statement.

    `slowest` is the seconds of the slowest statement, `done` their number.
    """

    def __init__(self, dsn: str) -> None:
        self.blocked: list[tuple[str, str]] = []
        self.slowest = 0.0
        self.done = 0
        self.samples = 0
        self._dsn = dsn
        self._ended = asyncio.Event()

    async def __aenter__(self) -> Host:
        connection = await self.session()
        await connection.execute(TABLES)
        await connection.close()
        workers = [self._work("orders", "state", "'paid'"), self._work("items", "price", "price + 1"), self._watch()]
        self._tasks = [asyncio.create_task(work) for work in workers]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended.set()
        await asyncio.gather(*self._tasks)

    async def session(self) -> Connection:
        """One of its connections."""
        return await asyncpg.connect(self._dsn, server_settings={"application_name": "host"})

    async def more(self, statements: int = 100) -> None:
        """Return once it has done so many more."""
        enough = self.done + statements
        async with asyncio.timeout(30):
            while self.done < enough:
                await asyncio.sleep(0.005)
                for task in self._tasks:
                    if task.done():
                        task.result()

    async def _work(self, table: str, column: str, value: str) -> None:
        """A row added, changed, read and removed, and a table as a deploy makes it; each a statement of its own."""
        connection = await self.session()
        for number in count(10_000):
            for statement in (
                f"INSERT INTO {table} VALUES ({number}, 1)",
                f"UPDATE {table} SET {column} = {value} WHERE id = {number % 999 + 1}",
                f"SELECT count(*) FROM {table} WHERE id < 100",
                f"DELETE FROM {table} WHERE id = {number}",
                f"CREATE TABLE {table}_{number} (LIKE {table} INCLUDING ALL)",
                f"ALTER TABLE {table}_{number} ADD COLUMN more text",
                f"DROP TABLE {table}_{number}",
            ):
                began = time.monotonic()
                await connection.execute(statement)
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.done += 1
            if self._ended.is_set():
                return await connection.close()

    async def _watch(self) -> None:
        connection = await asyncpg.connect(self._dsn)
        while not self._ended.is_set():
            self.blocked += [(row["query"], row["by"]) for row in await connection.fetch(BLOCKED_BY_US)]
            self.samples += 1
            await asyncio.sleep(0.005)
        await connection.close()


READ_ALL_OF_OURS = """
DO $$
DECLARE
    ours regclass;
BEGIN
    FOR ours IN SELECT oid FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'watchglass'::regnamespace LOOP
        EXECUTE format('LOCK TABLE %s IN ACCESS SHARE MODE', ours);
    END LOOP;
END $$
"""
LONG_TRANSACTIONS = [
    ("BEGIN", READ_ALL_OF_OURS),
    ("BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM orders"),
    ("BEGIN", "UPDATE orders SET state = 'held' WHERE id = 1000"),
    ("BEGIN", "LOCK TABLE archive IN ACCESS EXCLUSIVE MODE"),
]


@asynccontextmanager
async def in_the_way(host: Host) -> AsyncIterator[None]:
    """Transactions of the host are open: one reads all of ours, as pg_dump does, one keeps a snapshot, one has changed
    a row and is idle, one has a table for itself.
    """
    async with AsyncExitStack() as stack:
        for statements in LONG_TRANSACTIONS:
            connection = await host.session()
            stack.push_async_callback(connection.close)
            for statement in statements:
                await connection.execute(statement)
        yield
