"""Checks of what statements cost the server: cache hits, temporary files, deadlocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from watchglass.analysis.fingerprints import of_statement
from watchglass.analysis.postgresql_health import Reads
from watchglass.api import words
from watchglass.api.postgresql import POSTGRESQL, SYSTEM
from watchglass.api.postgresql_health_answers import Cell, HealthCheck, State
from watchglass.api.postgresql_health_parts import (
    MOST_ROWS,
    Columns,
    Examination,
    Trend,
    check,
    count,
    last,
    since,
)
from watchglass.api.requests import ERROR
from watchglass.api.series import ratio_line
from watchglass.meters import (
    DB_CLIENT_OPERATION_DURATION,
    FINGERPRINT,
    POSTGRESQL_BLKS_HIT,
    POSTGRESQL_BLKS_READ,
    POSTGRESQL_DEADLOCKS,
    POSTGRESQL_TEMP_FILES,
    POSTGRESQL_TEMP_IO,
    STATEMENT_TEMP_WRITTEN,
    Meter,
)
from watchglass.store import postgresql_health as store
from watchglass.store import statements as statements_store

ENOUGH_BLOCKS: Final = 10_000
"""Of fewer blocks a ratio says nothing."""

GOOD_HITS, BAD_HITS = 0.99, 0.90
"""The usual marks of a service whose data in use fits into memory."""

SPILLED: Final = 100 * 1024**2
"""Bytes of temporary files an hour from which on they are worth a look; ten times as many are bad."""

MANY_DEADLOCKS: Final = 10
"""An hour from which on they are bad: each of them ended somebody's transaction."""

MOST_MEMORY: Final = 1_024
"""Megabytes of work_mem that are advised at most."""

DEADLOCK: Final = "40P01"
HOUR: Final = 3600.0


LARGER_CACHE: Final = (
    "came from the system's cache or the disk. First see whether the tables below lack an index; where the data in use "
    "is larger than the cache, raise shared_buffers, up to a quarter of the memory."
)
ONE_ORDER: Final = (
    "Each ended a transaction with an error: have all transactions lock their rows in one order, an UPDATE of several "
    "by ORDER BY id FOR UPDATE, and repeat one that fails so. PostgreSQL's log has both statements."
)

OF_READS: Final[Columns] = (
    ("table", "Table", None),
    ("read", "Read", "By"),
    ("hit_ratio", "Cache hits", "1"),
    ("bytes", "Size", "By"),
)
OF_SPILLS: Final[Columns] = (
    ("statement", "Statement", None),
    ("fingerprint", "Fingerprint", None),
    ("bytes", "Written", "By"),
)
OF_DEADLOCKS: Final[Columns] = (
    ("statement", "Statement", None),
    ("fingerprint", "Fingerprint", None),
    ("errors", "Ended", "{error}"),
)


@dataclass(frozen=True, slots=True)
class _Counted:
    """A figure over so many seconds, how that is said, and its line."""

    number: float
    seconds: float
    basis: str
    trend: Trend | None

    @property
    def hourly(self) -> float:
        return self.number / max(self.seconds, HOUR) * HOUR


async def cache_hit_ratio(on: Examination) -> HealthCheck:
    """The share of blocks that were in shared_buffers: in the window, else since the database counts."""
    hit, read, basis, trend = await _hits(on)
    if hit + read < ENOUGH_BLOCKS:
        few = f"Too few blocks were asked for to judge: {hit + read:,.0f} {basis}."
        return check("cache_hit_ratio", "unknown", few)
    ratio = hit / (hit + read)
    state: State = "good" if ratio >= GOOD_HITS else "attention" if ratio >= BAD_HITS else "bad"
    cache = words.size(on.server.shared_buffers)
    sentence = f"{words.percent(ratio)} of the blocks that were asked for {basis} were in shared_buffers ({cache})."
    if state != "good":
        sentence += f" {words.size(read * on.server.block_size)} {LARGER_CACHE}"
    return check(
        "cache_hit_ratio",
        state,
        sentence,
        value=ratio,
        unit="1",
        basis=basis,
        columns=OF_READS,
        rows=[_read(one, on.server.block_size) for one in await store.reads(on.database)],
        trend=trend,
        trend_unit="1" if trend else None,
    )


async def temporary_files(on: Examination) -> HealthCheck:
    """What sorts and hashes wrote to disk because work_mem was too small for them."""
    files = await _counted(on, POSTGRESQL_TEMP_FILES, on.server.temp_files)
    written = await _counted(on, POSTGRESQL_TEMP_IO, on.server.temp_bytes)
    state: State = "good" if written.hourly < SPILLED else "attention" if written.hourly < 10 * SPILLED else "bad"
    sentence = f"No sort and no hash needed a temporary file {files.basis}."
    if files.number:
        size = words.size(written.number)
        sentence = f"{count(files.number, 'temporary file')} of {size} in all were written {files.basis}."
    average = written.number / max(files.number, 1)
    wanted = None if state == "good" else _wanted(average, on.server.work_mem)
    return check(
        "temporary_files",
        state,
        sentence if state == "good" else f"{sentence} {_larger_memory(on, average)}",
        value=written.number,
        unit="By",
        basis=written.basis,
        command=f"ALTER ROLE {on.server.role} SET work_mem = '{wanted}MB';" if wanted else None,
        columns=OF_SPILLS,
        rows=await _spilling(on) if on.history else [],
        trend=written.trend,
        trend_unit="By" if written.trend else None,
    )


