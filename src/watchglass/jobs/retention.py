"""What is older than asked goes, a partition at a time, and nobody waits for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import asyncpg

from watchglass import sql
from watchglass.settings import Settings
from watchglass.store.connection import transaction

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

Begin = Callable[..., AbstractAsyncContextManager[None]]
"""Begins a transaction on a connection, as `store.connection.transaction` does."""

_SECONDS = 10.0
_LOCK_SECONDS = 0.2
"""A partition that is being read stays; our own readers wait no longer than this behind the attempt to drop it."""


async def maintain(connection: Connection, settings: Settings, begin: Begin = transaction) -> list[str]:
    """Create the partitions of the next days, drop what has expired, shorten the ledger; returns what was dropped.

    Each step is a transaction that `begin` begins. What is locked now is left for the next time.
    """
    await _run(begin, connection, sql.load("batches")["create_partitions"])
    dropped: list[str] = []
    await _run(
        begin, connection, sql.load("store")["set_fact"], settings.service, "retention", json.dumps(kept(settings))
    )
    while name := await _run(begin, connection, sql.load("retention")["drop_expired_partition"]):
        dropped.append(str(name))
    dropped += await limit(connection, settings, begin)
    await _run(begin, connection, sql.load("retention")["forget_batches"])
    await _run(begin, connection, sql.load("retention")["forget_instances"])
    await _run(begin, connection, sql.load("access")["forget_login_tokens"])
    return dropped


async def limit(connection: Connection, settings: Settings, begin: Begin = transaction) -> list[str]:
    """Drop the oldest hours of logs and traces that take more bytes than they may; returns what was dropped.

    The hour that is being written stays, however large. So that it is not, the next ones are divided once lines come
    that fast. What goes is in the table `trimmed`.
    """
    limits = json.dumps(kept_bytes(settings))
    await _run(begin, connection, sql.load("store")["set_fact"], settings.service, "retention_bytes", limits)
    await _run(begin, connection, sql.load("retention")["divide_partitions"])
    dropped: list[str] = []
    while name := await _run(begin, connection, sql.load("retention")["drop_oversized_partition"]):
        dropped.append(str(name))
    return dropped


def kept_bytes(settings: Settings) -> dict[str, int]:
    """How many bytes a service has kept, by table. Of services that share a store the one that asks most decides."""
    return {"logs": settings.retention_logs_bytes, "traces": settings.retention_traces_bytes}


def kept(settings: Settings) -> dict[str, str]:
    """How long a service has its telemetry kept, by table. Services that share a store keep what one of them asks."""
    return {
        "metrics": f"{settings.retention_10s_hours} hours",
        "metrics_10s": f"{settings.retention_10s_hours} hours",
        "metrics_1m": f"{settings.retention_1m_days} days",
        "metrics_1h": f"{settings.retention_metrics_days} days",
        "metrics_1d": f"{settings.retention_1d_days} days",
        "logs": f"{settings.retention_records_days} days",
        "traces": f"{settings.retention_records_days} days",
    }


async def _run(begin: Begin, connection: Connection, query: str, *arguments: object) -> object:
    """The value of one statement in a transaction of its own; None when a lock was not free."""
    try:
        async with begin(connection, seconds=_SECONDS, lock_seconds=_LOCK_SECONDS):
            return await connection.fetchval(query, *arguments)
    except asyncpg.LockNotAvailableError:
        return None
