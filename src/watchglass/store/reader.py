"""Reading: the one module that answers questions about stored metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from watchglass import sql
from watchglass.analysis.tiers import stitch
from watchglass.analysis.windows import Window
from watchglass.store.catalogue import OF_PROCESSES, Catalogue
from watchglass.store.database import Database, Fetch

if TYPE_CHECKING:
    from watchglass.analysis.points import Points
    from watchglass.store.cache import Cache
    from watchglass.store.grouping import Grouping


class Group(NamedTuple):
    """What series that agree in `key` add up to, in the slot that starts at `time`.

    `key` holds the values of `by`, None where absent; `time` is None when the window is one slot.
    Histogram: count, sum, min, max and packed buckets. Counter: `sum` is the increase.
    Gauge: `sum / count` is the mean of its samples, `last` the newest one of any of its series and processes: to add up
    or compare processes, have "service.instance.id" in `by`.
    """

    key: tuple[str | None, ...]
    time: int | None
    count: int  # type: ignore[assignment] # a tuple's method of that name is of no use here
    sum: float
    min: float | None
    max: float | None
    last: float | None
    buckets: bytes


@dataclass(frozen=True, slots=True)
class InstanceSeen:
    """A process of a service: started then (unix seconds), its newest point begins at `last_seen`."""

    instance_id: str
    service_name: str
    service_namespace: str
    service_version: str
    host: str
    pid: int
    started_at: float
    last_seen: float


@dataclass(frozen=True, slots=True)
class TableSize:
    """A table of the store: rows as PostgreSQL last estimated them, bytes with indexes and all partitions.

    `trimmed_until` is up to when rows went before their time (unix seconds), because of the limit in bytes.
    """

    name: str
    partitions: int
    rows: int
    bytes: int
    trimmed_until: float | None = None
    limit_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """What the elected process found out (see `jobs.snapshots`), and when."""

    value: dict[str, Any]
    updated_at: float


class Reader:
    """Answers about one service, or about all when `service` is None.

    Its connection opens with the first question and closes when idle. All questions come from one event loop. Every one
    may raise `DatabaseUnavailable`, `SchemaMissing`, `SchemaForbidden` or, after five seconds, `QueryTooSlow`.
    """

    def __init__(self, database: Database | str, *, service: str | None = None) -> None:
        self.database = Database(database) if isinstance(database, str) else database
        self.service = service
        self._catalogue = Catalogue(service)
        self._cache: Cache | None = None

    async def select(
        self,
        name: str,
        window: Window,
        *,
        by: Sequence[str] = (),
        where: Mapping[str, str | None] | None = None,
        step: int | None = None,
    ) -> list[Group]:
        """What the metric `name` came to in the window, grouped by attributes, in slots of `step` seconds.

        `by` and `where` take attributes of series, and of the processes that wrote them (`OF_PROCESSES`). `where` keeps
        those that have these values; None is "absent". Slots are aligned to the epoch; one in which nothing was
        recorded is left out. Ordered by key, then time.

        The window is answered from the coarsest tiers that fit it. From hours and days, amounts are known per release
        only: where `by` or `where` tells single processes apart, they reach as far back as the tier of minutes.
        """
        import numpy as np

        from watchglass.store import cache, grouping, pieces

        where = where or {}
        question = cache.Question(name, tuple(by), tuple(sorted(where.items())), step)
        kept = self._cache = self._cache or cache.Cache()

        async def read(fetch: Fetch) -> tuple[grouping.Grouping, list[Points]]:
            chosen = await self._catalogue.select(fetch, name, window.start, by, where)
            groups = grouping.Grouping(chosen, by, OF_PROCESSES, step)
            kept.at(chosen.version)
            found = stitch(window, chosen.tiers, step) if chosen.series and chosen.processes else []
            gauges = np.array(chosen.gauges, np.int64)
            return groups, await pieces.read(fetch, question, found, chosen.now, groups, gauges, kept)

        return _groups(*await self.database.ask(read))

    async def instances(self, window: Window) -> list[InstanceSeen]:
        """The processes that reported within the window, by their start."""
        rows = await self.database.fetch(sql.load("store")["instances"], self.service, window.start, window.end)
        return [InstanceSeen(*row.values()) for row in rows]

    async def earliest(self) -> float | None:
        """When the oldest telemetry that is still kept can be from, in unix seconds; None without any."""
        rows = await self.database.fetch(sql.load("store")["earliest"], self.service)
        return rows[0]["earliest"] if rows else None

    async def sizes(self) -> list[TableSize]:
        """The tables of the store, largest first."""
        return [TableSize(*row.values()) for row in await self.database.fetch(sql.load("store")["sizes"])]

    async def facts(self) -> dict[str, Fact]:
        """What the elected process found out, by name: "postgresql", "redis"."""
        rows = await self.database.fetch(sql.load("store")["facts"], self.service)
        return {row["name"]: Fact(json.loads(row["value"]), row["updated_at"]) for row in rows}

    async def close(self) -> None:
        """Close the connection; the next question opens another."""
        await self.database.close()


def _groups(grouping: Grouping, parts: Sequence[Points]) -> list[Group]:
    from watchglass.analysis.points import concatenate

    numbers, points = grouping.add_up(concatenate(parts))
    step = grouping.step
    times = [None] * len(points) if step is None else (points.time // step * step).tolist()
    bounds, packed = (points.bounds * points.pairs.itemsize).tolist(), points.pairs.tobytes()
    columns = (points.count, points.sum, points.min, points.max, points.last)
    return [
        Group(
            grouping.keys[number],
            time,
            count,
            total,
            None if low != low else low,
            None if high != high else high,
            None if last != last else last,
            packed[first:end],
        )
        for number, time, count, total, low, high, last, first, end in zip(
            numbers.tolist(), times, *(column.tolist() for column in columns), bounds, bounds[1:], strict=False
        )
    ]
