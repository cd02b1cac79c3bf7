"""How many requests does a watched service answer? A real uvicorn, one process, under wrk, on 127.0.0.1 only.

Every candidate is served by an uvicorn of its own. They take turns: wrk asks one of them for some seconds while the
others have nothing to do, then the next, some rounds, in another order in each. What is told is the median of the
rounds, and the ratios are medians of the ratios within each round. On a busy machine the CPU time that the server took
for a request, all its threads included, tells more: one over it is what the server could answer with a core of its own.

wrk has to be on PATH: apt-get install wrk, brew install wrk, or https://github.com/wg/wrk.

    python benchmarks/throughput.py
    python benchmarks/throughput.py --routes 200
    python benchmarks/throughput.py --access-log      # uvicorn's line for each request, which Watchglass then keeps too
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import NamedTuple
from urllib.request import urlopen

import psutil
import uvicorn
from bench import tables
from bench.candidates import REQUESTS, title, versions
from request_cost import PATHS, application

from watchglass.demo.servers import PostgreSQL

PATIENCE = 30.0
"""Seconds in which a server has to answer."""


class Answered(NamedTuple):
    """One turn: requests a second and the 99th percentile of latency in milliseconds, as wrk says, and the server's CPU
    microseconds a request."""

    rate: float
    p99: float
    cpu: float


class Served(NamedTuple):
    """A server: what it is asked for, and its process."""

    url: str
    process: psutil.Process

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        times = self.process.cpu_times()
        return times.user + times.system


Figures = dict[str, list[Answered]]


def serve(name: str, port: int, routes: int, access_log: bool) -> None:
    """A candidate's process."""
    app = application(routes)
    REQUESTS[name](app)
    uvicorn.run(app, host="127.0.0.1", port=port, access_log=access_log, log_level="info" if access_log else "warning")


@contextmanager
def served(name: str, arguments: argparse.Namespace, database_url: str) -> Iterator[Served]:
    """A candidate's server, which ends with the block."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    command = [sys.executable, sys.argv[0], "--serve", name, "--port", str(port), "--routes", str(arguments.routes)]
    command += ["--access-log"] if arguments.access_log else []
    environment = {**os.environ, "BENCH_DATABASE_URL": database_url}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url + PATHS["json"], process)
        yield Served(url + PATHS[arguments.path], psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            with urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{url} did not answer")


def ask(server: Served, seconds: float, connections: int) -> Answered:
    """Have wrk ask for some seconds. Ends the program where an answer was not 2xx: its rate would say nothing."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency", server.url]
    before = server.cpu()
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + PATIENCE).stdout
    took = server.cpu() - before
    rate, p99 = re.search(r"Requests/sec:\s+([\d.]+)", said), re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    number = re.search(r"(\d+) requests in", said)
    if rate is None or p99 is None or number is None or "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(said)
    p99_ms = float(p99[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[p99[2]]
    return Answered(float(rate[1]), p99_ms, took / int(number[1]) * 1e6)


def measure(arguments: argparse.Namespace) -> Figures:
    figures: Figures = {name: [] for name in REQUESTS}
    with ExitStack() as stack:
        database = stack.enter_context(PostgreSQL())
        servers = {name: stack.enter_context(served(name, arguments, database.url)) for name in REQUESTS}
        order = list(servers)
        for number in range(arguments.rounds + 1):
            random.shuffle(order)
            for name in order:
                answered = ask(servers[name], arguments.seconds, arguments.connections)
                if number:  # the first round warms up
                    figures[name].append(answered)
    return figures


def ratio(figures: Figures, name: str, to: str) -> float:
    """The median of the ratios of requests a second within each round."""
    both = zip(figures[name], figures[to], strict=True)
    return statistics.median(one.rate / other.rate for one, other in both)


def cpu(figures: Figures, name: str) -> float:
    """CPU microseconds of one request."""
    return statistics.median(one.cpu for one in figures[name])


def table(figures: Figures) -> str:
    head = ["", "requests/s", "of plain", "of instrumentator", "P99, ms", "CPU, us a request"]
    rows = []
    for name, rounds in figures.items():
        rate, p99, took = (statistics.median(column) for column in zip(*rounds, strict=True))
        ratios = [f"{ratio(figures, name, to):.2f}" for to in ("plain", "instrumentator")]
        rows.append([title(name, REQUESTS[name]), f"{rate:,.0f}", *ratios, f"{p99:.1f}", f"{took:.0f}"])
    return tables.table(head, rows)


def report(figures: Figures, arguments: argparse.Namespace, machine: str) -> str:
    spread = statistics.median(
        statistics.stdev(one.rate for one in rounds) / statistics.mean(one.rate for one in rounds)
        for rounds in figures.values()
    )
    loop = "uvloop" if find_spec("uvloop") else "asyncio"
    load = f"{arguments.connections} connections, {arguments.rounds} rounds of {arguments.seconds:g} s each"
    served = f"{arguments.routes} routes, {'an' if arguments.access_log else 'no'} access log"
    what = f"uvicorn {version('uvicorn')} on {loop}, {versions()}"
    reached = ratio(figures, "watchglass", "instrumentator")
    verdict = f"Goal, at least the rate of instrumentator: {reached:.2f}, {'reached' if reached >= 1 else 'MISSED'}."
    verdict += f" By CPU it is {cpu(figures, 'instrumentator') / cpu(figures, 'watchglass'):.2f}."
    noise = f"The rounds of one candidate differ by {spread:.0%} (standard deviation)."
    return f"{load}, {served}; {machine}; {what}.\n\n{table(figures)}\n\n{verdict} {noise}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--routes", type=int, default=2)
    parser.add_argument("--path", choices=PATHS, default="json")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=3, help="of one turn")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--access-log", action="store_true", help="have uvicorn write a line for each request")
    parser.add_argument("--serve", choices=REQUESTS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.port, arguments.routes, arguments.access_log)
        return
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not on PATH: apt-get install wrk, brew install wrk, or https://github.com/wg/wrk")
    machine = tables.machine()
    print(report(measure(arguments), arguments, machine))


if __name__ == "__main__":
    main()
