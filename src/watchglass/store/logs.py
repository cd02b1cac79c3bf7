"""Searching log lines: a page at a time, by keyset, over spans that grow as long as the answers come quickly.

A span at a time, because a plan over a week of hours costs more than its answer, and because a search by text that no
index serves can then say how far it got.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from watchglass import sql
from watchglass.store.spans import Spans, walk
from watchglass.store.text import storable

if TYPE_CHECKING:
    import asyncpg

    from watchglass.store.database import Database, Fetch

Row = Mapping[str, Any]
"""A row of `logs` with service_name, service_instance_id and host_name of its process, and trace_kept."""

SEARCH_SECONDS = 2.0
"""How long one page is looked for."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_BOUNDS = (253_402_300_799_999_999, 2**31 - 1, 2**63 - 1, 2**31 - 1)


class Place(NamedTuple):
    """The place of a line among all: by time, and among those of one time by process and order within it."""

    time: datetime
    instance_id: int
    sequence: int
    position: int

    @classmethod
    def of(cls, row: Row) -> Place:
        return cls(row["time"], row["instance_id"], row["sequence"], row["position"])

    @classmethod
    def at(cls, moment: datetime) -> Place:
        """Before every line of that time."""
        return cls(moment, 0, 0, 0)

    @classmethod
    def parse(cls, text: str) -> Place:
        """From `str()`. Raises ValueError."""
        parts = text.split("_")
        if len(parts) != 4 or not all(part.isascii() and part.isdigit() and len(part) < 20 for part in parts):
            raise ValueError(text)
        numbers = [int(part) for part in parts]
        if any(number > bound for number, bound in zip(numbers, _BOUNDS, strict=True)):
            raise ValueError(text)
        return cls(_EPOCH + timedelta(microseconds=numbers[0]), *numbers[1:])

    def __str__(self) -> str:
        return "_".join(map(str, ((self.time - _EPOCH) // _MICROSECOND, *self[1:])))


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which lines: of at least this severity, whose message or exception holds the text in any case, and so on."""

    severity: int | None = None
    service: str | None = None
    instance: str | None = None
    logger: str | None = None
    text: str | None = None
    trace_id: bytes | None = None

    @property
    def pattern(self) -> str | None:
        """The text as ILIKE takes it."""
        if not self.text:
            return None
        escaped = storable(self.text).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return f"%{escaped}%"


@dataclass(frozen=True, slots=True)
class LogPage:
    """Lines in the order of the search. `more`: there are others beyond them.

    `reached` is up to where it was searched; `complete` whether that is all that was asked, or the page is full.
    `indexed` is false where text was looked for line by line.
    """

    rows: Sequence[Row]
    more: bool
    reached: datetime
    complete: bool
    indexed: bool


class LogSearch:
    """Searches log lines, of all services unless the filter names one. Errors are those of `Database.ask`.

    `database` is not the one that the cards ask: they do not wait for a search.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def before(
        self,
        asked: LogFilter,
        start: datetime,
        end: datetime,
        limit: int,
        place: Place | None = None,
        seconds: float = SEARCH_SECONDS,
    ) -> LogPage:
        """The newest lines of the window, newest first; those before `place`."""
        if place and place.time < end:
            end = place.time + _MICROSECOND
        return await self._search("before", asked, Spans(start, end, back=True), limit, place, seconds)

    async def after(
        self,
        asked: LogFilter,
        start: datetime,
        end: datetime,
        limit: int,
        place: Place | None = None,
        seconds: float = SEARCH_SECONDS,
    ) -> LogPage:
        """The oldest lines of the window, oldest first; those after `place`."""
        if place and place.time > start:
            start = place.time
        return await self._search("after", asked, Spans(start, end, back=False), limit, place, seconds)

    async def trimmed(self) -> tuple[float, int] | None:
        """Up to when lines went before their time (unix seconds), and the limit in bytes that was the reason."""
        rows = await self._database.fetch(sql.load("logs")["trimmed"], "logs")
        return (rows[0]["until"], rows[0]["limit_bytes"]) if rows else None

    async def _search(
        self,
        side: Literal["before", "after"],
        asked: LogFilter,
        spans: Spans,
        limit: int,
        place: Place | None,
        seconds: float,
    ) -> LogPage:
        writers, indexed = await self._prepare(asked, spans)
        if writers == []:
            return LogPage([], more=False, reached=spans.last, complete=True, indexed=True)
        if not indexed:
            spans.begin_narrow()
        criteria = (
            *(place or (None,) * 4),
            asked.severity,
            writers,
            asked.logger and storable(asked.logger),
            asked.pattern,
        )
        of_trace = () if asked.trace_id is None else (asked.trace_id,)
        fetch = partial(self._fetch, _query(side, asked), (*criteria, *of_trace))
        rows = await walk(fetch, spans, limit + 1, seconds)
        more = len(rows) > limit
        page = await self._with_traces(rows[:limit])
        return LogPage(page, more, spans.reached, more or spans.exhausted, indexed)

    async def _fetch(
        self, query: str, criteria: tuple[object, ...], span: tuple[datetime, datetime], limit: int, seconds: float
    ) -> list[asyncpg.Record]:
        return await self._database.fetch(query, *span, *criteria, limit, seconds=seconds)

    async def _prepare(self, asked: LogFilter, spans: Spans) -> tuple[list[int] | None, bool]:
        """The processes to ask for, None for all; and whether an index serves the question."""

        async def read(fetch: Fetch) -> tuple[list[int] | None, bool]:
            queries, writers, indexed = sql.load("logs"), None, True
            if asked.service or asked.instance:
                writers = await self._writers(fetch, asked, spans)
            if asked.pattern and asked.trace_id is None:
                [row] = await fetch(queries["text_is_indexed"], spans.start, spans.end)
                indexed = bool(row["indexed"])
            return writers, indexed

        return await self._database.ask(read)

    async def _writers(self, fetch: Fetch, asked: LogFilter, spans: Spans) -> list[int] | None:
        names = (asked.service and storable(asked.service), asked.instance and storable(asked.instance))
        [row] = await fetch(sql.load("logs")["log_writers"], *names, spans.start, spans.end)
        return None if row["everyone"] and not asked.instance else row["ids"] or []

    async def _with_traces(self, rows: Sequence[asyncpg.Record]) -> list[Row]:
        """Each with whether its trace was kept."""
        of_traces = {(row["trace_id"], row["time"]) for row in rows if row["trace_id"]}
        kept: set[bytes] = set()
        if of_traces:
            ids, times = zip(*of_traces, strict=True)
            found = await self._database.fetch(sql.load("logs")["kept_traces"], ids, times, min(times), max(times))
            kept = {row["trace_id"] for row in found}
        return [{**row, "trace_kept": row["trace_id"] in kept} for row in rows]


def _query(side: Literal["before", "after"], asked: LogFilter) -> str:
    queries = sql.load("logs")
    if asked.trace_id is None:
        return queries["logs_before"] if side == "before" else queries["logs_after"]
    return queries["logs_of_trace_before"] if side == "before" else queries["logs_of_trace_after"]
