"""Markdown tables, and what machine they are from."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def machine() -> str:
    """Cores and memory, load, Python."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    return f"{cores} shared cores, {memory:.0f} GiB, load {load:.1f} at the start, Python {platform.python_version()}"


def mb(size: float) -> str:
    """Megabytes of 10^6 bytes."""
    return f"{size / 1e6:,.1f}" if size < 1e8 else f"{size / 1e6:,.0f}"


def ms(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def times(ratio: float) -> str:
    """How many times as much."""
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.1f}"
