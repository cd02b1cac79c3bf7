"""Prometheus filled with the past."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.prometheus import backfill
from bench.scrapes import Scraped
from bench.traffic import HOUR, Traffic

BLOCK = 2 * HOUR
"""Seconds of one of Prometheus' blocks; promtool reads its file once for each."""

Span = tuple[int, NDArray[np.float64]]


def fill(folder: Path, traffic: Traffic, start: int, end: int, *, default_buckets: bool = False) -> int:
    """Make blocks of the traffic's samples below `folder / "data"`, the last one at `end`; returns how many series."""
    scraped = Scraped(traffic, default_buckets=default_buckets)
    with backfill(folder / "data") as filling:
        for first in range(start // BLOCK * BLOCK, end, BLOCK):
            file = folder / f"{first}.om"
            last = end if first + BLOCK >= end else None
            scraped.write(file, list(_spans(scraped, traffic, max(first, start), min(first + BLOCK, end))), last=last)
            filling.add(file)
    return scraped.series


def _spans(scraped: Scraped, traffic: Traffic, start: int, end: int) -> Iterator[Span]:
    """The samples of each hour of the clock."""
    for hour in range(start // HOUR * HOUR, end, HOUR):
        first, last = max(start, hour), min(end, hour + HOUR)
        yield first, scraped.values(traffic.hour(hour).within(first, last), first, last)
