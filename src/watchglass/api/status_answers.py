"""What the question about the state of the service and of its telemetry answers."""

from __future__ import annotations

from datetime import datetime

from watchglass.api.models import Model


class InstanceInfo(Model):
    """A process of the service that reported in the last minutes."""

    instance_id: str
    service_name: str
    service_version: str
    host: str
    pid: int
    started_at: datetime
    last_seen: datetime


class StorageInfo(Model):
    """Whether this process's telemetry is being stored; `message` says what stands in the way. Numbers by signal.

    Batches wait: `backlog` of them, in about `backlog_bytes` of memory and `spooled_bytes` on disk, unless a
    `spool_problem` is there. `set_aside`: spools that could not be read; `overflowed`: how often a series found no
    room; `clamped`: rows whose time had to be moved.
    """

    state: str
    message: str | None
    last_flush: datetime | None
    queued: dict[str, int]
    dropped: dict[str, int]
    backlog: int
    backlog_bytes: int
    spooled_bytes: int
    spool_problem: str | None
    set_aside: int
    overflowed: int
    clamped: int


class OtlpInfo(Model):
    """How a signal's way to the collector is: records that wait and that were lost."""

    state: str
    message: str
    last_sent: datetime | None
    queued: int
    dropped: int


class StatusAnswer(Model):
    """The state of the service and of its telemetry. `instances` is None, for `reason`, when the store is silent.

    `otlp` has this process's signals that go to a collector too.
    """

    status: str
    components: dict[str, str]
    service: str
    version: str
    watchglass: str
    storage: StorageInfo | None
    otlp: dict[str, OtlpInfo]
    instances: list[InstanceInfo] | None
    reason: str | None = None
