"""How long until a log line is shown, to how many, and at what price?

Two processes of one service, each under uvicorn with an event loop that serves nothing else, log half of the lines
each, from a thread; every line carries the time at which it was logged. Viewers, from a process of their own, read the
server-sent events, half of them from each of the two. A line is shown when the viewer has the event with it: a line's
way leads through the queue, the flush (twice a second), PostgreSQL, and the tail of the other process or the same one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.request import urlopen

import numpy as np
import psutil

from bench import tables
from watchglass.demo.servers import PostgreSQL
from watchglass.demo.servers.process import free_port

SETTLE = 4.0
"""Seconds after the last viewer has come until anything counts."""

_SENT = re.compile(rb'"sent": ?(\d+\.\d+)')
_SKIPPED = re.compile(rb'event: skipped\ndata: \{"count":(\d+)')
_HEAD = (
    "lines/s",
    "viewers",
    "shown, ms: P50",
    "P99",
    "most",
    "lines/s a viewer",
    "skipped",
    "MB a process",
    "CPU",
    "lag P99, ms",
)


@dataclass
class Seen:
    """What one viewer has seen while it counted: delays (s) of the oldest and newest line of each event."""

    lines: int = 0
    skipped: int = 0
    delays: list[float] = field(default_factory=list)

    def take(self, event: bytes) -> None:
        now = time.time()
        sent = _SENT.findall(event)
        if sent:
            self.lines += len(sent)
            self.delays += [now - float(sent[0]), now - float(sent[-1])]
        for count in _SKIPPED.findall(event):
            self.skipped += int(count)


async def watch(port: int, until: float, since: float) -> Seen:
    """Read the stream until a time; what comes after `since` counts."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    writer.write(b"GET /api/monitoring/logs/stream?logger=bench HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
    seen = Seen()
    try:
        async with asyncio.timeout(until - time.time()):
            while True:
                event = await reader.readuntil(b"\n\n")
                if time.time() > since:
                    seen.take(event)
    except (TimeoutError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()
    return seen


async def watch_all(ports: list[int], viewers: int, seconds: float) -> dict[str, Any]:
    since = time.time() + SETTLE
    until = since + seconds
    found = await asyncio.gather(*(watch(ports[number % len(ports)], until, since) for number in range(viewers)))
    delays = np.array([delay for seen in found for delay in seen.delays] or [np.nan])
    return {
        "delays": [float(value) for value in (*np.percentile(delays, (50, 99)), delays.max())],
        "lines": float(np.mean([seen.lines for seen in found])) / seconds,
        "skipped": sum(seen.skipped for seen in found),
        "shown": sum(seen.lines for seen in found),
    }


def serve(rate: float) -> Any:
    """The service: it logs so many lines a second, and tells how late its loop was at /lag."""
    import logging
    import threading

    from fastapi import FastAPI

    import watchglass

    log, lags = logging.getLogger("bench"), []
    log.setLevel("INFO")
    log.propagate = True
    app = FastAPI()

    @app.get("/lag")
    async def lag() -> list[float]:
        found, lags[:] = list(lags), []
        return found

    async def look() -> None:
        while True:
            due = time.monotonic() + 0.02
            await asyncio.sleep(0.02)
            lags.append(time.monotonic() - due)

    def write() -> None:
        began, number = time.monotonic(), 0
        while True:
            while number < (time.monotonic() - began) * rate:
                number += 1
                log.info(
                    "request %d handled for customer %d in 12 ms", number, number % 97, extra={"sent": time.time()}
                )
            time.sleep(0.005)

    tasks: list[asyncio.Task[None]] = []

    @app.get("/begin")
    async def begin() -> None:
        tasks.append(asyncio.create_task(look()))
        threading.Thread(target=write, daemon=True).start()

    return watchglass.observe(app, authorize=lambda request: "viewer")


@contextmanager
def worker(dsn: str, rate: float, folder: str) -> Iterator[tuple[int, psutil.Process]]:
    port = free_port()
    own = {"DATABASE_URL": dsn, "OTEL_SERVICE_NAME": "bench", "WATCHGLASS_STATE_DIR": folder}
    code = (
        f"import uvicorn; from bench.log_live import serve; uvicorn.run(serve({rate}), port={port}, log_level='error')"
    )
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    process = subprocess.Popen([sys.executable, "-c", code], cwd=here, env={**os.environ, **own, "PYTHONPATH": here})
    try:
        deadline = time.monotonic() + 60
        while not _answers(f"http://127.0.0.1:{port}/begin"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the service did not start")
            time.sleep(0.1)
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return bool(urlopen(url, timeout=5).status == 200)
    except OSError:
        return False


def cell(dsn: str, rate: float, viewers: int, seconds: float) -> list[str]:
    """One row of the table."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        workers = [stack.enter_context(worker(dsn, rate / 2, folder)) for _ in range(2)]
        ports = [port for port, _ in workers]
        command = [sys.executable, __file__, json.dumps(ports), str(viewers), str(seconds)]
        watching = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=os.getcwd(), env=_environment())
        time.sleep(SETTLE)
        for port in ports:
            urlopen(f"http://127.0.0.1:{port}/lag").read()
        before = sum(sum(process.cpu_times()[:2]) for _, process in workers)
        time.sleep(max(seconds - 1, 1))
        memory = max(process.memory_info().rss for _, process in workers)
        cpu = (sum(sum(process.cpu_times()[:2]) for _, process in workers) - before) / max(seconds - 1, 1) / 2
        said = json.loads(watching.communicate(timeout=120)[0])
        lags = [lag for port in ports for lag in json.load(urlopen(f"http://127.0.0.1:{port}/lag"))]
    p50, p99, most = (f"{delay * 1000:,.0f}" for delay in said["delays"])
    skipped = said["skipped"] / max(said["skipped"] + said["shown"], 1)
    return [
        *(f"{rate:,.0f}", str(viewers), p50, p99, most, f"{said['lines']:,.0f}", f"{skipped:.1%}"),
        *(tables.mb(memory), f"{cpu:.0%}", tables.ms(float(np.percentile(lags, 99)) * 1000)),
    ]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rates", type=float, nargs="+", default=[10, 500, 5000], help="lines a second, of both")
    parser.add_argument("--viewers", type=int, nargs="+", default=[1, 200])
    parser.add_argument("--seconds", type=float, default=20, help="of each cell of the table")


def run(options: argparse.Namespace) -> None:
    print(f"{tables.machine()}.\n")
    rows = []
    with PostgreSQL() as server:
        for rate in options.rates:
            for viewers in options.viewers:
                rows.append(cell(server.url, rate, viewers, options.seconds))
                print(rows[-1], file=sys.stderr, flush=True)
    print(tables.table(_HEAD, rows))


if __name__ == "__main__":  # the viewers, in a process of their own
    print(json.dumps(asyncio.run(watch_all(json.loads(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))))
