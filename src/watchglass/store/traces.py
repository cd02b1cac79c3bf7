"""Kept traces: searched newest first, or one of them with all its parts and log lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from watchglass import sql
from watchglass.analysis.windows import Window
from watchglass.meters import DB_CLIENT_OPERATION_DURATION
from watchglass.store.database import Database
from watchglass.store.logs import Place
from watchglass.store.spans import Spans, walk
from watchglass.store.text import storable

if TYPE_CHECKING:
    import asyncpg

MOST_PARTS = 100
"""Local roots shown of one trace: whoever calls a service chooses the id."""

MOST_BYTES = 4 * 1024 * 1024
"""Bytes of spans, as they are stored, from which on no more parts of a trace are read."""

MOST_LINES = 1_000
"""Log lines shown of one trace."""

MOST_COUNTED = 10_000
MOST_STATEMENTS = 100
MOST_ERRORS = 10_000

SEARCH_SECONDS = 2.0
"""How long one page is looked for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which traces; None is any. `unmatched` are those of paths that no route matched; durations are in seconds."""

    service: str | None = None
    method: str | None = None
    route: str | None = None
    unmatched: bool = False
    lowest_status: int | None = None
    highest_status: int | None = None
    errors: bool = False
    error_type: str | None = None
    error_group: str | None = None
    statements: Sequence[str] | None = None
    reason: str | None = None
    min_duration: float | None = None
    max_duration: float | None = None

    @property
    def of_endpoint(self) -> bool:
        """Whether an endpoint is named."""
        return self.method is not None or self.route is not None or self.unmatched


@dataclass(frozen=True, slots=True)
class Found:
    """Rows, newest first. `older` is where to go on, None at the end of the window.

    `reached` is up to where it was searched for lack of time, None where it was not for that.
    """

    rows: list[asyncpg.Record]
    older: Place | None = None
    reached: datetime | None = None


async def find(
    database: Database,
    wanted: Wanted,
    window: Window,
    limit: int,
    before: Place | None = None,
    seconds: float = SEARCH_SECONDS,
) -> Found:
    """The newest traces of a window, or those before a place. Errors are those of `Database.fetch`.

    What is not found in time is left out, and the answer says from where on to search.
    """
    end = _moment(window.end)
    if before is not None:
        end = min(end, before.time + timedelta(microseconds=1))
    spans = Spans(_moment(window.start), end, back=True)
    query = sql.load("traces")["find_traces"]
    place: tuple[object, ...] = before or (None,) * 4

    async def fetch(span: tuple[datetime, datetime], limit: int, seconds: float) -> list[asyncpg.Record]:
        return await database.fetch(query, *span, *_arguments(wanted), *place, limit, seconds=seconds)

    rows = await walk(fetch, spans, limit + 1, seconds)
    if len(rows) > limit:
        return Found(rows[:limit], Place.of(dict(rows[limit - 1])))
    if not spans.exhausted:
        return Found(rows, Place.at(spans.reached), spans.reached)
    return Found(rows)


def _arguments(wanted: Wanted) -> tuple[object, ...]:
    return (
        *_of_endpoint(wanted),
        wanted.service,
        wanted.lowest_status,
        wanted.highest_status,
        wanted.errors,
        wanted.error_type,
        wanted.error_group,
        None if wanted.statements is None else list(wanted.statements),
        wanted.reason,
        wanted.min_duration,
        wanted.max_duration,
    )


def _of_endpoint(wanted: Wanted) -> tuple[object, ...]:
    return wanted.method, wanted.route, wanted.unmatched


async def count(database: Database, wanted: Wanted, window: Window) -> int:
    """How many traces of an endpoint were kept in a window; up to `MOST_COUNTED` are counted."""
    query = sql.load("traces")["count_traces"]
    rows = await database.fetch(query, *_times(window), *_of_endpoint(wanted), wanted.service, MOST_COUNTED)
    kept: int = rows[0]["kept"]
    return kept


async def trimmed(database: Database) -> tuple[float, int] | None:
    """Up to when traces went before their time (unix seconds), and the limit in bytes that was the reason."""
    rows = await database.fetch(sql.load("logs")["trimmed"], "traces")
    return (rows[0]["until"], rows[0]["limit_bytes"]) if rows else None


async def parts(database: Database, trace_id: bytes) -> list[asyncpg.Record]:
    """The local roots of a trace, oldest first, with their spans as JSON; `parts` of each row is how many there are."""
    return await database.fetch(sql.load("traces")["trace_parts"], trace_id, MOST_PARTS, MOST_BYTES)


async def pending_parts(database: Database, trace_id: bytes) -> list[asyncpg.Record]:
    """The local roots of a trace that had not ended when their process last said so."""
    return await database.fetch(sql.load("traces")["pending_parts"], trace_id, MOST_PARTS)


async def lines(
    database: Database, trace_id: bytes, window: Window | None = None, *, kept: bool = True
) -> list[asyncpg.Record]:
    """The log lines of a trace, oldest first, at most one more than `MOST_LINES`."""
    times = _times(window) if window else (None, None)
    return await database.fetch(sql.load("traces")["trace_logs"], trace_id, *times, MOST_LINES + 1, kept)


async def statements_with(database: Database, text: str) -> list[str]:
    """Shapes of statements that hold a text, at most `MOST_STATEMENTS`."""
    rows = await database.fetch(
        sql.load("traces")["statement_texts"], DB_CLIENT_OPERATION_DURATION.name, storable(text), MOST_STATEMENTS
    )
    return [row["text"] for row in rows]


async def error_groups(database: Database, wanted: Wanted, window: Window, limit: int) -> list[asyncpg.Record]:
    """Groups of a service's errors seen in a window, last seen first; of an endpoint those of its kept traces."""
    queries = sql.load("traces")
    ids = None
    if wanted.of_endpoint:
        found = queries["endpoint_error_groups"]
        rows = await database.fetch(found, *_times(window), *_of_endpoint(wanted), MOST_ERRORS)
        ids = [row["error_group"] for row in rows]
    return await database.fetch(queries["error_groups"], *_times(window), wanted.service, ids, limit)


def _times(window: Window) -> tuple[datetime, datetime]:
    return _moment(window.start), _moment(window.end)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
