"""What is older than asked goes, a partition at a time, and nobody waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg

from watchglass import sql
from watchglass.settings import Settings
from watchglass.store.connection import transaction

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

_SECONDS = 10.0
_LOCK_SECONDS = 0.2
"""A partition that is being read stays; our own readers wait no longer than this behind the attempt to drop it."""


async def maintain(connection: Connection, settings: Settings) -> list[str]:
    """Create the partitions of the next days, drop what has expired, shorten the ledger; returns what was dropped.

    What is locked now is left for the next time.
    """
    await _run(connection, sql.load("batches")["create_partitions"])
    dropped: list[str] = []
    days = settings.retention_metrics_days, settings.retention_records_days
    while name := await _run(connection, sql.load("retention")["drop_expired_partition"], *days):
        dropped.append(str(name))
    await _run(connection, sql.load("retention")["forget_batches"])
    await _run(connection, sql.load("retention")["forget_instances"], max(days))
    await _run(connection, sql.load("access")["forget_login_tokens"])
    return dropped


async def _run(connection: Connection, query: str, *arguments: object) -> object:
    """The value of one statement in a transaction of its own; None when a lock was not free."""
    try:
        async with transaction(connection, seconds=_SECONDS, lock_seconds=_LOCK_SECONDS):
            return await connection.fetchval(query, *arguments)
    except asyncpg.LockNotAvailableError:
        return None
