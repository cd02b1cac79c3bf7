"""What pg_stat_statements counts of each statement, taken by the elected process.

The collector's `postgresql` receiver has these as attributes of an event; the words behind the prefix are its own. On
`/metrics` all statements are one series.
"""

from __future__ import annotations

from typing import Final

from watchglass.instruments import Meter

FINGERPRINT: Final = "watchglass.statement.fingerprint"


def _of_statements(name: str, unit: str, description: str) -> Meter:
    return Meter(f"watchglass.statement.{name}", "counter", unit, description, (FINGERPRINT,), exposed=())


STATEMENT_CALLS = _of_statements("calls", "{call}", "How often PostgreSQL executed statements of this database.")
STATEMENT_EXEC_TIME = _of_statements("total_exec_time", "s", "The time PostgreSQL spent executing statements.")
STATEMENT_ROWS = _of_statements("rows", "{row}", "Rows that statements retrieved or affected.")
STATEMENT_BLKS_HIT = _of_statements("shared_blks_hit", "{blks_hit}", "Shared blocks found in the buffer cache.")
STATEMENT_BLKS_READ = _of_statements("shared_blks_read", "{blks_read}", "Shared blocks read by statements.")
STATEMENT_TEMP_READ = _of_statements("temp_blks_read", "{temp_blks_read}", "Temporary blocks read by statements.")
STATEMENT_TEMP_WRITTEN = _of_statements(
    "temp_blks_written", "{temp_blks_written}", "Temporary blocks written by statements: sorts and hashes that spilled."
)
STATEMENT_IO_TIME = _of_statements(
    "blk_io_time", "s", "The time statements waited for blocks of tables and temporary files, with track_io_timing."
)
STATEMENT_WAL = _of_statements("wal_bytes", "By", "Write-ahead log that statements generated.")

OF_STATEMENTS: Final = (
    *(STATEMENT_CALLS, STATEMENT_EXEC_TIME, STATEMENT_ROWS, STATEMENT_BLKS_HIT, STATEMENT_BLKS_READ),
    *(STATEMENT_TEMP_READ, STATEMENT_TEMP_WRITTEN, STATEMENT_IO_TIME, STATEMENT_WAL),
)
"""In the order of `jobs.statements`' figures."""
