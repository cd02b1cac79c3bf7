"""Generated traffic: 200 endpoints by Zipf, lognormal and bimodal latencies, a day's rhythm, 100 requests a second.

The requests of an hour depend on the seed and the hour alone, so that every part of a run sees the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

HOUR = 3600
STATUSES = ("200", "404", "500")
SHARES = (0.97, 0.02, 0.01)

_METHODS = ("GET", "GET", "GET", "POST", "PUT")
_NOUNS = ("users", "orders", "items", "carts", "search", "files", "teams", "events", "invoices", "reports")
_SWING = 0.6
"""How far the busiest and the quietest hour are from the mean."""


@dataclass(frozen=True)
class Requests:
    """Requests in no order: when (unix seconds), which endpoint and status (numbers), and how long (seconds)."""

    time: Floats
    endpoint: Ints
    status: Ints
    seconds: Floats

    def within(self, start: float, end: float) -> Requests:
        """Those of a span, its end excluded."""
        keep = (self.time >= start) & (self.time < end)
        return Requests(self.time[keep], self.endpoint[keep], self.status[keep], self.seconds[keep])


class Traffic:
    """The requests of a service, hour by hour.

    Of the endpoints, half have one mode, lognormal; the others have two, as a cache makes them.
    """

    def __init__(self, endpoints: int = 200, rate: float = 100.0, seed: int = 22) -> None:
        self.rate = rate
        self.seed = seed
        self.keys = [(_METHODS[n % 5], f"/api/v{1 + n // 100}/{_NOUNS[n % 10]}/{{id}}/{n}") for n in range(endpoints)]
        """Method and route of each endpoint."""
        popularity = 1.0 / np.arange(1, endpoints + 1) ** 1.1
        random = np.random.default_rng(seed)
        self._shares = (popularity / popularity.sum()).cumsum()
        self._median = np.exp(random.uniform(np.log(0.005), np.log(0.5), endpoints))
        self._sigma = random.uniform(0.3, 0.8, endpoints)
        self._hits = np.where(np.arange(endpoints) % 2 == 0, 0.0, random.uniform(0.5, 0.9, endpoints))
        self.hour = lru_cache(maxsize=4)(self._hour)

    def between(self, start: float, end: float) -> Iterator[Requests]:
        """The requests of a span, an hour of the clock after the other; one without requests is left out."""
        for hour in range(int(start // HOUR) * HOUR, int(np.ceil(end)) if start < end else 0, HOUR):
            requests = self.hour(hour)
            inside = start <= hour and hour + HOUR <= end
            requests = requests if inside else requests.within(start, end)
            if len(requests.time):
                yield requests

    def exact(self, start: float, end: float, quantile: float) -> Floats:
        """The nearest rank of each endpoint's durations in a span, from every single one; NaN without any."""
        parts = list(self.between(start, end))
        endpoint = np.concatenate([part.endpoint for part in parts])
        seconds = np.concatenate([part.seconds for part in parts])
        order = np.lexsort((seconds, endpoint))
        counts = np.bincount(endpoint, minlength=len(self.keys))
        ranks = np.maximum(1, np.ceil(quantile * counts * (1 - 1e-12)).astype(np.int64))
        at = counts.cumsum() - counts + ranks - 1
        return np.where(counts > 0, seconds[order][np.minimum(at, len(order) - 1)], np.nan)

    def _hour(self, hour: int) -> Requests:
        random = np.random.default_rng([self.seed, hour])
        number = random.poisson(self._load(hour) * HOUR)
        endpoint = np.searchsorted(self._shares, random.random(number), side="right").clip(0, len(self.keys) - 1)
        status = np.searchsorted(np.cumsum(SHARES), random.random(number), side="right").clip(0, len(STATUSES) - 1)
        fast = random.random(number) < self._hits[endpoint]
        median = self._median[endpoint] * np.where(fast, 0.05, 1.0)
        seconds = median * np.exp(random.standard_normal(number) * self._sigma[endpoint])
        return Requests(hour + random.random(number) * HOUR, endpoint, status, seconds)

    def _load(self, hour: int) -> float:
        """Requests a second: most at three in the afternoon, fewest at three in the morning."""
        return float(self.rate * (1 + _SWING * np.sin(2 * np.pi * (hour / HOUR - 9) / 24)))
