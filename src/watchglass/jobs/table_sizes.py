"""How large the largest tables of the service's database are, into the recorder: for what they grow in a week."""

from __future__ import annotations

import time
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Final

from watchglass import sql
from watchglass.errors import WatchglassError
from watchglass.jobs.readings import Readings
from watchglass.meters import POSTGRESQL_INDEX_SIZE, POSTGRESQL_TABLE_SIZE
from watchglass.store.connection import reported, transaction

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

EVERY: Final = 600.0
"""Seconds between two readings: PostgreSQL looks at the files of a hundred tables for one."""

SECONDS: Final = 2.0

MOST: Final = 20
"""Tables that are told apart."""


class TableSizes:
    """Read by the elected process only. A reading that takes too long, or meets a lock, is left out."""

    def __init__(self, dsn: str, readings: Readings) -> None:
        self._dsn = dsn
        self._readings = readings
        self._read_on: Connection | None = None
        self._read_at = -inf

    async def read(self, connection: Connection) -> None:
        """Read them, if the last time on this connection is long enough ago."""
        if connection is self._read_on and time.monotonic() - self._read_at < EVERY:
            return
        self._read_on, self._read_at = connection, time.monotonic()
        query = sql.load("postgresql_health")["health_sizes"]
        with suppress(WatchglassError), reported(self._dsn, seconds=SECONDS):
            async with transaction(connection, seconds=SECONDS, lock_seconds=0.1, readonly=True):
                rows = await connection.fetch(query, MOST)
            self._readings.pause()  # one that is among the largest no more is absent
            for row in rows:
                self._readings.gauge(POSTGRESQL_TABLE_SIZE, float(row["table_bytes"]), (row["table"],))
                self._readings.gauge(POSTGRESQL_INDEX_SIZE, float(row["index_bytes"]), (row["table"],))
