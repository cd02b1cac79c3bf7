"""What is slow for an endpoint: its own 99th percentile, from its latest requests."""

from __future__ import annotations

from collections import Counter
from math import ceil, inf
from typing import Final

from watchglass.analysis.buckets import bounds_of
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION

Endpoint = tuple[str, str | None]

EVERY: Final = 60.0
"""Seconds between two looks."""

SAMPLE: Final = 500
"""Requests that a percentile needs; until there are so many, it is that of those before."""

_METHOD = HTTP_SERVER_REQUEST_DURATION.attributes.index("http.request.method")
_ROUTE = HTTP_SERVER_REQUEST_DURATION.attributes.index("http.route")


class Slowness:
    """Looks when the recorder is collected, in the thread that does it; requests look up one number."""

    def __init__(self, recorder: Recorder, most: float) -> None:
        """Nobody is called slow below its percentile; everybody is over `most` seconds."""
        self._recorder = recorder
        self._most = most
        self._limits: dict[Endpoint, float] = {}
        self._before: dict[Endpoint, Counter[int]] = {}
        self._looked = -inf
        recorder.before_collect(self._look_now_and_then)

    def limit(self, endpoint: Endpoint) -> float:
        """Seconds from which on a request of the endpoint is slow."""
        return self._limits.get(endpoint, self._most)

    def _look_now_and_then(self) -> None:
        now = self._recorder.clock()
        if now - self._looked >= EVERY:
            self._looked = now
            self.look()

    def look(self) -> None:
        """Find the percentiles of what came since they were found last."""
        counts: dict[Endpoint, Counter[int]] = {}
        for values, series in self._recorder.histograms(HTTP_SERVER_REQUEST_DURATION):
            endpoint = str(values[_METHOD]), values[_ROUTE]
            counts.setdefault(endpoint, Counter()).update(series.buckets.copy())
        for endpoint, now in counts.items():
            gained = now - self._before.get(endpoint, Counter())
            if gained.total() >= SAMPLE:
                self._limits[endpoint] = min(self._most, _p99(gained))
                self._before[endpoint] = now
        for gone in self._before.keys() - counts.keys():
            del self._before[gone]
            self._limits.pop(gone, None)


def _p99(counts: Counter[int]) -> float:
    """The upper bound of the bucket that holds the 99th percentile: less than one in a hundred is over it."""
    left = counts.total() - ceil(0.99 * counts.total())
    for index in sorted(counts, reverse=True):
        if left < counts[index]:
            return bounds_of(index)[1]
        left -= counts[index]
    return inf
