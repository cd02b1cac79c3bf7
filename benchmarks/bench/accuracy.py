"""How far a P95 is from the exact one, which is the nearest rank of every single duration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.history import fill
from bench.prometheus import Prometheus
from bench.questions import LABELS, by_endpoint, p95, quantile
from bench.scrapes import DEFAULT, DURATION
from bench.traffic import HOUR, Traffic
from watchglass.analysis.windows import Window
from watchglass.store.reader import Reader

Key = tuple[str, str]


@dataclass(frozen=True)
class Errors:
    """Percent between an estimate and the exact value, over the endpoints."""

    endpoints: int
    median: float
    worst: float


def errors(estimates: Mapping[Key, float], traffic: Traffic, start: float, end: float) -> Errors:
    exact = dict(zip(traffic.keys, traffic.exact(start, end, 0.95).tolist(), strict=True))
    found = [100 * abs(estimates[key] - value) / value for key, value in exact.items() if value == value]
    return Errors(len(found), float(np.median(found)), max(found))


async def of_store(reader: Reader, traffic: Traffic, start: float, end: float) -> Errors:
    """Of the store's histograms."""
    groups = await by_endpoint(reader, Window(start, end))
    estimates = dict(zip([(group.key[0] or "", group.key[1] or "") for group in groups], p95(groups), strict=True))
    return errors(estimates, traffic, start, end)


def of_prometheus(prometheus: Prometheus, traffic: Traffic, start: int, end: int, family: str = DURATION) -> Errors:
    """Of the buckets of a family in Prometheus."""
    answer = prometheus.instant(quantile(f"{end - start}s", LABELS, family=family), end)
    labels = ("http_request_method", "http_route")
    estimates = {(row["metric"][labels[0]], row["metric"][labels[1]]): float(row["value"][1]) for row in answer}
    return errors(estimates, traffic, start, end)


def of_default_buckets(folder: Path, traffic: Traffic, end: int) -> Errors:
    """Of the default buckets of prometheus-client over the last hour, in a Prometheus of their own in `folder`."""
    folder.mkdir()
    fill(folder, traffic, end - HOUR, end, default_buckets=True)
    with Prometheus(folder) as prometheus:
        return of_prometheus(prometheus, traffic, end - HOUR, end, DEFAULT)
