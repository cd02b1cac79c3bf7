"""Following the log lines of all processes: whatever a transaction commits late is read, and nothing twice.

A process writes its batches one after the other, each in one transaction with its row in the ledger, and whoever writes
what a dead process left goes on with its numbers. So the numbers of one process come up in order, with gaps where
batches were merged, and what is above the last one that was read is what is new. A serial number over all processes has
no such order: who follows one loses what commits late.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, NamedTuple

from watchglass import sql
from watchglass.store.database import Database, Fetch

SETTLED_SECONDS = 120
"""A batch this old has been committed, or never will be: no transaction of a writer's lasts so long."""

OLDEST_SECONDS = 3600
"""Who has read nothing for longer begins anew: it would take a search through the ledger to say what is new."""

_BEFORE, _AFTER = 3600.0, 660.0
"""Seconds that lines are older, or younger, than their batch, mostly. Others are looked for in all partitions."""

_FIRST, _LAST = 0.0, 253_402_300_000.0
_MOST_PROCESSES = 10_000
_SQL = sql.load("log_tail")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cursor:
    """What has been read: of the processes in `known` all batches up to that sequence, of others all up to `since`.

    `since` is in unix seconds of the store's clock; `born` tells which store it is. `part` has, of processes whose next
    batch is read in part, the number of its lines that are.
    """

    born: int
    since: int
    known: Mapping[int, int]
    part: Mapping[int, int] = field(default_factory=dict)

    def before(self, batches: Sequence[Unread]) -> Cursor:
        """This cursor, but with these batches, which are in order, unread."""
        first = {batch.instance_id: batch for batch in reversed(batches)}
        part = {id: batch.taken for id, batch in first.items() if batch.taken}
        return replace(self, known={**self.known, **{id: one.sequence - 1 for id, one in first.items()}}, part=part)


class Unread(NamedTuple):
    """A batch of which lines are to be read, all but the first `taken`."""

    instance_id: int
    sequence: int
    taken: int
    lines: int
    written_at: float


@dataclass(frozen=True, slots=True)
class News:
    """What there is after a cursor: lines that are passed over, and batches to be read from `start` on.

    `exact` is False where the cursor was too old to count what is passed over, or of another store.
    """

    start: Cursor
    end: Cursor
    batches: Sequence[Unread] = ()
    skipped: int = 0
    exact: bool = True


class Process(NamedTuple):
    """Who wrote a line."""

    service_name: str
    service_instance_id: str
    host_name: str


_FORGOTTEN = Process("", "", "")


