"""Log lines in a store, as many and as old as a test needs, by the database's own means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
"""The hour that runs."""

_FILL = """
    INSERT INTO watchglass.logs (
        time, sequence, instance_id, position, severity, level, logger, message, fields, trace_id, span_id, exception
    )
    SELECT
        $1::timestamptz + i * $3::interval / $2, i / 100, 1 + i / 3 % $4, i % 100,
        CASE WHEN i % 1000 = 7 THEN 17 WHEN i % 50 = 7 THEN 13 ELSE 9 END,
        CASE WHEN i % 1000 = 7 THEN 'ERROR' WHEN i % 50 = 7 THEN 'WARNING' ELSE 'INFO' END,
        'shop.' || CASE WHEN i % 500 = 3 THEN 'payment' ELSE (ARRAY['orders', 'search', 'cart'])[1 + i % 3] END,
        'order ' || md5(i::text || $1::text) || ' took ' || i % 997 || ' ms' || repeat('.', $5), '{"n": 1}',
        CASE WHEN i % 3 = 0 THEN decode(md5((i / 30)::text || $1::text), 'hex') END, NULL,
        CASE WHEN i % 1000 = 7 THEN 'Traceback: KeyError ' || i END
    FROM generate_series(0, $2 - 1) AS i
"""


async def add_hour(connection: Any, lower: datetime, parent: str = "logs") -> str:
    """A partition of the past, as maintenance would have made it then."""
    name = f"{parent}_{lower:%Y%m%d%H}"
    if await connection.fetchval("SELECT to_regclass($1)", f"watchglass.{name}"):
        return name
    await connection.execute(f"CREATE TABLE watchglass.{name} (LIKE watchglass.{parent} INCLUDING ALL)")
    await connection.execute(
        f"ALTER TABLE watchglass.{parent} ATTACH PARTITION watchglass.{name}"
        f" FOR VALUES FROM ('{lower.isoformat()}') TO ('{(lower + timedelta(hours=1)).isoformat()}')"
    )
    return name


async def add_processes(connection: Any, *services: str) -> None:
    """Processes with the numbers 1, 2 and so on, of these services."""
    for number, service in enumerate(services, 1):
        await connection.execute(
            """
            INSERT INTO watchglass.instances (service_instance_id, service_name, service_namespace, service_version,
                host_name, process_pid, started_at, last_seen)
            VALUES ($1, $2, '', '1.0', 'host', 1, now() - interval '8 days', now())
            """,
            f"process-{number}",
            service,
        )


async def fill(
    connection: Any,
    lower: datetime,
    lines: int,
    processes: int = 2,
    over: timedelta = timedelta(hours=1),
    padding: int = 0,
) -> None:
    """So many lines, evenly, in the hour that begins then: 2 % warnings, 0.1 % errors, a rare logger, some traces."""
    await add_hour(connection, lower)
    await connection.execute(_FILL, lower, lines, over, processes, padding)
