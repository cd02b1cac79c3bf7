"""How fast the store takes what processes write: two hours of traffic each, as fast as it goes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.series import Exported
from bench.timing import median, p95
from bench.traffic import HOUR, Traffic
from watchglass.records import Batch, Instance
from watchglass.store.writer import Writer


@dataclass(frozen=True)
class Ingest:
    """Points (the rows of a series) a second of all processes together, and ms of a flush of ten seconds' points."""

    processes: int
    points_per_second: float
    points_per_flush: float
    median_ms: float
    p95_ms: float


def measure(dsn: str, processes: int, hours: float) -> Ingest:
    """Have so many processes write at the same time."""
    command = [sys.executable, str(Path(__file__).parents[1] / "store.py"), "--writer", dsn, "--hours", str(hours)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen([*command, "--number", str(number)], **pipes) for number in range(processes)]  # type: ignore[call-overload]
    try:
        for one in running:
            if one.stdout.readline().strip() != "ready":
                raise SystemExit("a process that was to write did not start")
        began = time.perf_counter()
        for one in running:
            one.stdin.write("go\n")
            one.stdin.flush()
        answers = [[float(number) for number in one.stdout.readline().split()] for one in running]
        elapsed = time.perf_counter() - began
    finally:
        for one in running:
            one.communicate()
    points = sum(answer[0] for answer in answers)
    flushes = [value for answer in answers for value in answer[1:]]
    return Ingest(processes, points / elapsed, points / len(flushes), median(flushes), p95(flushes))


async def write(dsn: str, number: int, hours: float) -> None:
    """A process that writes: when told to, every ten seconds of the last hours; answers the points, and ms of each."""
    traffic = Traffic(seed=22 + number)
    end = int(time.time()) // HOUR * HOUR
    exported = Exported(traffic)
    ticks = [tick for part in traffic.between(end - hours * HOUR, end) for tick in exported.points(part)]
    writer = Writer(dsn, Instance("bench", "", "1.0", f"writer-{number}", "host-a", number, end - hours * HOUR))
    await writer.open()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    flushes = []
    for sequence, (_, points) in enumerate(ticks):
        began = time.perf_counter()
        await writer.write(Batch(sequence, points))
        flushes.append((time.perf_counter() - began) * 1000)
    print(sum(len(points) for _, points in ticks), *flushes, flush=True)
    await writer.close()
