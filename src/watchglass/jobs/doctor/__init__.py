"""What was detected, what is missing, and the exact statement or setting: for `watchglass doctor` and the page."""

from __future__ import annotations

from collections.abc import Sequence

from watchglass.guard import as_own_work
from watchglass.jobs.doctor import configuration, postgresql, redis, software, telemetry
from watchglass.jobs.doctor.findings import Finding, State
from watchglass.settings import Settings

__all__ = ["Finding", "State", "diagnose"]


async def diagnose(settings: Settings, *, clashes: Sequence[str] = ()) -> list[Finding]:
    """Look at packages, settings, PostgreSQL and Redis, now. Never raises for what it finds; takes 15 s at most.

    `clashes` are paths of Watchglass's own that the service answers itself.
    """
    with as_own_work():
        return [
            *software.findings(settings),
            *configuration.findings(settings, clashes),
            *telemetry.findings(settings),
            *await postgresql.findings(settings),
            *await redis.findings(settings),
        ]
