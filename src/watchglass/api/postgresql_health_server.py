"""Checks of what the whole server has to do in time: freezing old rows, and checkpoints."""

from __future__ import annotations

from typing import Final

from watchglass.analysis.postgresql_health import Checkpoints, DatabaseAge, TableAge, Wal
from watchglass.api import words
from watchglass.api.postgresql_health_answers import Cell, HealthCheck, State
from watchglass.api.postgresql_health_parts import Columns, Examination, check, count, iso, last, since
from watchglass.meters import POSTGRESQL_CHECKPOINTS
from watchglass.store import postgresql_health as store

WRAPAROUND: Final = 2**31
"""Transactions after which the oldest rows would lie in the future; before that PostgreSQL refuses writes."""

LATE: Final = 1.2
"""How many times the age at which autovacuum has to freeze a table; it begins there: a little more is nothing."""

TOO_LATE: Final = 1_200_000_000
"""Transactions; at 1.6 thousand million VACUUM leaves everything else aside (vacuum_failsafe_age)."""

FEW: Final = 3
"""As many requested checkpoints are nothing: a backup asks for one, too."""

TOO_OFTEN: Final = 60.0
"""Seconds between requested checkpoints; below 30 PostgreSQL warns in its log (checkpoint_warning)."""

MANY: Final = 10

RESTARTPOINTS: Final = "This is a replica: it makes restartpoints where the primary makes checkpoints. Ask there."

GIGABYTE: Final = 1024**3


OF_AGES: Final[Columns] = (
    ("table", "Table", None),
    ("transactions", "Frozen transactions ago", "{transaction}"),
    ("freeze_max_age", "Has to be at", "{transaction}"),
    ("share", "Of that", "1"),
    ("multixacts", "Multixacts ago", "{multixact}"),
    ("bytes", "Size", "By"),
    ("vacuumed_at", "Last vacuum", "iso"),
)


async def wraparound(on: Examination) -> HealthCheck:
    """How far the oldest rows are from where PostgreSQL refuses writes, and which tables are late to be frozen."""
    databases, tables = await store.database_ages(on.database), await store.table_ages(on.database)
    oldest = max(databases, key=lambda one: max(one.transactions, one.multixacts))
    late = [one for one in tables if one.transactions > LATE * one.freeze_max_age]
    state = _state(on, oldest, bool(late))
    return check(
        "wraparound",
        state,
        _distance(on, oldest, late, state),
        value=float(_left(oldest)),
        unit="{transaction}",
        basis=f"what is left in database {oldest.name}",
        command=f"VACUUM (FREEZE, VERBOSE) {late[0].table};" if late and state != "good" else None,
        columns=OF_AGES,
        rows=[_age(one) for one in tables],
    )


OF_CHECKPOINTS: Final[Columns] = (
    ("since", "Counted since", "iso"),
    ("timed", "In time", "{checkpoint}"),
    ("requested", "Requested", "{checkpoint}"),
    ("bytes", "Written", "By"),
    ("write_seconds", "Writing", "s"),
    ("sync_seconds", "Syncing", "s"),
)


async def checkpoints(on: Examination) -> HealthCheck:
    """Whether checkpoints come when it is time, or because max_wal_size is too small."""
    if on.server.standby:
        return check("checkpoints", "unknown", RESTARTPOINTS)
    ever, wal = await store.checkpoints(on.database, on.server.major), await store.wal(on.database)
    began = ever.since or on.server.counted_since
    timed, requested, seconds, basis, trend = ever.timed, ever.requested, on.server.now - began, since(began), None
    if on.history:
        scheduled = await on.history.counted(POSTGRESQL_CHECKPOINTS, {"type": "scheduled"})
        asked_for = await on.history.counted(POSTGRESQL_CHECKPOINTS, {"type": "requested"})
        trend = on.history.trend(asked_for.line)
        if scheduled.sum + asked_for.sum:
            timed, requested = round(scheduled.sum), round(asked_for.sum)
            seconds, basis = on.history.seconds, last(on.history.seconds)
    state = _state_of_checkpoints(timed, requested, seconds)
    wanted = _max_wal_size(on, wal)
    command = f"ALTER SYSTEM SET max_wal_size = '{wanted // GIGABYTE}GB'; SELECT pg_reload_conf();"
    return check(
        "checkpoints",
        state,
        _about_checkpoints(on, timed, requested, seconds, basis, wanted if state != "good" else None),
        value=requested / (timed + requested) if timed + requested else None,
        unit="1",
        basis=f"requested, {basis}",
        command=command if state != "good" else None,
        columns=OF_CHECKPOINTS,
        rows=[_counted(on, ever)],
        trend=trend,
        trend_unit="{checkpoint}" if trend else None,
    )


