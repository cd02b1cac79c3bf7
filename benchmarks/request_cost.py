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
import json
import statistics
from typing import Any

from bench import tables
from bench.candidates import REQUESTS, title, versions
from bench.entering import lifespan, request
from bench.turns import Figures, added, measure, obey, spread, workers
from fastapi import FastAPI

from watchglass.demo.servers import PostgreSQL

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


async def work(name: str, routes: int) -> None:
    """A candidate's process."""
    app = application(routes)
    REQUESTS[name](app)
    stop = await lifespan(app)
    for path in PATHS.values():
        assert await request(app, path) == 200

    async def burst(kind: str, count: int) -> None:
        for _ in range(count):
            await request(app, PATHS[kind])

    await obey(burst)
    await stop()


def table(figures: Figures) -> str:
    head = ["", "JSON endpoint, us", "middle half", "ratio", "five parameters, us", "middle half", "ratio"]
    rows = []
    for name in figures:
        row = [title(name, REQUESTS[name])]
        for path in PATHS:
            if name == "plain":
                row += [f"{statistics.median(figures[name][path]):.0f}", "", ""]
                continue
            low, high = spread(figures, name, path)
            ratio = added(figures, name, path) / added(figures, "watchglass", path)
            row += [f"+{added(figures, name, path):.1f}", f"{low:.1f} to {high:.1f}", f"{ratio:.2f}"]
        rows.append(row)
    return tables.table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--routes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--json", action="store_true", help="print every round's figure instead of the table")
    parser.add_argument("--worker", choices=REQUESTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        asyncio.run(work(arguments.worker, arguments.routes))
        return
    machine = tables.machine()
    with (
        PostgreSQL() as server,
        workers(REQUESTS, ["--routes", str(arguments.routes)], {"BENCH_DATABASE_URL": server.url}) as running,
    ):
        figures = measure(running, PATHS, arguments.rounds, arguments.requests)
    if arguments.json:
        print(json.dumps(figures))
        return
    rounds = f"{arguments.rounds} rounds of {arguments.requests} requests"
    print(f"{arguments.routes} routes; {rounds}; {machine}; {versions()}.")
    print(f"\n{table(figures)}")


if __name__ == "__main__":
    main()
