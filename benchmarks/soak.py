"""Does it stay as it is? Ten minutes of 1,000 requests a second, recorded and flushed to a real PostgreSQL.

The requests are generated in the process and enter by ASGI, without a network: 200 routes, log lines, failed requests,
statements, with the traces, flushes, roll-ups and periodic work of a real service. Beside it runs the same service
without Watchglass, at the same time, so that a busy machine disturbs both alike. Watched are the memory of the process
and how late its event loop runs a timer; at the end everything that was sent has to be in the store.

    python benchmarks/soak.py
    python benchmarks/soak.py --seconds 60 --rate 500
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import numpy as np
from bench import service, tables

from watchglass.analysis.windows import Window
from watchglass.demo.servers import PostgreSQL
from watchglass.meters import HTTP_SERVER_REQUESTS
from watchglass.store.reader import Reader

LAG_MS = 5.0
"""What the loop's lag has to stay under, in its 99th percentile."""
GROWTH = 0.03
"""Memory is flat when a line through its last two thirds rises by less than this share."""
WARM_UP = 1 / 3
"""The share of the time after which memory has to be flat, and the loop's lag counts."""


@dataclass
class Watched:
    """One process of the soak: memory (bytes, one a second), lags (ms), and what it said at its end."""

    name: str
    process: subprocess.Popen[str]
    memory: list[int] = field(default_factory=list)
    lags: list[list[float]] = field(default_factory=list)
    done: dict[str, Any] = field(default_factory=dict)

    def watch(self) -> None:
        """Until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told = json.loads(line)
            if "rss" in told:
                self.memory.append(told["rss"])
                self.lags.append(told["lags"])
            else:
                self.done = told

    def lag(self, *percentiles: float) -> list[float]:
        """Of the loop, after warming up, in milliseconds."""
        lags = [lag for second in self.lags[int(len(self.lags) * WARM_UP) :] for lag in second]
        return [float(value) for value in np.percentile(lags, percentiles)] if lags else [0.0] * len(percentiles)

    def growth(self) -> tuple[float, float]:
        """By what share memory grew after warming up, and MB a minute, by a line of least squares."""
        memory = np.array(self.memory[int(len(self.memory) * WARM_UP) :], float)
        if len(memory) < 2:
            return 0.0, 0.0
        slope, first = np.polyfit(np.arange(len(memory)), memory, 1)
        return float(slope * len(memory) / first), float(slope * 60 / 1e6)


def start(name: str, dsn: str, rate: float, seconds: float) -> Watched:
    command = [sys.executable, __file__, "--process", dsn, "--rate", str(rate), "--seconds", str(seconds)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if process.stdout.readline().strip() != "ready":
        raise SystemExit(f"the service {name} did not start")
    return Watched(name, process)


def soak(dsn: str, rate: float, seconds: float) -> list[Watched]:
    """Run both to their end."""
    both = [start("with Watchglass", dsn, rate, seconds), start("without", "", rate, seconds)]
    try:
        threads = [threading.Thread(target=one.watch) for one in both]
        for thread in threads:
            thread.start()
        for one in both:
            assert one.process.stdin is not None
            one.process.stdin.write("go\n")
            one.process.stdin.flush()
        for thread in threads:
            thread.join()
    finally:
        for one in both:
            if one.process.poll() is None:
                one.process.terminate()
            one.process.communicate()
    return both


async def stored(dsn: str) -> tuple[int, dict[str, int]]:
    """The requests that the store counts, and how much it got of everything."""
    reader, connection = Reader(dsn), await asyncpg.connect(dsn)
    try:
        groups = await reader.select(HTTP_SERVER_REQUESTS.name, Window(time.time() - 86_400, time.time() + 60))
        row = await connection.fetchrow(
            "SELECT count(*) AS batches, sum(points) AS points, sum(logs) AS lines, sum(traces) AS traces"
            " FROM watchglass.batches"
        )
        assert row is not None
        return round(sum(group.sum for group in groups)), dict(row.items())
    finally:
        await reader.close()
        await connection.close()


def report(both: list[Watched], counted: int, rows: dict[str, int]) -> tuple[str, bool]:
    """The table and the verdict, and whether it is good."""
    lines = []
    for one in both:
        p50, p99, most = one.lag(50, 99, 100)
        share, slope = one.growth()
        after = one.memory[int(len(one.memory) * WARM_UP)] / 1e6 if one.memory else 0.0
        now = one.memory[-1] / 1e6 if one.memory else 0.0
        late = [f"{p50:.2f}", f"{p99:.2f}", f"{most:.1f}"]
        memory = [f"{after:.1f}", f"{now:.1f}", f"{slope:+.2f} ({share:+.1%})"]
        lines.append([one.name, f"{one.done['answered']:,}", *late, *memory])
    head = ["", "requests", "lag P50, ms", "P99", "most", "MB after warming up", "MB at the end", "MB a minute"]
    ours = both[0]
    lag, (share, _), lost = ours.lag(99)[0], ours.growth(), ours.done["sent"] - counted
    dropped = ", ".join(f"{number} {signal}" for signal, number in ours.done["dropped"].items() if number) or "nothing"
    written = ", ".join(f"{number:,} {name}" for name, number in rows.items())
    alone = both[1].lag(99)[0]
    kept = share < GROWTH and lost == 0
    good = kept and lag < LAG_MS
    word = "PASSED" if good else "UNDECIDED, the machine is too busy" if kept and alone >= LAG_MS else "FAILED"
    verdict = (
        f"{word}: loop lag P99 {lag:.2f} ms (under {LAG_MS:g}; {alone:.2f} without), memory {share:+.1%} after "
        f"warming up (flat: under {GROWTH:.0%}), {lost} of {ours.done['sent']:,} requests missing in the store (none)."
    )
    return "\n\n".join([tables.table(head, lines), f"Written: {written}. Dropped: {dropped}.", verdict]), good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=float, default=1000, help="requests a second")
    parser.add_argument("--process", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.process is not None:
        asyncio.run(service.run(arguments.process or None, arguments.rate, arguments.seconds))
        return
    machine = tables.machine()
    with PostgreSQL() as server:
        both = soak(server.url, arguments.rate, arguments.seconds)
        text, good = report(both, *asyncio.run(stored(server.url)))
    print(f"{arguments.rate:g} requests/s for {arguments.seconds:g} s; {machine}.\n\n{text}")
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
