"""A store of the second version keeps its logs and traces, and takes what processes of that version still write."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from support.partitions import steady_hour
from support.versions import at_version
from watchglass import sql
from watchglass.store import migrations
from watchglass.store.connection import connect
from watchglass.store.migrations import LATEST, check, migrate

# As the second version sent them.
LOGS = (
    *("time", "sequence", "instance_id", "position", "severity", "level", "logger", "message", "fields"),
    *("trace_id", "span_id", "exception"),
)
TRACES = (
    *("time", "sequence", "duration", "instance_id", "position", "status", "dropped_spans", "trace_id", "span_id"),
    *("name", "route", "method", "error_type", "reason", "spans"),
)
OF_A_PARTITION = """
    SELECT count(*) FROM pg_index
    WHERE indrelid = (
        SELECT relation FROM watchglass.partitions() WHERE parent = $1 AND lower <= now() AND upper > now()
    )
"""


class SecondVersion:
    """Writes as a process of the second version did."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self.connection = connection

    async def write(self, sequence: int) -> None:
        now = await self.connection.fetchval("SELECT now()")
        log = (now, sequence, 1, 0, 13, "WARNING", "shop", "careful", "{}", b"1" * 16, b"1" * 8, None)
        trace = (now, sequence, 0.5, 1, 0, 500, 0, b"1" * 16, b"1" * 8, "GET /", "/", "GET", "KeyError", "error", "[]")
        await self._copy("logs", LOGS, log)
        await self._copy("traces", TRACES, trace)

    async def _copy(self, table: str, columns: tuple[str, ...], row: tuple[Any, ...]) -> None:
        await self.connection.copy_records_to_table(table, schema_name="watchglass", columns=columns, records=[row])


@pytest.fixture
def at_version_two() -> Iterator[pytest.MonkeyPatch]:
    with at_version(2) as patch:
        yield patch


@pytest.fixture
async def old(database_url: str, at_version_two: pytest.MonkeyPatch) -> AsyncIterator[SecondVersion]:
    """A process of the second version on a store of that version."""
    steady_hour()
    assert await migrate(database_url) == [1, 2]
    connection = await asyncpg.connect(database_url)
    yield SecondVersion(connection)
    await connection.close()


async def test_logs_and_traces_of_before_are_kept_and_indexed(
    old: SecondVersion, database_url: str, at_version_two: pytest.MonkeyPatch
) -> None:
    await old.write(1)
    at_version_two.undo()
    assert await migrate(database_url) == list(range(3, LATEST + 1))
    fetchval = old.connection.fetchval
    assert await fetchval("SELECT array_agg(message) FROM watchglass.logs") == ["careful"]
    assert await fetchval("SELECT array_agg(error_type) FROM watchglass.traces WHERE error_group IS NULL") == [
        "KeyError"
    ]
    for table in ("logs", "traces"):
        wanted = await fetchval("SELECT count(*) FROM pg_index WHERE indrelid = $1::regclass", f"watchglass.{table}")
        assert await fetchval(OF_A_PARTITION, table) == wanted > 5
    assert await fetchval(
        "SELECT bool_and(indisvalid) FROM pg_index JOIN pg_class ON pg_class.oid = indrelid WHERE relkind = 'p'"
    )


async def test_a_process_of_the_second_version_goes_on_writing(
    old: SecondVersion, database_url: str, at_version_two: pytest.MonkeyPatch
) -> None:
    at_version_two.undo()
    await migrate(database_url)
    await old.write(1)
    [row] = await old.connection.fetch("SELECT reason, error_group, statements FROM watchglass.traces")
    assert tuple(row) == ("error", None, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrations, "LATEST", 2)
        patch.setattr(migrations, "WRITER", 2)
        connection = await connect(database_url)
        assert await check(connection, database_url) == LATEST
        await connection.close()


async def test_what_is_too_large_to_be_indexed_at_once_does_not_hold_up_the_upgrade(
    old: SecondVersion, database_url: str, at_version_two: pytest.MonkeyPatch
) -> None:
    await old.write(1)
    at_version_two.undo()
    with pytest.MonkeyPatch.context() as patch:
        small = {**sql.migrations(), 3: sql.migrations()[3].replace("512 * 1024 * 1024", "1")}
        patch.setattr(sql, "migrations", lambda: small)
        await migrate(database_url)
    fetchval = old.connection.fetchval
    assert await fetchval(OF_A_PARTITION, "logs") == 3
    assert await fetchval("SELECT message FROM watchglass.logs WHERE severity >= 13 AND logger = 'shop'") == "careful"
    await old.connection.execute(
        "DROP TABLE watchglass.logs_" + await fetchval("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDDHH24')")
    )
    assert await fetchval("SELECT watchglass.create_partitions()") == 1, "one made since has them"
    assert await fetchval(OF_A_PARTITION, "logs") == 7


async def test_a_store_of_the_third_version_gets_the_tables_of_statements(database_url: str) -> None:
    first_three = {version: sql.migrations()[version] for version in (1, 2, 3)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sql, "migrations", lambda: first_three)
        patch.setattr(migrations, "LATEST", 3)
        assert await migrate(database_url) == [1, 2, 3]
    assert await migrate(database_url) == list(range(4, LATEST + 1))
    connection = await asyncpg.connect(database_url)
    tables = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'watchglass'::regnamespace AND relkind = 'r'"
    )
    await connection.close()
    assert {"statements", "plans", "plan_events", "advice"} <= {row["relname"] for row in tables}
