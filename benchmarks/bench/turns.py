"""Processes that take turns, a burst of work each, so that a busy machine disturbs all of them alike."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

Figures = dict[str, dict[str, list[float]]]
"""Microseconds a piece of work, a figure a round: by candidate, by kind of work."""


class Worker:
    """A process that is told `kind count` by line, does that much of it, and answers the CPU seconds it took."""

    def __init__(self, name: str, arguments: Iterable[str], environment: Mapping[str, str]) -> None:
        command = [sys.executable, sys.argv[0], "--worker", name, *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        assert self.process.stdout
        while (line := self.process.stdout.readline().strip()) != "ready":
            if not line:
                raise SystemExit(f"{name} did not start")

    def burst(self, kind: str, count: int) -> float:
        """CPU microseconds a piece."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{kind} {count}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline()) / count * 1e6

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(30)


async def obey(work: Callable[[str, int], Awaitable[None]]) -> None:
    """Be a worker: until the end of input, do what each line says. CPU is that of the process, all threads included."""
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        kind, count = line.split()
        began = time.process_time()
        await work(kind, int(count))
        print(time.process_time() - began, flush=True)


@contextmanager
def workers(
    names: Iterable[str], arguments: Iterable[str], environment: Mapping[str, str]
) -> Iterator[dict[str, Worker]]:
    running: dict[str, Worker] = {}
    try:
        for name in names:
            running[name] = Worker(name, arguments, environment)
        yield running
    finally:
        for worker in running.values():
            worker.close()


def measure(running: Mapping[str, Worker], kinds: Iterable[str], rounds: int, count: int) -> Figures:
    """Every worker does every kind in every round, once before it counts."""
    kinds = list(kinds)
    figures: Figures = {name: {kind: [] for kind in kinds} for name in running}
    for number in range(rounds + 1):
        for kind in kinds:
            for name, worker in running.items():
                figure = worker.burst(kind, count)
                if number:
                    figures[name][kind].append(figure)
    return figures


def added(figures: Figures, name: str, kind: str) -> float:
    """What a candidate adds to plain, the median of the rounds."""
    return statistics.median(figures[name][kind]) - statistics.median(figures["plain"][kind])


def spread(figures: Figures, name: str, kind: str) -> tuple[float, float]:
    """Between which figures the middle half of the rounds lies, each round's plain taken off."""
    rounds = [ours - plain for ours, plain in zip(figures[name][kind], figures["plain"][kind], strict=True)]
    low, _, high = statistics.quantiles(rounds, n=4)
    return low, high
