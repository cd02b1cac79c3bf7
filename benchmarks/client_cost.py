"""What does watching cost a statement and a command? CPU added by Watchglass and by OpenTelemetry's contrib.

A service asks a real PostgreSQL and a real Redis, 20 times in each request, and gets requests by ASGI. Every candidate
runs in a process of its own; the processes take turns. The figure is CPU time of the whole process, less that of a
request that asks nothing, by what was asked, less that of plain FastAPI: the median over the rounds.

    python benchmarks/client_cost.py
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import redis
import redis.asyncio
from bench import tables
from bench.candidates import CLIENTS, title, versions
from bench.entering import lifespan, request
from bench.turns import Figures, measure, obey, workers
from fastapi import FastAPI

from watchglass.demo.servers import PostgreSQL, Redis

IN_A_REQUEST = 20
NOTHING = "nothing"
KINDS = {
    "fetchrow": "`connection.fetchrow`, one argument",
    "pool": "`pool.fetch`, no argument",
    "get": "`GET`, asyncio's client",
    "get_sync": "`GET`, the other client",
    "pipeline": "pipeline of three `GET`s",
}
GOAL = 0.25
"""At most this share of what contrib adds."""


class Service:
    """The application, and the clients of its requests."""

    def __init__(self) -> None:
        self.app = FastAPI(lifespan=self._lifespan)
        self.connection: Any = None
        self.pool: Any = None
        self.cache: Any = None
        self.cache_sync: Any = None
        for kind in (NOTHING, *KINDS):
            self.app.add_api_route(f"/{kind}", self._endpoint(getattr(self, f"_{kind}")))

    @asynccontextmanager
    async def _lifespan(self, _: Any) -> Any:
        dsn, url = os.environ["BENCH_DATABASE_URL"], os.environ["BENCH_REDIS_URL"]
        self.connection = await asyncpg.connect(dsn)
        self.cache, self.cache_sync = redis.asyncio.Redis.from_url(url), redis.Redis.from_url(url)
        await self.cache.set("search:1", "found")
        async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as self.pool:
            yield
        await self.connection.close()
        await self.cache.aclose()
        self.cache_sync.close()

    @staticmethod
    def _endpoint(ask: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[dict[str, int]]]:
        async def endpoint() -> dict[str, int]:
            for _ in range(IN_A_REQUEST):
                await ask()
            return {"asked": IN_A_REQUEST}

        return endpoint

    async def _nothing(self) -> None:
        pass

    async def _fetchrow(self) -> None:
        await self.connection.fetchrow("SELECT $1::int AS id, 'a title' AS title", 7)

    async def _pool(self) -> None:
        await self.pool.fetch("SELECT 1 AS id")

    async def _get(self) -> None:
        await self.cache.get("search:1")

    async def _get_sync(self) -> None:
        self.cache_sync.get("search:1")

    async def _pipeline(self) -> None:
        async with self.cache.pipeline(transaction=False) as pipe:
            await pipe.get("search:1").get("search:2").get("search:3").execute()


async def work(name: str) -> None:
    """A candidate's process."""
    service = Service()
    CLIENTS[name](service.app)
    stop = await lifespan(service.app)

    async def burst(kind: str, count: int) -> None:
        for _ in range(count):
            assert await request(service.app, f"/{kind}") == 200

    await obey(burst)
    await stop()


def of_one(figures: Figures, name: str, kind: str) -> list[float]:
    """CPU microseconds of one statement or command, a figure a round."""
    both = zip(figures[name][kind], figures[name][NOTHING], strict=True)
    return [(asked - nothing) / IN_A_REQUEST for asked, nothing in both]


def added(figures: Figures, name: str, kind: str) -> float:
    """What watching adds to one: the median of the rounds, each compared to the same round of plain."""
    both = zip(of_one(figures, name, kind), of_one(figures, "plain", kind), strict=True)
    return statistics.median(one - plain for one, plain in both)


def table(figures: Figures) -> str:
    head = ["", *(f"{name}, us" for name in figures), "share of contrib", f"goal: {GOAL:g}"]
    rows = []
    for kind, what in KINDS.items():
        alone = statistics.median(of_one(figures, "plain", kind))
        ours, theirs = (added(figures, name, kind) for name in ("watchglass", "contrib"))
        good = "reached" if ours <= GOAL * theirs else "**missed**"
        rows.append([what, f"{alone:.0f}", f"+{ours:.1f}", f"+{theirs:.1f}", f"{ours / theirs:.2f}", good])
    return tables.table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=50, help=f"a burst, of {IN_A_REQUEST} each")
    parser.add_argument("--worker", choices=CLIENTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        asyncio.run(work(arguments.worker))
        return
    machine = tables.machine()
    with PostgreSQL() as server, Redis() as cache:
        environment = {"BENCH_DATABASE_URL": server.url, "BENCH_REDIS_URL": cache.url}
        with workers(CLIENTS, [], environment) as running:
            figures = measure(running, (NOTHING, *KINDS), arguments.rounds, arguments.requests)
    what = versions("asyncpg", "redis", "opentelemetry-instrumentation-asyncpg", "opentelemetry-instrumentation-redis")
    burst = f"{arguments.requests} requests with {IN_A_REQUEST} each"
    print(f"{arguments.rounds} rounds of {burst}; {machine}; {what}.\n\n{table(figures)}\n")
    print("\n".join(f"- {title(name, candidate)}." for name, candidate in CLIENTS.items()))


if __name__ == "__main__":
    main()
