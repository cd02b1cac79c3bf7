"""Log lines in a store, as many and as old as a test needs, by the database's own means."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from support.partitions import add_partition

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
) -> str:
    """So many lines, evenly, in the hour that begins then: 2 % warnings, 0.1 % errors, a rare logger, some traces.

    Returns the partition.
    """
    name = await add_partition(connection, "logs", lower)
    await connection.execute(_FILL, lower, lines, over, processes, padding)
    return name
