"""Reading: the one module that answers questions about stored metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watchglass import sql
from watchglass.analysis.windows import Window
from watchglass.store.database import Database
from watchglass.store.text import storable

OF_PROCESSES = frozenset(
    ("service.instance.id", "service.name", "service.namespace", "service.version", "host.name", "process.pid")
)
"""Attributes of the process that wrote a row, not of its series; `by` and `where` take them as well."""


@dataclass(frozen=True, slots=True)
class Group:
    """What series that agree in `key` add up to, in the slot that starts at `time`.

    `key` holds the values of `by`, None where absent; `time` is None when the window is one slot.
    Histogram: count, sum, min, max and packed buckets. Counter: `sum` is the increase.
    Gauge: `sum / count` is the mean of its samples, `last` the newest one of any of its series and processes: to add up
    or compare processes, have "service.instance.id" in `by`.
    """

    key: tuple[str | None, ...]
    time: int | None
    count: int
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
    """A table of the store: rows as PostgreSQL last estimated them, bytes with indexes and all partitions."""

    name: str
    partitions: int
    rows: int
    bytes: int


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

        `where` keeps series whose attributes have these values; None is "absent". Slots are aligned to the epoch; one
        in which nothing was recorded is left out. Ordered by key, then time.
        """
        where = where or {}
        of_series = [attribute for attribute in by if attribute not in OF_PROCESSES]
        of_processes = [attribute for attribute in by if attribute in OF_PROCESSES]
        rows = await self.database.fetch(
            _source(window, step),
            name,
            of_series,
            self.service,
            *_conditions({k: v for k, v in where.items() if k not in OF_PROCESSES}),
            of_processes,
            *_conditions({k: v for k, v in where.items() if k in OF_PROCESSES}),
            window.start,
            window.end,
            step,
        )
        return [_group(row, by, [*of_series, *of_processes]) for row in rows]

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


def _source(window: Window, step: int | None) -> str:
    """The statement that reads the rows which serve this window best."""
    return sql.load("metrics")["select_metrics"]


def _conditions(where: Mapping[str, str | None]) -> tuple[str, list[str]]:
    """Attributes that must have a value, as JSON, and those that must be absent."""
    present = {name: storable(value) for name, value in where.items() if value is not None}
    return json.dumps(present), [name for name, value in where.items() if value is None]


def _group(row: Any, by: Sequence[str], order: Sequence[str]) -> Group:
    values = dict(zip(order, [*(row["key"] or ()), *(row["source_key"] or ())], strict=True))
    return Group(
        tuple(values[name] for name in by),
        row["time"],
        row["count"],
        row["sum"],
        row["min"],
        row["max"],
        row["last"],
        row["buckets"] or b"",
    )