async def deadlocks(on: Examination) -> HealthCheck:
    """Transactions that PostgreSQL ended because they waited for each other."""
    found = await _counted(on, POSTGRESQL_DEADLOCKS, on.server.deadlocks)
    state: State = "good" if not found.number else "attention" if found.hourly < MANY_DEADLOCKS else "bad"
    ever = f" ({on.server.deadlocks:,} {since(on.server.counted_since)})" if on.history else ""
    sentence = f"{count(found.number, 'deadlock') if found.number else 'No deadlock'} {found.basis}{ever}."
    return check(
        "deadlocks",
        state,
        f"{sentence} {ONE_ORDER}" if found.number else sentence,
        value=found.number,
        unit="{deadlock}",
        basis=found.basis,
        columns=OF_DEADLOCKS,
        rows=await _ended(on) if on.history else [],
        trend=found.trend,
        trend_unit="{deadlock}" if found.trend else None,
    )


async def _counted(on: Examination, meter: Meter, ever: float) -> _Counted:
    """A figure over the window where the server was read in it, else since the database counts."""
    if on.history is None:
        return _Counted(float(ever), on.server.counted_seconds, since(on.server.counted_since), None)
    found, seconds = await on.history.counted(meter), on.history.seconds
    return _Counted(found.sum, seconds, last(seconds), on.history.trend(found.line))


async def _hits(on: Examination) -> tuple[float, float, str, Trend | None]:
    """Blocks found and not found, over what, and the ratio over time."""
    if on.history:
        hits, reads = await on.history.counted(POSTGRESQL_BLKS_HIT), await on.history.counted(POSTGRESQL_BLKS_READ)
        if hits.sum + reads.sum >= ENOUGH_BLOCKS:
            whole = [None if a is None or b is None else a + b for a, b in zip(hits.line, reads.line, strict=True)]
            return hits.sum, reads.sum, last(on.history.seconds), on.history.trend(ratio_line(hits.line, whole))
    return float(on.server.blks_hit), float(on.server.blks_read), since(on.server.counted_since), None


def _read(one: Reads, block_size: int) -> dict[str, Cell]:
    blocks = one.blocks_read + one.blocks_hit
    return {
        "table": one.table,
        "read": one.blocks_read * block_size,
        "hit_ratio": one.blocks_hit / blocks if blocks else None,
        "bytes": one.bytes,
    }


def _wanted(average: float, has: int) -> int | None:
    """Megabytes of work_mem that would have held it: sorted in memory, rows take about twice what they take on disk.

    More than there are in any case, for a hash has many small files; None where that is more than a role should have.
    """
    megabytes = 4
    while megabytes < MOST_MEMORY and (megabytes * 1024**2 < 2 * average or megabytes * 1024**2 <= has):
        megabytes *= 2
    return megabytes if megabytes * 1024**2 > has else None


def _larger_memory(on: Examination, average: float) -> str:
    has = words.size(on.server.work_mem)
    return (
        f"They are of sorts and hashes larger than work_mem ({has}), {words.size(average)} each on average. An index "
        "in the order of the statement, or fewer rows, spares them; else let the role have more, which every sort of "
        "every connection may take."
    )


async def _spilling(on: Examination) -> list[dict[str, Cell]]:
    """The statements that spilled, as far as pg_stat_statements is read."""
    groups = await on.asked.reader.select(STATEMENT_TEMP_WRITTEN.name, on.asked.window, by=(FINGERPRINT,))
    found = sorted(((group.sum, group.key[0] or "") for group in groups if group.sum), reverse=True)
    keys = [key for _, key in found[:MOST_ROWS]]
    known = await statements_store.known(on.asked.reader.database, on.asked.reader.service, keys)
    return [
        {
            "statement": known[key].text if key in known else None,
            "fingerprint": key,
            "bytes": blocks * on.server.block_size,
        }
        for blocks, key in found
    ]


async def _ended(on: Examination) -> list[dict[str, Cell]]:
    """The statements of this service that were ended so."""
    groups = await on.asked.reader.select(
        DB_CLIENT_OPERATION_DURATION.name,
        on.asked.window,
        by=("db.query.text", "db.query.summary"),
        where={SYSTEM: POSTGRESQL, ERROR: DEADLOCK},
    )
    found = sorted(((group.count, group.key[0] or group.key[1] or "") for group in groups), reverse=True)
    return [{"statement": text, "fingerprint": of_statement(text), "errors": errors} for errors, text in found]
