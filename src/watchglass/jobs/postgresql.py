"""The service's own PostgreSQL, as it says of itself."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Any

from watchglass import meters, sql
from watchglass.jobs.readings import Readings
from watchglass.jobs.table_sizes import TableSizes
from watchglass.store.connection import close, connect, reported, transaction
from watchglass.store.postgresql_health import checkpoints_query

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

SECONDS = 3.0

SIZE_SECONDS = 60.0
"""How often the database's size is asked for, which takes a tenth of a second where there are thousands of tables."""

_STATES = ("active", "idle", "idle in transaction", "idle in transaction (aborted)")


class PostgreSQL:
    """The service's own database, on a connection that stays open while this process is elected."""

    def __init__(self, dsn: str, readings: Readings) -> None:
        self._dsn = dsn
        self._readings = readings
        self._checkpoints = readings.beside()
        self._sizes = TableSizes(dsn, readings.beside())
        self._connection: Connection | None = None
        self._sized_at = -inf

    async def read(self) -> dict[str, Any]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._dsn, application_name="watchglass snapshots", seconds=SECONDS)
            self._sized_at = -inf  # what was said before is forgotten where it was lost
        try:
            with reported(self._dsn):
                sized = time.monotonic() - self._sized_at >= SIZE_SECONDS
                row, backends, checkpoints = await _ask(self._connection, sized)
        except BaseException:
            self._connection.terminate()
            raise
        self._record(row)
        self._checkpoints.counting_since(checkpoints["since"])
        self._checkpoints.total(meters.POSTGRESQL_CHECKPOINTS, checkpoints["timed"], ("scheduled",))
        self._checkpoints.total(meters.POSTGRESQL_CHECKPOINTS, checkpoints["requested"], ("requested",))
        await self._sizes.read(self._connection)
        return {"version": row["version"], **self._record_backends(backends)}

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await close(connection)

    def _record(self, row: Mapping[str, Any]) -> None:
        self._readings.gauge(meters.POSTGRESQL_CONNECTION_MAX, row["max_connections"])
        if row["size"] is not None:
            self._readings.gauge(meters.POSTGRESQL_DB_SIZE, row["size"])
            self._sized_at = time.monotonic()
        self._readings.counting_since(row["stats_reset"])
        self._readings.total(meters.POSTGRESQL_COMMITS, row["xact_commit"])
        self._readings.total(meters.POSTGRESQL_ROLLBACKS, row["xact_rollback"])
        self._readings.total(meters.POSTGRESQL_BLKS_HIT, row["blks_hit"])
        self._readings.total(meters.POSTGRESQL_BLKS_READ, row["blks_read"])
        self._readings.total(meters.POSTGRESQL_DEADLOCKS, row["deadlocks"])
        self._readings.total(meters.POSTGRESQL_TEMP_FILES, row["temp_files"])
        self._readings.total(meters.POSTGRESQL_TEMP_IO, row["temp_bytes"])

    def _record_backends(self, rows: Sequence[Any]) -> dict[str, Any]:
        """Count every connection; those whose state is hidden are of the state "unknown"."""
        by_state: dict[str | None, int] = {row["state"]: row["backends"] for row in rows}
        for state in {*_STATES, *by_state} - {None}:
            self._readings.gauge(meters.POSTGRESQL_BACKENDS, by_state.get(state, 0), (state,))
        hidden = by_state.get(None, 0)
        self._readings.gauge(meters.POSTGRESQL_BACKENDS, hidden, ("unknown",))
        if not hidden:
            return {"hidden_backends": 0, "note": None}
        role = rows[0]["role"]
        note = f"The role {role} does not see the state of {hidden} of {sum(by_state.values())} connections."
        return {"hidden_backends": hidden, "note": f"{note} To see them: GRANT pg_monitor TO {role};"}


async def _ask(connection: Connection, sized: bool) -> tuple[Mapping[str, Any], Sequence[Any], Mapping[str, Any]]:
    queries = sql.load("snapshots")
    async with transaction(connection, seconds=SECONDS, readonly=True):
        row = await connection.fetchrow(queries["snapshot_database"], sized)
        backends = await connection.fetch(queries["snapshot_backends"])
        assert row is not None
        checkpoints = await connection.fetchrow(checkpoints_query(row["major"]))
    assert checkpoints is not None
    return dict(row), backends, dict(checkpoints)
