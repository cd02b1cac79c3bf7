"""Traffic as a Prometheus that scrapes every fifteen seconds would have seen it, in OpenMetrics' text.

The series are those of the store: durations by method and route, requests by status as well. What `/metrics` exposes
has the status on the histograms too, and is up to three times as much; the comparison leaves that out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Histogram as ClientHistogram

from bench.traffic import STATUSES, Ints, Requests, Traffic
from watchglass.exporters.prometheus import render
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION, HTTP_SERVER_REQUESTS
from watchglass.records import State

SCRAPE = 15

DURATION = "http_server_request_duration_seconds"
REQUESTS = "watchglass_http_server_requests_total"
DEFAULT = "default_buckets_seconds"
"""The same durations in the default buckets of prometheus-client."""


class Scraped:
    """The samples of one process that serves the traffic, from its start on. Spans must be asked for in order."""

    def __init__(self, traffic: Traffic, *, default_buckets: bool = False) -> None:
        self._endpoints = len(traffic.keys)
        self._edges = np.array(ClientHistogram.DEFAULT_BUCKETS[:-1] if default_buckets else exposed_edges())
        self._prefixes = _default_lines(traffic, self._edges) if default_buckets else _exposed_lines(traffic)
        self._default = default_buckets
        self._reached = np.zeros((len(self._prefixes), 1))

    @property
    def series(self) -> int:
        return len(self._prefixes)

    def values(self, requests: Requests, start: int, end: int) -> NDArray[np.float64]:
        """The samples of the scrapes at `start` and every 15 s before `end`: one row a series, cumulative."""
        scrapes = (end - start) // SCRAPE
        gains = self._gains(requests, ((requests.time - start) // SCRAPE).astype(np.int64), scrapes)
        reached = self._reached + gains.cumsum(axis=1)
        values = np.hstack([self._reached, reached[:, :-1]])
        self._reached = reached[:, -1:]
        return values

    def write(self, file: Path, spans: Sequence[tuple[int, NDArray[np.float64]]], *, last: int | None = None) -> int:
        """Write spans of samples, each with the time of its first, as OpenMetrics; `last` adds a final scrape then."""
        times = [start + SCRAPE * n for start, values in spans for n in range(values.shape[1])]
        columns = [values for _, values in spans]
        if last is not None:
            times, columns = [*times, last], [*columns, self._reached]
        table = np.hstack(columns)
        with file.open("w") as out:
            for prefix, row in zip(self._prefixes, table, strict=True):
                numbers = row.tolist() if prefix.partition("{")[0].endswith("_sum") else row.astype(np.int64).tolist()
                out.writelines([f"{prefix} {value} {time}\n" for value, time in zip(numbers, times, strict=True)])
            out.write("# EOF\n")
        return table.size

    def _gains(self, requests: Requests, scrape: Ints, scrapes: int) -> NDArray[np.float64]:
        """What each series gained between two scrapes, in the order of the lines."""
        width = len(self._edges) + 1
        bucket = np.searchsorted(self._edges, requests.seconds)
        shape = (self._endpoints, width, scrapes)
        cells = (requests.endpoint * width + bucket) * scrapes + scrape
        buckets = np.bincount(cells, minlength=np.prod(shape)).reshape(shape).cumsum(axis=1)
        place = requests.endpoint * scrapes + scrape
        sums = np.bincount(place, requests.seconds, minlength=self._endpoints * scrapes).reshape(-1, 1, scrapes)
        whole = np.concatenate([buckets, sums, buckets[:, -1:]], axis=1).reshape(-1, scrapes)
        if self._default:
            return whole
        state = (requests.endpoint * len(STATUSES) + requests.status) * scrapes + scrape
        counts = np.bincount(state, minlength=self._endpoints * len(STATUSES) * scrapes).reshape(-1, scrapes)
        return np.vstack([whole, counts])


def exposed_edges() -> list[float]:
    """The finite upper bounds of the buckets that `/metrics` has for durations."""
    lines = _rendered([State(HTTP_SERVER_REQUEST_DURATION, ("GET", "/"), 0.0, 0, buckets={})])
    return [float(line.split('le="')[1].split('"')[0]) for line in lines if 'le="' in line and "+Inf" not in line]


def _exposed_lines(traffic: Traffic) -> list[str]:
    """What every sample begins with: each endpoint's buckets, sum and count, then its requests by status."""
    durations = [State(HTTP_SERVER_REQUEST_DURATION, key, 0.0, 0, buckets={}) for key in traffic.keys]
    requests = [
        State(HTTP_SERVER_REQUESTS, (*key, status, status if status >= "500" else None), 0.0)
        for key in traffic.keys
        for status in STATUSES
    ]
    return [*_rendered(durations), *_rendered(requests)]


def _default_lines(traffic: Traffic, edges: NDArray[np.float64]) -> list[str]:
    lines = []
    for method, route in traffic.keys:
        labels = f'http_request_method="{method}",http_route="{route}"'
        bounds = [*(f"{edge:g}" for edge in edges.tolist()), "+Inf"]
        lines += [f'{DEFAULT}_bucket{{{labels},le="{bound}"}}' for bound in bounds]
        lines += [f"{DEFAULT}_sum{{{labels}}}", f"{DEFAULT}_count{{{labels}}}"]
    return lines


def _rendered(states: Sequence[State]) -> list[str]:
    """The lines of an exposition without their values."""
    text = render(states)[0].decode()
    return [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
