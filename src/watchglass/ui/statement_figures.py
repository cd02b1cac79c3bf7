"""Figures of a statement as lines of a table: now, in the earlier window, and how they changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from watchglass.analysis.trends import Worse
from watchglass.api import words
from watchglass.api.asking import Reading, Spec, figure
from watchglass.api.statement_answers import StatementAnswer, StatementLines, StatementRow
from watchglass.ui import drawing, format
from watchglass.ui.levels import RULES, Level, latency_level

ENOUGH_ERRORS = 10
"""Fewer errors are no finding, whatever their share."""


@dataclass(frozen=True, slots=True)
class Line:
    """One figure; `title` says what it is, where its name does not."""

    name: str
    now: format.Quantity
    before: format.Quantity
    change: str
    level: Level | None
    title: str
    spark: drawing.Spark | None


Read = Callable[[Any], float | None]
Over = Callable[[StatementLines], Sequence[float | None]]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which figure of a side, its unit, which direction is worse, and its values over time."""

    name: str
    unit: str
    read: Read
    worse: Worse | None = None
    title: str = ""
    over: Over | None = None


_COUNT = "{call}"
_CLIENT = (
    _Wanted("Calls", _COUNT, lambda one: one.calls, over=lambda lines: lines.calls),
    _Wanted("P50", "s", lambda one: one.p50, "up", over=lambda lines: lines.p50),
    _Wanted("P95", "s", lambda one: one.p95, "up", over=lambda lines: lines.p95),
    _Wanted("P99", "s", lambda one: one.p99, "up", over=lambda lines: lines.p99),
    _Wanted("Longest", "s", lambda one: one.max, "up"),
    _Wanted("Total time", "s", lambda one: one.seconds, "up", "The time that callers waited for it."),
    _Wanted("Errors", _COUNT, lambda one: one.errors, "up"),
    _Wanted("of them timeouts", _COUNT, lambda one: one.timeouts, "up", "The client's, lock_timeout, idle timeouts."),
    _Wanted(
        "of them cancelled", _COUNT, lambda one: one.cancelled, "up", "By statement_timeout, or somebody's request."
    ),
)
_SERVER = (
    _Wanted(
        "Calls",
        _COUNT,
        lambda one: one.calls,
        None,
        "Of whichever client; calls that failed are not counted.",
        lambda lines: lines.server_calls,
    ),
    _Wanted("Mean", "s", lambda one: one.mean, "up", "PostgreSQL counts no percentiles."),
    _Wanted("Total time", "s", lambda one: one.seconds, "up", over=lambda lines: lines.server_seconds),
    _Wanted("Rows", _COUNT, lambda one: one.rows, over=lambda lines: lines.rows),
    _Wanted("Rows per call", _COUNT, lambda one: one.rows_per_call),
    _Wanted("Blocks in cache", "1", lambda one: one.hit_ratio, "down", "The share found in the buffer cache."),
    _Wanted(
        *("Blocks read", _COUNT, lambda one: one.shared_blks_read, "up"),
        *("Blocks of 8 kB that were not in the buffer cache.", lambda lines: lines.shared_blks_read),
    ),
    _Wanted(
        *("Blocks spilled", _COUNT, lambda one: one.temp_blks_written, "up"),
        *("Blocks of sorts and hashes that did not fit in work_mem.", lambda lines: lines.temp_blks_written),
    ),
    _Wanted("I/O time", "s", lambda one: one.io_seconds, "up", "Measured where track_io_timing is on."),
    _Wanted("WAL", "By", lambda one: one.wal_bytes, None, "Write-ahead log that it wrote."),
)
_ONLY_WHERE_KNOWN = frozenset(("I/O time", "WAL"))


def client(answer: StatementAnswer, slow: float) -> list[Line]:
    """What the service's own processes measured; empty where they sent it not."""
    row, before = answer.row, answer.before
    if row is None or row.client is None:
        return []
    lines = [_line(one, row.client, before.client if before else None, answer.lines) for one in _CLIENT]
    over = _Wanted(f"Over {words.duration(slow)}", _COUNT, lambda side: side.over_threshold, "up")
    lines.append(_line(over, row.client, before.client if before else None, None))
    levels = {"P95": latency_level(row.p95, slow), "Errors": level_of_errors(row)}
    return [_share(row, before), *(replace(one, level=levels.get(one.name)) for one in lines)]


def server(answer: StatementAnswer) -> list[Line]:
    """What PostgreSQL counted; empty where it is not read, or had none of it."""
    row, before = answer.row, answer.before
    if row is None or row.server is None:
        return []
    found = [_line(one, row.server, before.server if before else None, answer.lines) for one in _SERVER]
    spilled: Level | None = "warning" if row.server.temp_blks_written else None
    shown = [one for one in found if one.name not in _ONLY_WHERE_KNOWN or one.now.number not in (format.NOTHING, "0")]
    own = [replace(one, level=spilled if one.name == "Blocks spilled" else None) for one in shown]
    return own if row.client else [_share(row, before), *own]


def _share(row: StatementRow, before: StatementRow | None) -> Line:
    wanted = _Wanted("Share of all", "1", lambda one: one.impact, None, "Its part of the time of all statements.")
    number, unit = words.share(row.impact).rsplit(" ", 1)
    return replace(_line(wanted, row, before, None), now=format.Quantity(number, unit))


def _line(wanted: _Wanted, now: Any, before: Any, over: StatementLines | None) -> Line:
    spec = Spec(wanted.name, wanted.unit, "", wanted.worse)
    value, earlier = wanted.read(now), wanted.read(before) if before is not None else None
    one = figure(spec, Reading(value), Reading(earlier))
    return Line(
        name=wanted.name,
        now=format.quantity(value, wanted.unit),
        before=format.quantity(earlier, wanted.unit),
        change=format.change(one.change, wanted.unit),
        level=None,
        title=wanted.title,
        spark=drawing.spark(wanted.over(over)) if over and wanted.over else None,
    )


def level_of_errors(row: StatementRow) -> Level | None:
    """By the share of its calls that failed."""
    if row.client is None or row.client.errors < ENOUGH_ERRORS:
        return None
    rule, share = RULES["tile_api.errors"], row.client.errors / max(row.client.calls, 1)
    return next((level for level, limit in rule.levels if limit is not None and share > limit), None)
