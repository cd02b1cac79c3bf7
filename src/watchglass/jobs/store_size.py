"""How large the store is, table by table, into the recorder: for `/metrics`, and for its line on the page."""

from __future__ import annotations

import time
from math import inf
from typing import TYPE_CHECKING

from watchglass import sql
from watchglass.jobs.readings import Readings, Recording
from watchglass.meters import WATCHGLASS_STORE_SIZE
from watchglass.store.connection import transaction

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

EVERY = 60.0
"""Seconds between two readings: PostgreSQL looks at every file of the store for one."""


class StoreSize:
    """Read by the elected process only."""

    def __init__(self, recorder: Recording) -> None:
        self._readings = Readings(recorder)
        self._read_at = -inf

    async def read(self, connection: Connection) -> None:
        """Read it, if the last time is long enough ago."""
        if time.monotonic() - self._read_at < EVERY:
            return
        self._read_at = time.monotonic()
        async with transaction(connection, seconds=5.0, readonly=True):
            rows = await connection.fetch(sql.load("store")["sizes"])
        for row in rows:
            self._readings.gauge(WATCHGLASS_STORE_SIZE, float(row["bytes"]), (row["name"],))

    def forget(self) -> None:
        """No longer ours to do: leave nothing that would go stale."""
        self._readings.forget()
        self._read_at = -inf
