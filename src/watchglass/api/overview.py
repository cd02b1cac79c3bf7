"""Answers that gather what several questions know: the summary, the status, every meter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from watchglass import __version__
from watchglass import meters as instruments
from watchglass.analysis.windows import Window
from watchglass.api import cards, footprint, postgresql, requests, system
from watchglass.api.answers import MeterFigure, MetersAnswer, Pressing, SummaryAnswer
from watchglass.api.asking import Asked, Readings, figures
from watchglass.api.context import Context
from watchglass.api.coverage import Coverage, coverage
from watchglass.api.health import HealthAnswer
from watchglass.api.models import Tile, TimeWindow
from watchglass.api.recorded import DESCRIPTION
from watchglass.api.series import percentile_table, total
from watchglass.api.status_answers import InstanceInfo, OtlpInfo, StatusAnswer, StorageInfo
from watchglass.errors import DatabaseNotConfigured, WatchglassError
from watchglass.meters import Kind, Meter
from watchglass.store.names import names

if TYPE_CHECKING:
    from watchglass.store.reader import Group

Now = Callable[[], Awaitable[list[Pressing] | None]]

_RECENT = 300.0


async def summary(asked: Asked, now: Now) -> SummaryAnswer:
    """Every tile, all over the same window, and what presses `now` where the window ends now."""
    tiles, found = await asyncio.gather(_tiles(asked), now() if asked.window.end >= asked.now else _nothing())
    return SummaryAnswer(
        window=TimeWindow.of(asked.window),
        compared_with=TimeWindow.of(asked.earlier) if asked.earlier else None,
        tiles=tiles,
        pressing=found,
    )


async def _tiles(asked: Asked) -> dict[str, Tile]:
    tiles = {name: await cards.CARDS[name].answer(asked, {}) for name in cards.TILES}
    return {name: tile for name, tile in tiles.items() if isinstance(tile, Tile)}


async def _nothing() -> list[Pressing]:
    return []


async def metrics(asked: Asked) -> Tile:
    """The main figures as one flat list: requests, PostgreSQL, the system and what is stored."""
    specs = {**requests.SPECS, **postgresql.SPECS, **system.SPECS, "stored": footprint.SPECS["stored"]}

    async def read(asked: Asked, window: Window) -> Readings:
        parts = [await one(asked, window) for one in (requests.read, postgresql.read, system.read, footprint.read)]
        return {name: reading for part in parts for name, reading in part.items() if name in specs}

    return Tile(**asked.head("metrics", "Metrics", "The main figures."), figures=await figures(asked, specs, read))


async def status(context: Context, health: HealthAnswer) -> StatusAnswer:
    """What is known of the service now; answers without the store too."""
    instances, reason = None, None
    try:
        instances = await _instances(context)
    except WatchglassError as error:
        reason = str(error)
    return StatusAnswer(
        status=health.status,
        components=dict(health.components),
        service=context.settings.service,
        version=context.settings.service_version,
        watchglass=__version__,
        storage=_storage(context),
        otlp=_otlp(context),
        instances=instances,
        reason=reason,
    )


async def _instances(context: Context) -> list[InstanceInfo]:
    if context.reader is None:
        raise DatabaseNotConfigured
    now = context.clock()
    return [
        InstanceInfo(
            instance_id=seen.instance_id,
            service_name=seen.service_name,
            service_version=seen.service_version,
            host=seen.host,
            pid=seen.pid,
            started_at=datetime.fromtimestamp(seen.started_at, UTC),
            last_seen=datetime.fromtimestamp(seen.last_seen, UTC),
        )
        for seen in await context.reader.instances(Window(now - _RECENT, now))
    ]


def _storage(context: Context) -> StorageInfo | None:
    found = context.status() if context.status else None
    if found is None:
        return None
    return StorageInfo(
        state=found.state,
        message=found.message or None,
        last_flush=_moment(found.last_flush),
        queued=dict(found.queued),
        dropped=dict(found.dropped),
        backlog=found.backlog,
        backlog_bytes=found.backlog_bytes,
        spooled_bytes=found.spooled_bytes,
        spool_problem=found.spool_problem or None,
        set_aside=found.set_aside,
        overflowed=found.overflowed,
        clamped=found.clamped,
    )


def _otlp(context: Context) -> dict[str, OtlpInfo]:
    ways = context.status().otlp if context.status else {}
    return {
        signal: OtlpInfo(
            state=way.state,
            message=way.message,
            last_sent=_moment(way.last_sent),
            queued=way.queued,
            dropped=way.dropped,
        )
        for signal, way in ways.items()
    }


def _moment(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


async def meters(asked: Asked) -> MetersAnswer:
    """Every meter that has data in the window: the built-in ones, and those that were recorded by hand."""
    covered = await coverage(asked, asked.window)
    found: dict[str, dict[str, MeterFigure]] = {"histogram": {}, "counter": {}, "gauge": {}}
    for meter in (*instruments.ALL, *await _recorded(asked)):
        groups = await asked.reader.select(meter.name, asked.window)
        if groups:
            kind = "gauge" if meter.kind == "updown" else meter.kind
            found[kind][meter.name] = MeterFigure(
                unit=meter.unit,
                description=meter.description,
                count=sum(group.count for group in groups),
                **_of_kind(kind, groups, covered),
            )
    return MetersAnswer(
        window=TimeWindow.of(asked.window),
        timers=found["histogram"],
        counters=found["counter"],
        gauges=found["gauge"],
    )


async def _recorded(asked: Asked) -> list[Meter]:
    """The meters of the store that are none of the built-in ones; of two of one name the first."""
    found = {name: (kind, unit) for name, kind, unit in reversed(await names(asked.reader.database))}
    return [
        Meter(name, cast(Kind, kind), unit, DESCRIPTION)
        for name, (kind, unit) in sorted(found.items())
        if name not in instruments.BY_NAME
    ]


def _of_kind(kind: str, groups: list[Group], covered: Coverage) -> dict[str, float | None]:
    whole = total(groups)
    if kind == "histogram":
        p50, p95, p99 = percentile_table([whole])[0]
        return {"total": whole.sum, "p50": p50, "p95": p95, "p99": p99, "min": whole.low, "max": whole.high}
    if kind == "counter":
        return {"total": whole.sum, "rate": covered.rate(whole.sum)}
    last = groups[0].last
    mean = whole.sum / whole.count if whole.count else None
    return {"last": last, "mean": mean, "min": whole.low, "max": whole.high}
