"""Partitions of a store as maintenance would have made them, and the hours and days that they are of."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

_ENOUGH = 60.0
"""Seconds in which a test is done with the hour that runs."""


def this_hour() -> datetime:
    """The begin of the hour that runs."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def steady_hour() -> datetime:
    """The begin of the hour that runs, and will while a test looks at it: close to its end the next one is awaited."""
    if (left := 3600 - time.time() % 3600) < _ENOUGH:
        time.sleep(left)
    return this_hour()


async def partitions(connection: Any, parent: str) -> list[tuple[datetime, datetime]]:
    """From when to when the partitions of a table reach, in order."""
    rows = await connection.fetch(
        "SELECT lower, upper FROM watchglass.partitions() WHERE parent = $1 ORDER BY 1", parent
    )
    return [(row["lower"], row["upper"]) for row in rows]


async def add_partition(connection: Any, parent: str, lower: datetime, span: timedelta = HOUR) -> str:
    """The name of a partition, which is made if it is not there."""
    name = f"{parent}_{lower:%Y%m%d}" + (f"{lower:%H}" if span < DAY else "")
    if not await connection.fetchval("SELECT to_regclass($1)", f"watchglass.{name}"):
        await connection.execute(
            "SELECT watchglass.add_partition($1, $2, $3, $4)", *(parent, name, lower, lower + span)
        )
    return name


async def drop_partitions_ahead(connection: Any, parent: str) -> list[tuple[datetime, datetime]]:
    """Have those of the future missing, as they come to be when time passes; returns what they were."""
    rows = await connection.fetch(
        "SELECT name, lower, upper FROM watchglass.partitions() WHERE parent = $1 AND lower > now() ORDER BY lower",
        parent,
    )
    for row in rows:
        await connection.execute(f"DROP TABLE watchglass.{row['name']}")
    return [(row["lower"], row["upper"]) for row in rows]