class LogTail:
    """Reads what is new. Errors are those of `Database.ask`; after one, what was asked may be asked again."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._processes: dict[int, Process] = {}

    async def now(self) -> Cursor:
        """A cursor after all that can be read by now."""
        return await self.database.ask(_now)

    async def news(
        self, cursor: Cursor, *, most: int, services: frozenset[str] | None = None, until: Cursor | None = None
    ) -> News:
        """What was written after the cursor by processes of these services (None: of all), up to another cursor.

        Of more than `most` lines the newest are to be read, the newest batch in any case.
        """
        return await self.database.ask(lambda fetch: self._news(fetch, cursor, most, services, until))

    async def lines(self, batches: Sequence[Unread]) -> list[dict[str, Any]]:
        """The lines of these batches, each process's in their order: rows of `logs` with their `Process`'s fields.

        Those that are not there any more are left out.
        """
        return await self.database.ask(lambda fetch: self._lines(fetch, batches)) if batches else []

    def process(self, instance_id: int) -> Process:
        """Who has this number, as far as `news` has met it."""
        return self._processes.get(instance_id, _FORGOTTEN)

    async def _news(
        self, fetch: Fetch, cursor: Cursor, most: int, services: frozenset[str] | None, until: Cursor | None
    ) -> News:
        born, now = await _store(fetch)
        if cursor.born != born or cursor.since < now - OLDEST_SECONDS:
            end = until or await _now(fetch)
            return News(end, end, exact=False)
        written = await _written(fetch, cursor.since, cursor.known, until)
        last = {id: _last(row, until) for id, row in written.items()}
        await self._meet(fetch, last)
        wanted = [
            (id, row["known"] + 1, cursor.part.get(id, 0), last[id])
            for id, row in written.items()
            if last[id] > row["known"] and (services is None or self.process(id).service_name in services)
        ]
        batches, total = await _unread(fetch, wanted, most)
        end = until or Cursor(born, now - SETTLED_SECONDS, last)
        start = Cursor(born, cursor.since, last).before(batches) if batches else end
        return News(start, end, batches, total - sum(batch.lines for batch in batches))

    async def _meet(self, fetch: Fetch, ids: Iterable[int]) -> None:
        """Learn who has these numbers."""
        new = [id for id in ids if id not in self._processes]
        if len(self._processes) > _MOST_PROCESSES:
            self._processes.clear()
            new = list(ids)
        for row in await fetch(_SQL["who_wrote"], new) if new else ():
            self._processes[row["id"]] = Process(row["service_name"], row["service_instance_id"], row["host_name"])

    async def _lines(self, fetch: Fetch, batches: Sequence[Unread]) -> list[dict[str, Any]]:
        taken = {(batch.instance_id, batch.sequence): batch.taken for batch in batches}
        start, end = min(batch.written_at for batch in batches), max(batch.written_at for batch in batches)
        rows = await _rows(fetch, batches, start - _BEFORE, end + _AFTER)
        rows = [row for row in rows if row["position"] >= taken[row["instance_id"], row["sequence"]]]
        kept = await _kept(fetch, {row["trace_id"] for row in rows} - {None}, start - _BEFORE, end + _AFTER)
        rows.sort(key=lambda row: (row["instance_id"], row["sequence"], row["position"]))
        return [
            {**row, **self.process(row["instance_id"])._asdict(), "trace_kept": row["trace_id"] in kept} for row in rows
        ]


def _last(row: Row, until: Cursor | None) -> int:
    """The newest batch of a process that is to be read."""
    last: int = row["newest"] if until is None else until.known.get(row["instance_id"], row["newest_by"])
    return last


async def _store(fetch: Fetch) -> tuple[int, int]:
    """Which store this is, and its clock."""
    [row] = await fetch(_SQL["born"])
    return row["born"], int(row["now"])


async def _now(fetch: Fetch) -> Cursor:
    born, now = await _store(fetch)
    since = now - SETTLED_SECONDS
    return Cursor(born, since, {id: row["newest"] for id, row in (await _written(fetch, since)).items()})


async def _written(
    fetch: Fetch, since: int, known: Mapping[int, int] | None = None, until: Cursor | None = None
) -> dict[int, Row]:
    """By process what it wrote after a time, of those that wrote anything."""
    found, limit = known or {}, inf if until is None else float(until.since)
    arguments = float(since), list(found), list(found.values()), limit
    rows: Sequence[Any] = await fetch(_SQL["written_since"], *arguments)
    return {row["instance_id"]: row for row in rows}


async def _unread(fetch: Fetch, wanted: Sequence[tuple[int, int, int, int]], most: int) -> tuple[Sequence[Unread], int]:
    """The batches that are to be read, and how many lines are unread in all."""
    if not wanted:
        return (), 0
    columns = [list(column) for column in zip(*wanted, strict=True)]
    rows = await fetch(_SQL["unread_batches"], *columns, most)
    return [Unread(*list(row.values())[:5]) for row in rows], rows[0]["total"] if rows else 0


async def _rows(fetch: Fetch, batches: Sequence[Unread], start: float, end: float) -> list[Any]:
    """Look where lines of such batches mostly are, and everywhere for the batches that lack some there."""
    rows = await _between(fetch, batches, start, end)
    found = Counter((row["instance_id"], row["sequence"]) for row in rows)
    short = [one for one in batches if found[one.instance_id, one.sequence] < one.taken + one.lines]
    if not short:
        return rows
    again = {(one.instance_id, one.sequence) for one in short}
    rest = [row for row in rows if (row["instance_id"], row["sequence"]) not in again]
    return [*rest, *await _between(fetch, short, _FIRST, _LAST)]


async def _between(fetch: Fetch, batches: Sequence[Unread], start: float, end: float) -> list[Any]:
    ids, sequences = [one.instance_id for one in batches], [one.sequence for one in batches]
    return await fetch(_SQL["lines_of"], ids, sequences, start, end)


async def _kept(fetch: Fetch, trace_ids: set[bytes], start: float, end: float) -> frozenset[bytes]:
    """Those of the traces that were kept by now."""
    rows = await fetch(_SQL["kept_among"], list(trace_ids), start, end) if trace_ids else ()
    return frozenset(row["trace_id"] for row in rows)
