"""What PostgreSQL and Redis say of themselves, into the recorder: by the elected process only, every ten seconds."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from watchglass import guard
from watchglass.errors import DatabaseUnavailable, WatchglassError
from watchglass.jobs.postgresql import PostgreSQL
from watchglass.jobs.readings import Readings, Recording
from watchglass.jobs.redis import Redis
from watchglass.settings import Settings

SECONDS = 6.0
"""What one snapshot of one server may take."""


class Server(Protocol):
    """One server that is asked about itself."""

    async def read(self) -> dict[str, Any]:
        """Put its figures into the readings and return what every process should know of it."""

    async def close(self) -> None: ...


class Snapshots:
    """Asks the servers of the service. `facts` says by name what was found, `problem` in it why figures are missing."""

    def __init__(self, settings: Settings, recorder: Recording) -> None:
        self.facts: dict[str, dict[str, Any]] = {}
        self._servers: dict[str, tuple[Server, Readings]] = {}
        postgresql, redis = Readings(recorder), Readings(recorder)
        self._servers["postgresql"] = PostgreSQL(settings.application_dsn or "", postgresql), postgresql
        self._servers["redis"] = Redis(settings.redis_dsn, redis), redis

    @property
    def problems(self) -> dict[str, str]:
        """Why figures of a server are missing, a sentence each."""
        return {name: fact["problem"] for name, fact in self.facts.items() if fact["problem"]}

    async def take(self) -> None:
        """Ask every server now; one that does not answer has no gauges until it does."""
        with guard.as_own_work():
            await asyncio.gather(*(self._take(name) for name in self._servers))

    async def _take(self, name: str) -> None:
        server, readings = self._servers[name]
        try:
            async with asyncio.timeout(SECONDS):
                self.facts[name] = {"problem": None, **await server.read()}
        except (WatchglassError, TimeoutError) as error:
            readings.pause()
            problem = _plain(error) or f"{name.capitalize()} did not answer within {SECONDS:g} s."
            self.facts[name] = {**self.facts.get(name, {}), "problem": problem}

    async def forget(self) -> None:
        """No longer ours to do: leave nothing that would go stale, and begin anew next time."""
        self.facts.clear()
        for server, readings in self._servers.values():
            readings.forget()
            await server.close()


def _plain(error: Exception) -> str:
    return error.plainly if isinstance(error, DatabaseUnavailable) else str(error)
