"""Log lines as several processes write them, in transactions that overlap and commit late, and who follows them."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx

from watchglass.store.log_tail import Cursor, LogTail

COLUMNS = ("time", "sequence", "instance_id", "position", "severity", "level", "logger", "message", "fields")


class LateWriter:
    """A process whose batches are open for a while before they are committed, as those of a loaded server are."""

    def __init__(self, dsn: str, service: str = "shop") -> None:
        self._dsn, self._service = dsn, service
        self.id = 0
        self.sequence = 0
        self.written: list[str] = []
        """The ids of its lines that were committed."""

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[LateWriter]:
        self.connection = await asyncpg.connect(self._dsn)
        try:
            self.id = self.id or await self.connection.fetchval(
                "INSERT INTO watchglass.instances (service_instance_id, service_name, service_namespace,"
                " service_version, host_name, process_pid, started_at, last_seen)"
                " VALUES (gen_random_uuid()::text, $1, '', '1', 'host-a', 1, now(), now()) RETURNING id",
                self._service,
            )
            yield self
        finally:
            await self.connection.close()

    async def write(
        self, lines: int, *, open_for: float = 0.0, skip: int = 0, age: float = 0.0, **values: Any
    ) -> list[str]:
        """One batch, its transaction open for so many seconds after its row in the ledger; the ids of its lines.

        `skip` leaves numbers out, as batches that were merged do; `age` is that of the lines in seconds.
        """
        self.sequence += 1 + skip
        moment = datetime.now(UTC) - timedelta(seconds=age)
        rows = [
            (
                moment + timedelta(microseconds=position),
                self.sequence,
                self.id,
                position,
                values.get("severity", 9),
                values.get("level", "INFO"),
                values.get("logger", "shop"),
                values.get("message", f"line {self.sequence}-{position}"),
                json.dumps(values.get("fields", {})),
            )
            for position in range(lines)
        ]
        async with self.connection.transaction():
            await self.connection.execute(
                "INSERT INTO watchglass.batches (instance_id, sequence, points, logs, traces)"
                " VALUES ($1, $2, 0, $3, 0)",
                *(self.id, self.sequence, lines),
            )
            await asyncio.sleep(open_for)
            await self.connection.copy_records_to_table("logs", schema_name="watchglass", columns=COLUMNS, records=rows)
        ids = [f"{self.id}-{self.sequence}-{position}" for position in range(lines)]
        self.written += ids
        return ids


@asynccontextmanager
async def eight_writers(dsn: str, seconds: float, most_lines: int = 40) -> AsyncIterator[list[LateWriter]]:
    """Eight of them, at work for so long; they have ended when this is left."""
    writers = [LateWriter(dsn) for _ in range(8)]

    async def work(writer: LateWriter, until: float) -> None:
        async with writer.connected():
            while time.monotonic() < until:
                skip = random.choice((0, 0, 0, 2))
                await writer.write(random.randrange(most_lines), open_for=random.uniform(0, 0.3), skip=skip)
                await asyncio.sleep(random.uniform(0, 0.05))

    works = [asyncio.ensure_future(work(writer, time.monotonic() + seconds)) for writer in writers]
    try:
        yield writers
        await asyncio.gather(*works)
    finally:
        for one in works:
            one.cancel()
        await asyncio.gather(*works, return_exceptions=True)


def ids_of(rows: Sequence[Any]) -> list[str]:
    """The ids of rows of `logs`."""
    return [f"{row['instance_id']}-{row['sequence']}-{row['position']}" for row in rows]


async def read_on(tail: LogTail, cursor: Cursor, most: int = 1_000_000) -> tuple[list[str], Cursor, int]:
    """What is new after a cursor: ids, the cursor after it, lines that were passed over."""
    news = await tail.news(cursor, most=most)
    return ids_of(await tail.lines(news.batches)), news.end, news.skipped


class Stream:
    """A client of the server-sent events, as a browser is one: it keeps the last id, and comes back with it."""

    def __init__(self, client: httpx.AsyncClient, path: str = "/api/monitoring/logs/stream") -> None:
        self._client, self._path = client, path
        self.last_id = ""
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.headers: httpx.Headers = httpx.Headers()
        self.raw: list[str] = []

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [line for name, content in self.events if name == "lines" for line in content["lines"]]

    @property
    def ids(self) -> list[str]:
        return [line["id"] for line in self.lines]

    def named(self, name: str) -> list[dict[str, Any]]:
        return [content for found, content in self.events if found == name]

    async def listen(self) -> None:
        """Until the stream ends, is broken off, or this is cancelled."""
        headers = {"last-event-id": self.last_id} if self.last_id else {}
        timeout = httpx.Timeout(30, read=60)
        async with self._client.stream("GET", self._path, headers=headers, timeout=timeout) as response:
            assert response.status_code == 200, await response.aread()
            self.headers = response.headers
            event: dict[str, str] = {}
            async for line in response.aiter_lines():
                self.raw.append(line)
                if line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                    continue
                self.last_id = event.get("id", self.last_id)
                if "data" in event:
                    self.events.append((event.get("event", "message"), json.loads(event["data"])))
                event = {}

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Stream]:
        """Listen beside the block; the connection is cut when it is left. It has begun to follow when it is entered."""
        task = asyncio.ensure_future(self.listen())
        greeted = len(self.named("hello"))
        try:
            await eventually(lambda: task.done() or len(self.named("hello")) > greeted)
            if task.done():
                task.result()
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def eventually(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)
