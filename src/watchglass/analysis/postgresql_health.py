"""What PostgreSQL says of its health, as records: settings, tables, transactions, checkpoints, replicas.

Sizes are in bytes, times in unix seconds; what the role may not see is None.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Server:
    """Settings, and what the connected database counted since `counted_since`. Sizes in bytes, times unix seconds.

    `workers` are those of autovacuum that run, as far as the role sees them. `estimated_size` is as old as the last
    VACUUM or ANALYZE of each table.
    """

    major: int
    standby: bool
    role: str
    sees_all: bool
    autovacuum: bool
    most_workers: int
    workers: int
    freeze_max_age: int
    multixact_freeze_max_age: int
    max_wal_size: int
    checkpoint_seconds: int
    shared_buffers: int
    work_mem: int
    block_size: int
    local: bool
    estimated_size: int
    blks_hit: int
    blks_read: int
    temp_files: int
    temp_bytes: int
    deadlocks: int
    counted_since: float
    now: float

    @property
    def counted_seconds(self) -> float:
        """For how long the database counts."""
        return max(1.0, self.now - self.counted_since)


@dataclass(frozen=True, slots=True)
class Reads:
    """A table, its blocks found in the buffer cache and those that were not, with its indexes'."""

    table: str
    bytes: int
    blocks_read: int
    blocks_hit: int


@dataclass(frozen=True, slots=True)
class DeadTuples:
    """A table's dead rows, and from how many on autovacuum begins; `own`: by settings of the table.

    `toast`: it is the TOAST of `table`. `tables` is how many have any, a thousand at most.
    """

    table: str
    toast: bool
    dead: int
    live: int
    threshold: float
    enabled: bool
    own: bool
    bytes: int
    autovacuumed_at: float | None
    vacuumed_at: float | None
    tables: int

    @property
    def over(self) -> float:
        """How many times the number at which autovacuum begins."""
        return self.dead / max(self.threshold, 1.0)

    @property
    def last(self) -> float | None:
        """When it was vacuumed last, by whomever."""
        return max(filter(None, (self.autovacuumed_at, self.vacuumed_at)), default=None)

    @property
    def remedy(self) -> str:
        """The statements that let autovacuum come again and remove the dead rows now."""
        prefix = "toast." if self.toast else ""
        on_again = "" if self.enabled else f"ALTER TABLE {self.table} RESET ({prefix}autovacuum_enabled); "
        return f"{on_again}VACUUM (ANALYZE) {self.table};"


@dataclass(frozen=True, slots=True)
class Vacuum:
    """A vacuum that runs; all but the process is None where the role may not see it."""

    pid: int
    table: str | None
    phase: str | None
    pages: int | None
    scanned: int | None
    vacuumed: int | None
    automatic: bool | None
    seconds: float | None

    @property
    def progress(self) -> float | None:
        """The share of the table that was read."""
        return self.scanned / self.pages if self.pages and self.scanned is not None else None


@dataclass(frozen=True, slots=True)
class Holder:
    """What keeps dead rows that were deleted since it began. `kind`: session, prepared, replica or slot."""

    kind: str
    name: str
    who: str | None
    detail: str | None
    seconds: float | None
    began: float | None
    transactions: int | None


@dataclass(frozen=True, slots=True)
class Size:
    """A table in bytes, TOAST included, and its indexes."""

    table: str
    live: int
    table_bytes: int
    index_bytes: int

    @property
    def bytes(self) -> int:
        return self.table_bytes + self.index_bytes


@dataclass(frozen=True, slots=True)
class DatabaseAge:
    """How many transactions and multixacts ago all rows of a database were frozen."""

    name: str
    own: bool
    transactions: int
    multixacts: int


@dataclass(frozen=True, slots=True)
class TableAge:
    """The same of a table; autovacuum has to freeze it at `freeze_max_age`."""

    table: str
    toast: bool
    transactions: int
    multixacts: int
    freeze_max_age: int
    bytes: int
    vacuumed_at: float | None


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Checkpoints since `since`, and the time they spent."""

    timed: int
    requested: int
    buffers: int
    write_seconds: float
    sync_seconds: float
    since: float | None


@dataclass(frozen=True, slots=True)
class Wal:
    """Write-ahead log that was made in so many seconds."""

    bytes: float
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Sender:
    """One that follows this server, and how far behind it is; None where the role may not see it."""

    pid: int
    name: str | None
    address: str | None
    state: str | None
    sync_state: str | None
    bytes: float | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Slot:
    """A replication slot and the write-ahead log it keeps; it may keep `safe_bytes` more before it is given up."""

    name: str
    type: str
    active: bool
    wal_status: str | None
    bytes: float | None
    safe_bytes: float | None
    inactive_since: str | None


@dataclass(frozen=True, slots=True)
class Standby:
    """How far a replica is behind what it received. `conflicts`: queries it ended to go on."""

    receiving: bool
    paused: bool | None
    bytes: float | None
    seconds: float | None
    conflicts: int | None
