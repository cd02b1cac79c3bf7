"""What every check of PostgreSQL's health is made from: the server's figures, those kept of it, and the shape."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from watchglass.analysis.postgresql_health import Server
from watchglass.api import words
from watchglass.api.asking import Asked
from watchglass.api.postgresql_health_answers import Cell, Column, HealthCheck, Name, State
from watchglass.api.series import Line, line
from watchglass.errors import DatabaseUnavailable, QueryTooSlow, WatchglassError
from watchglass.meters import POSTGRESQL_DB_SIZE, Meter
from watchglass.store.database import Database

MOST_ROWS: Final = 20

_MANUAL: Final = "https://www.postgresql.org/docs/current/"

KINDS: Final[Mapping[Name, tuple[str, str]]] = {
    "cache_hit_ratio": ("Cache hits", f"{_MANUAL}runtime-config-resource.html#GUC-SHARED-BUFFERS"),
    "dead_tuples": ("Dead rows", f"{_MANUAL}routine-vacuuming.html#VACUUM-FOR-SPACE-RECOVERY"),
    "autovacuum": ("Vacuum", f"{_MANUAL}routine-vacuuming.html#AUTOVACUUM"),
    "growth": ("Growth", f"{_MANUAL}disk-usage.html"),
    "wraparound": ("Distance to wraparound", f"{_MANUAL}routine-vacuuming.html#VACUUM-FOR-WRAPAROUND"),
    "checkpoints": ("Checkpoints", f"{_MANUAL}wal-configuration.html"),
    "replication": ("Replication", f"{_MANUAL}monitoring-stats.html#MONITORING-PG-STAT-REPLICATION-VIEW"),
    "temporary_files": ("Temporary files", f"{_MANUAL}runtime-config-resource.html#GUC-WORK-MEM"),
    "deadlocks": ("Deadlocks", f"{_MANUAL}explicit-locking.html#LOCKING-DEADLOCKS"),
}
"""Title and manual of each check, in the order in which they are answered."""

ON_PRIMARY: Final = "This is a replica: it gets what vacuum does on the primary. Ask there."

STATES: Final[tuple[State, ...]] = ("good", "unknown", "attention", "bad")
"""The worst last."""


Columns = Iterable[tuple[str, str, str | None]]
"""Key, title and unit of each."""

Trend = tuple[tuple[datetime, float | None], ...]


@dataclass(frozen=True, slots=True)
class Counted:
    """What a counter came to in the window, and in each slot (None where nobody read it)."""

    sum: float
    line: Line


@dataclass(frozen=True, slots=True)
class History:
    """What is kept of the server within the window: which slots had a reading, and its size in them."""

    asked: Asked
    slots: Sequence[int]
    size: Line

    @classmethod
    async def of(cls, asked: Asked) -> History | None:
        """None where the server was never read in the window. Raises what the store does."""
        slots = asked.window.slots(asked.step)
        groups = await asked.reader.select(POSTGRESQL_DB_SIZE.name, asked.window, step=asked.step)
        found = cls(asked, slots, line(groups, slots, lambda group: group.last))
        return found if any(size is not None for size in found.size) else None

    @property
    def seconds(self) -> float:
        """For how long the server was read in the window."""
        return min(self.asked.window.seconds, sum(size is not None for size in self.size) * self.asked.step)

    async def counted(self, meter: Meter, where: Mapping[str, str | None] | None = None) -> Counted:
        """A counter over the window: zero in a slot in which the server was read and nothing came."""
        groups = await self.asked.reader.select(meter.name, self.asked.window, where=where, step=self.asked.step)
        values = line(groups, self.slots, lambda group: group.sum)
        spark = [
            value if value is not None else (None if size is None else 0.0)
            for value, size in zip(values, self.size, strict=True)
        ]
        return Counted(sum(value or 0.0 for value in values), spark)

    def trend(self, values: Line) -> Trend:
        """A line with the times of its slots."""
        return tuple((datetime.fromtimestamp(slot, UTC), value) for slot, value in zip(self.slots, values, strict=True))


@dataclass(frozen=True, slots=True)
class Examination:
    """What a check looks at: the server now, on `database`, and what is kept of it."""

    asked: Asked
    database: Database
    server: Server
    history: History | None


Check = Callable[[Examination], Awaitable[HealthCheck]]


def check(
    name: Name,
    state: State,
    sentence: str,
    *,
    columns: Columns = (),
    rows: Sequence[Mapping[str, Cell]] = (),
    **fields: Any,
) -> HealthCheck:
    """An answer of this name; of the rows the first twenty."""
    title, manual = KINDS[name]
    shown = tuple(dict(row) for row in rows[:MOST_ROWS])
    named = tuple(Column(key=key, title=title, unit=unit) for key, title, unit in columns) if shown else ()
    fields = {"left_off": max(0, len(rows) - MOST_ROWS), **fields}
    return HealthCheck(
        name=name, title=title, manual=manual, state=state, sentence=sentence, rows=shown, columns=named, **fields
    )


def iso(time: float | None) -> str | None:
    """A time as it is written in a row."""
    return None if time is None else datetime.fromtimestamp(time, UTC).isoformat()


def since(time: float) -> str:
    """Since 2026-01-31 14:02 UTC: over what was counted."""
    return f"since {datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M} UTC"


def last(seconds: float) -> str:
    """In the last 58 min: over what was counted."""
    return f"in the last {words.duration(seconds)}"


def count(number: float, thing: str) -> str:
    """1 dead row, 1,200 dead rows; 12 million transactions."""
    if number >= 1_000_000:
        return f"{words.number(number / 1_000_000)} million {thing}s"
    return words.plural(round(number), thing)


def worst(states: Iterable[State]) -> State:
    """The worst of these states; good where there are none."""
    return max(states, key=STATES.index, default="good")


def plain(error: WatchglassError) -> str:
    """Why there is no answer, a sentence."""
    match error:
        case DatabaseUnavailable():
            return error.plainly
        case QueryTooSlow():
            return "PostgreSQL did not answer this within {seconds} s: ask again when it is less busy.".format_map(
                error.fields
            )
    return str(error)