def _left(one: DatabaseAge) -> int:
    return WRAPAROUND - max(one.transactions, one.multixacts)


def _state(on: Examination, oldest: DatabaseAge, late: bool) -> State:
    if max(oldest.transactions, oldest.multixacts) >= TOO_LATE:
        return "bad"
    behind = (
        oldest.transactions > LATE * on.server.freeze_max_age
        or oldest.multixacts > LATE * on.server.multixact_freeze_max_age
    )
    return "attention" if late or behind else "good"


def _distance(on: Examination, oldest: DatabaseAge, late: list[TableAge], state: State) -> str:
    left = count(_left(oldest), "transaction")
    if state == "good":
        begins = count(on.server.freeze_max_age, "transaction")
        return f"{left} are left before PostgreSQL would refuse writes; autovacuum freezes a table after {begins}."
    if not late:
        where = "" if oldest.own else " Connect to it, and vacuum its oldest tables."
        return (
            f"Database {oldest.name} has rows that were not frozen for so long that {left} are left before PostgreSQL "
            f"refuses writes.{where} See Vacuum for what keeps autovacuum from it."
        )
    first = late[0]
    table = f"The TOAST of {first.table}" if first.toast else first.table
    over = words.number(first.transactions / first.freeze_max_age)
    return (
        f"{table} was frozen {count(first.transactions, 'transaction')} ago, {over} times the age at which autovacuum "
        f"has to, so that something keeps it away: a lock, or what Vacuum shows. End that, and freeze it; {left} are "
        "left before PostgreSQL refuses writes."
    )


def _state_of_checkpoints(timed: int, requested: int, seconds: float) -> State:
    if requested < FEW or requested <= timed:
        return "good"
    return "bad" if requested >= MANY and seconds / requested < TOO_OFTEN else "attention"


def _about_checkpoints(
    on: Examination, timed: int, requested: int, seconds: float, basis: str, wanted: int | None
) -> str:
    every = words.duration(on.server.checkpoint_seconds)
    if not timed + requested:
        return f"No checkpoint was due {basis}; one comes every {every} in which something was written."
    text = f"{requested:,} of {count(timed + requested, 'checkpoint')} {basis} were requested"
    if wanted is None:
        return f"{text}, the others came in time, every {every}." if timed else f"{text}: so few say nothing."
    size = words.size(on.server.max_wal_size)
    return (
        f"{text} before {every} were over, one every {words.duration(seconds / requested)}: max_wal_size ({size}) was "
        "full, or somebody asked for them (CHECKPOINT, a backup). After each, whole pages are logged again. Where "
        f"nobody asks, raise max_wal_size to {words.size(wanted)}; a restart after a crash then takes longer."
    )


def _max_wal_size(on: Examination, wal: Wal) -> int:
    """Whole gigabytes, a power of two: what is logged in twice the time between checkpoints, at least twice as now."""
    rate = wal.bytes / wal.seconds if wal.seconds else 0.0
    wanted = max(2.0 * on.server.max_wal_size, 2 * rate * on.server.checkpoint_seconds)
    found = GIGABYTE
    while found < wanted and found < max(64 * GIGABYTE, 2 * on.server.max_wal_size):
        found *= 2
    return found


def _age(one: TableAge) -> dict[str, Cell]:
    return {
        "table": f"{one.table} (TOAST)" if one.toast else one.table,
        "transactions": one.transactions,
        "freeze_max_age": one.freeze_max_age,
        "share": one.transactions / one.freeze_max_age if one.freeze_max_age else None,
        "multixacts": one.multixacts,
        "bytes": one.bytes,
        "vacuumed_at": iso(one.vacuumed_at),
    }


def _counted(on: Examination, ever: Checkpoints) -> dict[str, Cell]:
    return {
        "since": iso(ever.since),
        "timed": ever.timed,
        "requested": ever.requested,
        "bytes": ever.buffers * on.server.block_size,
        "write_seconds": ever.write_seconds,
        "sync_seconds": ever.sync_seconds,
    }
