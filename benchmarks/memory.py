"""What does a series take in memory? Recorded to, taken by an exporter, and at the bound; as tracemalloc counts it.

python benchmarks/memory.py
"""

from __future__ import annotations

import argparse
import tracemalloc
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from bench import tables

from watchglass import meters
from watchglass.analysis.points import Floats
from watchglass.instrumentation.recorder import Recorder

GOAL = 2_000
"""Bytes of a series."""

DURATION = meters.HTTP_SERVER_REQUEST_DURATION
Draw = Callable[[np.random.Generator, int], Floats]


class Kind(NamedTuple):
    """Durations of an endpoint."""

    what: str
    values: int
    draw: Draw


def _one_mode(source: np.random.Generator, size: int) -> Floats:
    return source.lognormal(np.log(0.02), 0.5, size)


def _two_modes(source: np.random.Generator, size: int) -> Floats:
    hits, misses = source.lognormal(np.log(0.001), 0.3, size), source.lognormal(np.log(0.05), 0.4, size)
    return np.where(source.random(size) < 0.8, hits, misses)


def _everywhere(source: np.random.Generator, size: int) -> Floats:
    return np.asarray(0.0005 * 2 ** (17 * source.random(size)))


KINDS = (
    Kind("one request", 1, _one_mode),
    Kind("100 requests of one mode (lognormal, sigma 0.5)", 100, _one_mode),
    Kind("10,000 requests of one mode", 10_000, _one_mode),
    Kind("100 requests of two modes (a cache)", 100, _two_modes),
    Kind("10,000 requests of two modes", 10_000, _two_modes),
    Kind("50,000 requests evenly from 0.5 ms to 65 s, every bucket full", 50_000, _everywhere),
)


class Took(NamedTuple):
    """Bytes of a series, and of the copy that an exporter keeps of it; buckets that are used."""

    series: float
    copy: float
    buckets: float


def histograms(kind: Kind, number: int) -> Took:
    source = np.random.default_rng(22)
    recorder, before = Recorder(max_series=number), tracemalloc.get_traced_memory()[0]
    for index in range(number):
        record = recorder.histogram(DURATION, ("GET", f"/things/{index}/{{item}}", "200", None, "http")).record
        for value in kind.draw(source, kind.values).tolist():
            record(value)
    held = tracemalloc.get_traced_memory()[0]
    states = recorder.collect()
    taken = tracemalloc.get_traced_memory()[0]
    used = sum(len(state.buckets or ()) for state in states)
    return Took((held - before) / number, (taken - held) / number, used / number)


def counters(number: int) -> Took:
    recorder, before = Recorder(max_series=number), tracemalloc.get_traced_memory()[0]
    for index in range(number):
        recorder.counter(meters.HTTP_SERVER_BUDGET, ("GET", f"/things/{index}/{{item}}", "own_code")).add(0.1)
    held = tracemalloc.get_traced_memory()[0]
    states = recorder.collect()
    return Took((held - before) / number, (tracemalloc.get_traced_memory()[0] - held) / len(states), 0)


def bounded(most: int) -> tuple[int, int, float, float]:
    """With twice as many series as may be: how many are held, how many were refused, MB at the bound and at last."""
    recorder, before = Recorder(max_series=most), tracemalloc.get_traced_memory()[0]
    source, at_bound = np.random.default_rng(22), 0
    for index in range(2 * most):
        record = recorder.histogram(DURATION, ("GET", f"/things/{index}/{{item}}", "200", None, "http")).record
        for value in _two_modes(source, 20).tolist():
            record(value)
        if index == most:
            at_bound = tracemalloc.get_traced_memory()[0]
    at_last = tracemalloc.get_traced_memory()[0]
    return len(recorder), recorder.overflowed, (at_bound - before) / 1e6, (at_last - before) / 1e6


def table(number: int) -> str:
    rows = [["a counter", *_cells(counters(number))]]
    rows += [[kind.what, *_cells(histograms(kind, max(50, min(number, 2_000_000 // kind.values))))] for kind in KINDS]
    return tables.table(["", "buckets used", "bytes", f"goal: {GOAL:,}", "bytes of a copy"], rows)


def _cells(took: Took) -> list[str]:
    return [
        f"{took.buckets:.0f}" if took.buckets else "",
        f"{took.series:,.0f}",
        "reached" if took.series < GOAL else "**missed**",
        f"{took.copy:,.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=10_000, help="the bound, and how many are measured at most")
    arguments = parser.parse_args()
    machine = tables.machine()
    tracemalloc.start()
    print(f"{machine}.\n\n{table(arguments.series)}\n")
    there, refused, at_bound, at_last = bounded(arguments.series)
    print(
        f"Of {2 * arguments.series:,} series {there:,} are held (`max_series` {arguments.series:,}, and one for all"
        f" others, which stood in {refused:,} times): {at_bound:.1f} MB at the bound, {at_last:.1f} MB at last."
    )


if __name__ == "__main__":
    main()
