"""The slotted records that flow between the stations. They hold values only; nothing here does I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from watchglass.meters import Meter

Attributes = tuple[tuple[str, str], ...]
"""Set attributes as sorted (name, value) pairs; values as text."""


@dataclass(frozen=True)
class Series:
    """What a stored number is about. `id` is the same in every process that sees the same name and attributes."""

    name: str
    kind: str
    unit: str
    attributes: Attributes

    @cached_property
    def id(self) -> int:
        """A signed 64-bit BLAKE2b hash of name, kind and attributes."""
        identity = json.dumps([self.name, self.kind, self.attributes], ensure_ascii=False, separators=(",", ":"))
        digest = hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)


@dataclass(frozen=True, slots=True)
class Point:
    """What one series gained in one interval, at `time` (the interval's start, unix seconds).

    histogram: count, sum, min, max and packed buckets. counter: `sum` is the increase, `count` 1. gauge and updown:
    one sample, `sum`, `min` and `max` its value.
    """

    series: Series
    time: int
    count: int
    sum: float
    min: float | None = None
    max: float | None = None
    buckets: bytes | None = None


@dataclass(slots=True)
class LogRecord:
    """One log line, already redacted. `severity` is OpenTelemetry's severity number (9 INFO, 17 ERROR)."""

    time_ns: int
    severity: int
    level: str
    logger: str
    message: str
    fields: dict[str, Any]
    trace_id: str | None = None
    span_id: str | None = None
    exception: str | None = None


@dataclass(slots=True)
class SpanRecord:
    """A span on the request path: cheap to make, turned into something larger only when its trace is kept."""

    trace_id: int
    span_id: int
    parent_id: int | None
    name: str
    kind: Literal["server", "client", "internal", "producer", "consumer"]
    start_ns: int
    end_ns: int = 0
    attributes: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """A local root that is kept, with its spans, root first. `reason` is why: error, slow, first or random.

    `error_group` is the id of its error's group, in hexadecimal; None where nothing failed. `measured` are the seconds
    that `http.server.request.duration` was recorded with; None where it was not. One that is not `sampled` goes to no
    collector.
    """

    root: SpanRecord
    spans: Sequence[SpanRecord]
    reason: str
    dropped_spans: int = 0
    error_group: str | None = None
    measured: float | None = None
    sampled: bool = True


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """How often errors of one group happened since the last flush, and what is known of the group. Redacted.

    `frame` is the innermost of the application's own, `module:function`; times are unix seconds.
    """

    group: str
    error_type: str
    frame: str
    message: str
    stack: str
    first_seen: float
    last_seen: float
    count: int


@dataclass(frozen=True, slots=True)
class Incident:
    """What the black box of a process held when it was frozen; times are unix seconds.

    `reason` is alert, error_burst, sigterm or by_hand.
    """

    id: str
    time: float
    reason: str
    title: str
    window_start: float
    window_end: float
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one flush writes, in one transaction. Frozen once made: a retry sends the very same rows."""

    sequence: int
    points: Sequence[Point] = ()
    logs: Sequence[LogRecord] = ()
    traces: Sequence[Trace] = ()
    errors: Sequence[ErrorCount] = ()
    incidents: Sequence[Incident] = ()

    def __len__(self) -> int:
        return len(self.points) + len(self.logs) + len(self.traces) + len(self.errors) + len(self.incidents)


@dataclass(frozen=True, slots=True)
class Instance:
    """One process of a service, by OpenTelemetry's resource attributes."""

    service_name: str
    service_namespace: str
    service_version: str
    instance_id: str
    host: str
    pid: int
    started_at: float


Values = tuple[str | None, ...]
"""Attribute values in the order of `Meter.attributes`; None or "" where not set."""


@dataclass(frozen=True, slots=True)
class State:
    """What one series of a process holds at a moment, cumulative; `count` and `buckets` are a histogram's."""

    meter: Meter
    values: Values
    sum: float
    count: int = 0
    min: float | None = None
    max: float | None = None
    buckets: Mapping[int, int] | None = None


Collect = Callable[[], Sequence[State]]
"""Reads every series of a process; cheap, and safe from any thread."""
