"""Advised indexes are looked for, so that what they brought is told from when they were there: once a minute."""

from __future__ import annotations

import time
from math import inf
from typing import TYPE_CHECKING, Final

from watchglass.jobs.retention import Begin
from watchglass.settings import Settings
from watchglass.store.advice import watch
from watchglass.store.database import Database

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

EVERY: Final = 60.0
_SECONDS: Final = 8.0


class AdviceWatch:
    """Of the elected process; its connection to the service's own database is open while there is advice."""

    def __init__(self, settings: Settings) -> None:
        dsn = settings.application_dsn
        self._service = settings.service
        self._application = Database(dsn, application_name="watchglass advice") if dsn else None
        self._looked_at = -inf

    async def take(self, connection: Connection, begin: Begin) -> None:
        """Look, when it is time; `connection` is the store's. Errors are those of `Database.ask`."""
        if self._application is None or time.monotonic() - self._looked_at < EVERY:
            return
        self._looked_at = time.monotonic()
        async with begin(connection, seconds=_SECONDS):
            await watch(connection.fetch, self._application, self._service)

    async def forget(self) -> None:
        """Another process does it now."""
        if self._application is not None:
            await self._application.close()
