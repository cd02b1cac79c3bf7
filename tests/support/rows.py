"""Rows of every kind for the store, of a process that is called shop."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from watchglass.records import Instance, LogRecord, Point, Series, SpanRecord, Trace

NOW = int(time.time()) // 10 * 10
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'watchglass writer'"
Fetch = Callable[[str], Awaitable[list[asyncpg.Record]]]


def instance() -> Instance:
    return Instance("shop", "", "1.0", os.urandom(8).hex(), "host", 1, NOW - 20.0)


def count(amount: float = 1.0, time: int = NOW, **attributes: str) -> Point:
    return Point(Series("c", "counter", "1", tuple(sorted(attributes.items()))), time, 1, amount)


def line(message: str = "m", **more: Any) -> LogRecord:
    values: dict[str, Any] = {"time_ns": time.time_ns(), "severity": 9, "level": "INFO", "logger": "shop", "fields": {}}
    return LogRecord(message=message, **{**values, **more})


def trace(**attributes: Any) -> Trace:
    now = time.time_ns()
    root = SpanRecord(2**127, 2**63, None, "GET /", "server", now - 1000, now, attributes)
    return Trace(root, [root], "slow")
