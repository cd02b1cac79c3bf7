"""How the ways out of the process are, for those who show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from watchglass.exporters.cycle import State


@dataclass(frozen=True, slots=True)
class OtlpStatus:
    """How the way of one signal to the collector is. `message` is a sentence; `last_sent` unix seconds.

    `queued` are records that wait, `dropped` those that were lost; of metrics none is, a later export has all.
    """

    state: Literal["starting", "ok", "unavailable"]
    message: str
    last_sent: float | None
    queued: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class PipelineStatus:
    """How the way into the store is. `message` is a sentence; `last_flush` unix seconds; maps are by signal.

    Batches that wait: `backlog` of them, in about `backlog_bytes` of memory, and in `spooled_bytes` on disk.
    `spool_problem` is a sentence, or empty. `set_aside` are files of ended processes that could not be read to their
    end, `overflowed` how often a series found no room, `clamped` rows whose time had to be moved. `otlp` are the
    signals that go to a collector too.
    """

    state: State
    message: str
    last_flush: float | None
    queued: Mapping[str, int]
    dropped: Mapping[str, int]
    clamped: int
    backlog: int = 0
    backlog_bytes: int = 0
    spooled_bytes: int = 0
    spool_problem: str = ""
    set_aside: int = 0
    overflowed: int = 0
    otlp: Mapping[str, OtlpStatus] = field(default_factory=dict)
