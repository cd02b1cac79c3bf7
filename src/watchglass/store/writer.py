"""Writing: one connection per process, one transaction per batch, exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import asyncpg

from watchglass import sql
from watchglass.analysis.tiers import MINUTE
from watchglass.errors import DatabaseUnavailable, WriterTooOld
from watchglass.records import Batch, Instance
from watchglass.store import migrations
from watchglass.store.connection import address_of, close, connect, reported, transaction
from watchglass.store.forks import abandon
from watchglass.store.found import add_found
from watchglass.store.partitions import look_ahead
from watchglass.store.rows import BLOCKS, LOGS, TRACES, Row, Rows

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

FLUSH_SECONDS = 10.0


class Writer:
    """Writes batches of one process. A batch may be written again and again: it is stored once.

    Every method may raise `DatabaseUnavailable` (try again later), `SchemaMissing`, `SchemaForbidden` or
    `WriterTooOld`; anything else means that this very batch cannot be stored.
    """

    def __init__(self, dsn: str, instance: Instance, *, migrate: migrations.Mode = "auto") -> None:
        self.dsn = dsn
        self.instance = instance
        self.clamped = 0
        """Rows whose time lay outside what the store takes, and was moved."""
        self._migrate = migrate
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None
        self._id: int
        self._known: set[int]

    @property
    def is_open(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    async def open(self) -> None:
        """Connect, have the schema and the partitions, and make this process known."""
        async with self._lock:
            await self._close()
            self._connection = await connect(self.dsn, application_name="watchglass writer")
            try:
                await migrations.ensure(self._connection, self.dsn, self._migrate)
                with reported(self.dsn):
                    self._bounds = await look_ahead(self._connection)
                    await self._introduce(self._connection)
            except BaseException:
                await self._close()
                raise

    async def close(self) -> None:
        """Close the connection; `open` opens another."""
        async with self._lock:
            await self._close()

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await close(connection)

    def terminate(self) -> None:
        """Give the connection up at once; what it was doing fails."""
        if self._connection is not None:
            self._connection.terminate()

    def abandon(self) -> None:
        """After a fork: drop the parent's connection without a word to the server."""
        abandon((self._connection, self._lock))
        self._connection = None

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[Connection]:
        """The connection between two batches, for a short transaction of periodic work.

        It is given up when that fails for the server's sake: nobody knows what state it is in.
        """
        async with self._lock:
            connection = self._connection
            if connection is None or connection.is_closed():
                raise DatabaseUnavailable(address=address_of(self.dsn), reason="the connection was lost")
            try:
                with reported(self.dsn):
                    yield connection
            except DatabaseUnavailable:
                connection.terminate()
                raise

    async def write(self, batch: Batch) -> None:
        """Store the batch, or find that it is stored already."""
        async with self.borrow() as connection:
            rows = await self._store(connection, batch)
            if rows is not None:
                self._known.update(rows.series)
                self.clamped += rows.clamped

    async def _store(self, connection: Connection, batch: Batch) -> Rows | None:
        """What was stored; None when it was there already. Times are judged by the clock that the database has now."""
        for looked_ahead in (False, True):
            try:
                async with transaction(connection, seconds=FLUSH_SECONDS, lock_seconds=FLUSH_SECONDS / 2):
                    now = await self._enter(connection, batch)
                    if now is None:
                        return None
                    if looked_ahead or not self._bounds.are_old_at(now):
                        return await self._put(connection, batch, now)
                    await connection.execute(sql.load("batches")["leave_batch"], self._id, batch.sequence)
            except asyncpg.CheckViolationError:  # a partition that was there went for its table's limit in bytes
                if looked_ahead:
                    raise
            self._bounds = await look_ahead(connection)
        raise AssertionError("the second round stores it")

    async def _introduce(self, connection: Connection) -> None:
        """Learn this process's number."""
        me = self.instance
        async with transaction(connection, seconds=FLUSH_SECONDS):
            row = await connection.fetchrow(
                sql.load("batches")["add_instance"],
                *(me.instance_id, me.service_name, me.service_namespace, me.service_version, me.host, me.pid),
                me.started_at,
            )
        assert row is not None
        self._id, self._known = row["id"], set()

    async def _enter(self, connection: Connection, batch: Batch) -> datetime | None:
        """Enter the batch into the ledger and return the database's time; None when it is there."""
        sizes = len(batch.points), len(batch.logs), len(batch.traces)
        row = await connection.fetchrow(sql.load("batches")["add_batch"], self._id, batch.sequence, *sizes)
        if row is None:
            return None
        if row["min_writer"] > migrations.WRITER:
            raise WriterTooOld(needed=row["min_writer"], found=migrations.WRITER)
        now: datetime = row["now"]
        return now

    async def _put(self, connection: Connection, batch: Batch, now: datetime) -> Rows:
        self._bounds.now = now
        rows = Rows(batch, self._id, self._bounds)
        await self._add(connection, rows)
        await add_found(connection, batch, self.instance.service_name, self._id, self._bounds)
        return rows

    async def _add(self, connection: Connection, rows: Rows) -> None:
        new = sorted(rows.of_series(series) for id, series in rows.series.items() if id not in self._known)
        if new:
            await connection.execute(sql.load("metrics")["add_series"], *_columns(new))
        if rows.reach:
            await connection.execute(sql.load("batches")["seen"], self._id, rows.reach)
        await _copy(connection, "metrics_10s", BLOCKS, rows.blocks)
        if late := rows.late:
            await connection.execute(sql.load("rollups")["mark_late"], MINUTE, late, self._id)
        await _copy(connection, "logs", LOGS, rows.logs)
        await _copy(connection, "traces", TRACES, rows.traces)


async def _copy(connection: Connection, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    if rows:
        await connection.copy_records_to_table(table, schema_name="watchglass", columns=columns, records=rows)


def _columns(rows: Iterable[Row]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
