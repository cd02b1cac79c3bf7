"""What is kept by number or by days, in tables without partitions: incidents, error groups, what never ended, and what
is known of the service's statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from watchglass import sql
from watchglass.jobs.retention import Begin
from watchglass.settings import Settings
from watchglass.store.connection import transaction

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

MOST_ENDINGS: Final = 20
"""Incidents that ended processes left: each deploy makes one of every process."""

MOST_GROUPS: Final = 1_000
"""Error groups of a service."""

MOST_PENDING: Final = 1_000
"""Requests of all services that never ended."""

MOST_STATEMENTS: Final = 5_000
"""Statements of a service: pg_stat_statements holds as many."""

MOST_PLANS: Final = 2_000
"""Plans of a service, some kilobytes each."""

MOST_PLANS_EACH: Final = 20
"""Plans of a statement."""

MOST_PLAN_EVENTS: Final = 2_000
"""Changes of plans of a service."""

MOST_ADVICE: Final = 500
"""Indexes that a service was advised."""

_SECONDS = 10.0


async def forget(connection: Connection, settings: Settings, begin: Begin = transaction) -> None:
    """Forget what is too old or too much. Each step is a transaction that `begin` begins."""
    days = settings.retention_records_days
    bounds = settings.service, settings.retention_incidents_days, settings.max_incidents, MOST_ENDINGS
    async with begin(connection, seconds=_SECONDS):
        await connection.execute(sql.load("incidents")["forget_incidents"], *bounds)
    async with begin(connection, seconds=_SECONDS):
        await connection.execute(sql.load("errors")["forget_error_groups"], days, MOST_GROUPS)
    async with begin(connection, seconds=_SECONDS):
        await connection.execute(sql.load("pending")["forget_pending"], days, MOST_PENDING)
    async with begin(connection, seconds=_SECONDS):
        await connection.execute(sql.load("backends")["forget_backends"])
    await _forget_statements(connection, settings.retention_metrics_days, begin)


async def _forget_statements(connection: Connection, days: int, begin: Begin) -> None:
    """They are kept for as long as their figures are, hour by hour."""
    queries = sql.load("forgetting")
    for query, *bounds in (
        (queries["forget_statements"], MOST_STATEMENTS),
        (queries["forget_plans"], MOST_PLANS_EACH, MOST_PLANS),
        (queries["forget_plan_events"], MOST_PLAN_EVENTS),
        (queries["forget_advice"], MOST_ADVICE),
    ):
        async with begin(connection, seconds=_SECONDS):
            await connection.execute(query, days, *bounds)
