"""The check of growth: the database and its largest tables, a week, and until when the disk lasts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from watchglass.analysis.growth import slope
from watchglass.analysis.postgresql_health import Size
from watchglass.analysis.windows import Window
from watchglass.api import words
from watchglass.api.asking import Asked
from watchglass.api.postgresql_health_answers import Cell, HealthCheck, State
from watchglass.api.postgresql_health_parts import Columns, Examination, check
from watchglass.api.series import line, newest
from watchglass.meters import (
    POSTGRESQL_DB_SIZE,
    POSTGRESQL_INDEX_SIZE,
    POSTGRESQL_TABLE_SIZE,
    SYSTEM_FILESYSTEM_LIMIT,
    SYSTEM_FILESYSTEM_UTILIZATION,
    TABLE,
)
from watchglass.store import postgresql_health as store

DAY: Final = 86_400.0
WEEK: Final = 7 * DAY

_SLOTS: Final = 180
"""Of a week: hours."""

LEAST_SECONDS: Final = 3600.0
"""Over less time growth says nothing of a week."""

SOON, NEXT = 7 * DAY, 30 * DAY
"""A disk that is full within these seconds is bad, or worth a look."""

FAST, FROM = 0.2, 1024**3
"""A week's growth of this share of a database of so many bytes is worth a look."""

Points = list[tuple[float, float]]


OF_GROWTH: Final[Columns] = (
    ("table", "Table", None),
    ("bytes", "Size", "By"),
    ("index_bytes", "Of it indexes", "By"),
    ("live", "Rows", "{row}"),
    ("week", "In a week", "By"),
)


async def growth(on: Examination) -> HealthCheck:
    """The size of the database and of its largest tables, and what they grew in a week."""
    week = replace(on.asked, window=Window(on.asked.window.end - WEEK, on.asked.window.end))
    step = week.steps(_SLOTS)
    points = await _points(week, step)
    size = points[-1][1] if points else float(on.server.estimated_size)
    speed = _speed(points, step)
    free = await _free(on) if on.server.local else None
    seconds = free / speed if free is not None and speed and speed > 0 else None
    state = _state(size, speed, seconds)
    largest = await store.sizes(on.database)
    return check(
        "growth",
        state,
        _sentence(on, size, speed, seconds, free, state),
        value=size,
        unit="By",
        basis="in the last 7 d" if speed is not None else None,
        columns=OF_GROWTH,
        rows=[_row(one, speeds) for speeds in [await _speeds(week)] for one in largest],
        trend=tuple((datetime.fromtimestamp(time, UTC), value) for time, value in points) or None,
        trend_unit="By" if points else None,
    )


def _state(size: float, speed: float | None, seconds: float | None) -> State:
    if seconds is not None and seconds < NEXT:
        return "bad" if seconds < SOON else "attention"
    fast = speed is not None and speed * WEEK > FAST * size and size > FROM
    return "attention" if fast else "good"


def _sentence(
    on: Examination, size: float, speed: float | None, seconds: float | None, free: float | None, state: State
) -> str:
    if speed is None:
        how = "about " if on.history is None else ""
        return f"The database has {how}{words.size(size)}. How fast it grows is known after some hours."
    verb = "shrinks by" if speed < 0 else "grows by"
    text = f"The database has {words.size(size)} and {verb} {words.size(abs(speed) * WEEK)} a week."
    if seconds is not None:
        when = datetime.fromtimestamp(on.asked.now + min(seconds, 3650 * DAY), UTC)
        text += f" The service's disk, where its data seems to be, has {words.size(free)} free"
        text += f": enough until {when:%Y-%m-%d}." if seconds < 3650 * DAY else "."
    elif free is None:
        text += " PostgreSQL does not say how large its disk is: compare it there."
    if state != "good":
        text += " Delete or partition what is old in the tables that grow most, or enlarge the disk."
    return text


async def _points(week: Asked, step: int) -> Points:
    slots = week.window.slots(step)
    groups = await week.reader.select(POSTGRESQL_DB_SIZE.name, week.window, step=step)
    values = line(groups, slots, lambda group: group.last)
    return [(float(slot), value) for slot, value in zip(slots, values, strict=True) if value is not None]


async def _speeds(week: Asked) -> dict[str, float]:
    """Bytes a second of each table that is read, with its indexes."""
    found: dict[str, float] = {}
    for meter in (POSTGRESQL_TABLE_SIZE, POSTGRESQL_INDEX_SIZE):
        points: dict[str, Points] = {}
        for group in await week.reader.select(meter.name, week.window, by=(TABLE,), step=week.step):
            if group.last is not None and group.time is not None and group.key[0]:
                points.setdefault(group.key[0], []).append((float(group.time), group.last))
        for table, known in points.items():
            speed = _speed(known, week.step)
            if speed is not None:
                found[table] = found.get(table, 0.0) + speed
    return found


def _speed(points: Points, step: int) -> float | None:
    """Bytes a second; None where the readings may lie closer together than is enough: their slots are known alone."""
    return slope(points) if (len(points) - 2) * step >= LEAST_SECONDS else None


async def _free(on: Examination) -> float | None:
    """Bytes that are free on the disk of the service's machine."""
    slots = on.asked.window.slots(on.asked.step)
    found = []
    for meter in (SYSTEM_FILESYSTEM_LIMIT, SYSTEM_FILESYSTEM_UTILIZATION):
        groups = await on.asked.reader.select(meter.name, on.asked.window, step=on.asked.step)
        found.append(newest(groups, slots, "", lambda group: group.max).value)
    limit, used = found
    return None if limit is None or used is None else limit * (1 - used)


def _row(one: Size, speeds: dict[str, float]) -> dict[str, Cell]:
    speed = speeds.get(one.table)
    return {
        "table": one.table,
        "bytes": one.bytes,
        "index_bytes": one.index_bytes,
        "live": one.live,
        "week": None if speed is None else speed * WEEK,
    }
