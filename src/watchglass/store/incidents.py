"""Incidents, and requests that had not ended: what is read of them."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from watchglass import sql
from watchglass.analysis.windows import Window
from watchglass.store.database import Database

if TYPE_CHECKING:
    import asyncpg

MOST_UNPACKED = 256 * 1024 * 1024
"""Bytes of lines that one incident is read to."""

_A_STEP = 1 << 20


async def incidents(database: Database, service: str | None, window: Window, limit: int) -> list[asyncpg.Record]:
    """Those of a service (None: of all) in the window, newest first, without their content."""
    return await database.fetch(sql.load("incidents")["incidents"], service, window.start, window.end, limit)


async def incident(database: Database, service: str | None, id: str) -> asyncpg.Record | None:
    """One incident with its content, as text; None where there is none."""
    rows = await database.fetch(sql.load("incidents")["incident"], service, id)
    return rows[0] if rows else None


async def pending(database: Database, service: str | None, limit: int) -> list[asyncpg.Record]:
    """The requests of a service (None: of all) that had not ended when last seen, those that began first first."""
    return await database.fetch(sql.load("pending")["pending"], service, limit)


def unpacked(content: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The requests and the log lines of an incident, newest first. What is damaged ends its list."""
    requests, _, logs = str(content.get("packed") or "").partition(" ")
    return list(_lines(requests)), list(_lines(logs))


def _lines(packed: str) -> Iterator[dict[str, Any]]:
    try:
        for line in _unpacked(base64.b64decode(packed)).splitlines():
            yield json.loads(line)
    except ValueError:
        return


def _unpacked(data: bytes) -> bytes:
    """As far as it can be read, and no further than the bound."""
    press, found = zlib.decompressobj(), bytearray()
    try:
        while data and len(found) < MOST_UNPACKED:
            found += press.decompress(data, _A_STEP)
            data = press.unconsumed_tail
    except zlib.error:
        pass
    return bytes(found)
