"""What does watching cost a request? CPU per request added by Watchglass and by what one would use instead.

Every candidate runs in a process of its own; the processes take turns, a burst of requests each, so that a busy machine
disturbs all of them alike. The figure is CPU time of the whole process (its exporter threads included) over requests,
less that of plain FastAPI: the median over the rounds. Requests enter by ASGI, without a network.

    python benchmarks/request_cost.py                 # the table
    python benchmarks/request_cost.py --routes 200    # the same with 200 routes
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from fastapi import FastAPI

PATHS = {"json": "/json", "params": "/a/1/b/2/c/3"}


def application(routes: int) -> FastAPI:
    app = FastAPI()

    for number in range(routes - 2):
        app.add_api_route(f"/filler/{number}/{{item}}", lambda item: item)

    @app.get("/json")
    async def answer() -> dict[str, Any]:
        return {"items": [1, 2, 3], "name": "watchglass"}

    @app.get("/a/{a}/b/{b}/c/{c}")
    async def parameters(a: int, b: str, c: float, q: str = "x", limit: int = 10) -> dict[str, Any]:
        return {"a": a, "b": b, "c": c, "q": q, "limit": limit}

    return app


def plain(app: FastAPI) -> None:
    """FastAPI alone."""


def watchglass(app: FastAPI) -> None:
    """All signals, exported to a real PostgreSQL every 10 s."""
    from watchglass import Settings, observe

    observe(app, Settings(service_name="bench", database_url=os.environ["BENCH_DATABASE_URL"]))


def instrumentator(app: FastAPI) -> None:
    """prometheus-fastapi-instrumentator: metrics only."""
    from prometheus_fastapi_instrumentator import Instrumentator

    Instrumentator().instrument(app).expose(app)


def contrib(app: FastAPI) -> None:
    """OpenTelemetry's contrib instrumentation, default options, spans and metrics read and dropped."""
    from opentelemetry import metrics, trace
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()]))
    FastAPIInstrumentor.instrument_app(app)


CANDIDATES: dict[str, Callable[[FastAPI], None]] = {
    "plain": plain,
    "watchglass": watchglass,
    "instrumentator": instrumentator,
    "contrib": contrib,
}


async def request(app: FastAPI, path: str) -> int:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"limit=5",
        "headers": [(b"host", b"localhost"), (b"user-agent", b"bench"), (b"accept", b"*/*")],
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 80),
        "root_path": "",
    }
    status = 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]

    await app(scope, receive, send)  # type: ignore[arg-type]
    return status


async def lifespan(app: FastAPI) -> Callable[[], Any]:
    """Start the application as a server does; returns what stops it."""
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    outbox: asyncio.Queue[Any] = asyncio.Queue()
    await inbox.put({"type": "lifespan.startup"})
    task = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}}, inbox.get, outbox.put))  # type: ignore[arg-type]
    assert (await outbox.get())["type"] == "lifespan.startup.complete"

    async def stop() -> None:
        await inbox.put({"type": "lifespan.shutdown"})
        await task

    return stop


async def work(name: str, routes: int) -> None:
    """A candidate's process: for each line of input, `path count`, answer the CPU seconds it took."""
    app = application(routes)
    CANDIDATES[name](app)
    stop = await lifespan(app)
    for path in PATHS.values():
        assert await request(app, path) == 200
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        path, count = line.split()
        began = time.process_time()
        for _ in range(int(count)):
            await request(app, path)
        print(time.process_time() - began, flush=True)
    await stop()


class Worker:
    def __init__(self, name: str, routes: int, environment: dict[str, str]) -> None:
        command = [sys.executable, __file__, "--worker", name, "--routes", str(routes)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        assert self.process.stdout
        while (line := self.process.stdout.readline().strip()) != "ready":
            if not line:
                raise SystemExit(f"{name} did not start")

    def burst(self, path: str, count: int) -> float:
        """CPU microseconds a request."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{path} {count}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline()) / count * 1e6

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(30)


@contextlib.contextmanager
def workers(routes: int) -> Iterator[dict[str, Worker]]:
    from watchglass.demo.servers.postgresql import PostgreSQL

    with PostgreSQL() as server:
        running = {name: Worker(name, routes, {"BENCH_DATABASE_URL": server.url}) for name in CANDIDATES}
        try:
            yield running
        finally:
            for worker in running.values():
                worker.close()


def measure(routes: int, rounds: int, count: int) -> dict[str, dict[str, list[float]]]:
    """Microseconds a request, by candidate and path, a figure a round."""
    figures: dict[str, dict[str, list[float]]] = {name: {path: [] for path in PATHS} for name in CANDIDATES}
    with workers(routes) as running:
        for path in PATHS.values():
            for worker in running.values():
                worker.burst(path, count)
        for _ in range(rounds):
            for label, path in PATHS.items():
                for name, worker in running.items():
                    figures[name][label].append(worker.burst(path, count))
    return figures


def table(figures: dict[str, dict[str, list[float]]]) -> str:
    lines = ["| | JSON endpoint, us | ratio | five parameters, us | ratio |", "|---|---|---|---|---|"]
    base = {path: statistics.median(figures["plain"][path]) for path in PATHS}
    ours = {path: statistics.median(figures["watchglass"][path]) - base[path] for path in PATHS}
    for name, by_path in figures.items():
        cells = []
        for path in PATHS:
            median = statistics.median(by_path[path])
            added = median - base[path]
            ratio = "" if name == "plain" else f"{added / ours[path]:.2f}"
            cells += [f"{median:.0f}" if name == "plain" else f"+{added:.0f}", ratio]
        title = (CANDIDATES[name].__doc__ or name).rstrip(".")
        lines.append(f"| {name}: {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--routes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--json", action="store_true", help="print every round's figure instead of the table")
    parser.add_argument("--worker", choices=CANDIDATES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        asyncio.run(work(arguments.worker, arguments.routes))
        return
    figures = measure(arguments.routes, arguments.rounds, arguments.requests)
    print(json.dumps(figures) if arguments.json else table(figures))


if __name__ == "__main__":
    main()
