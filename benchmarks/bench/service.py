"""The service of the soak: 200 routes, and requests that enter it by ASGI at the times the traffic says.

Each request sleeps for as long as the traffic says; one in ten writes a log line, every failed one an error. Observed,
it records what two statements and a command would have recorded beside it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench.entering import lifespan
from bench.traffic import HOUR, STATUSES, Traffic

SAMPLE = 0.02
"""Seconds between two looks at the loop."""

NINE = 9 * HOUR
"""An hour of the clock in which there are as many requests as in the mean of the day."""

log = logging.getLogger("bench.service")


class Service:
    """The application and its load. `client_work` is called once in each request."""

    def __init__(self, rate: float, seconds: float, client_work: Callable[[float], None]) -> None:
        self.traffic = Traffic(rate=rate)
        self.sent = self.answered = 0
        self._requests = self.traffic.hour(NINE).within(NINE, NINE + seconds)
        self.traffic.hour.cache_clear()
        self._client_work = client_work
        self._tasks: set[asyncio.Task[None]] = set()
        routes = [Route(route, self._answer, methods=[method]) for method, route in self.traffic.keys]
        self.app: Any = Starlette(routes=routes)

    async def load(self) -> None:
        """Send the requests, each at its time, and wait for the last answers."""
        requests, order = self._requests, self._requests.time.argsort()
        began = time.monotonic()
        for some in np.array_split(order, len(order) // 1000 + 1):
            due = (requests.time[some] - NINE + began).tolist()
            columns = (requests.endpoint[some], requests.status[some], requests.seconds[some])
            for moment, *answer in zip(due, *(column.tolist() for column in columns), strict=True):
                await self._until(moment)
                self._start(*answer)
        await asyncio.gather(*self._tasks)

    async def _until(self, moment: float) -> None:
        wait = moment - time.monotonic()
        if wait > 0.0005:
            await asyncio.sleep(wait)

    def _start(self, endpoint: int, status: int, seconds: float) -> None:
        task = asyncio.create_task(self._request(endpoint, status, seconds))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.sent += 1

    async def _request(self, endpoint: int, status: int, seconds: float) -> None:
        method, route = self.traffic.keys[endpoint]
        path = route.replace("{id}", "42")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"user-agent", b"bench"), (b"accept", b"*/*")],
            "client": ("127.0.0.1", 5),
            "server": ("127.0.0.1", 80),
            "root_path": "",
            "bench": (int(STATUSES[status]), seconds),
        }
        await self.app(scope, _receive, self._send)

    async def _send(self, message: Any) -> None:
        self.answered += message["type"] == "http.response.start"

    async def _answer(self, request: Request) -> Response:
        status, seconds = request.scope["bench"]
        await asyncio.sleep(seconds)
        self._client_work(seconds)
        if status >= 500:
            log.error("could not answer %s", request.url.path, extra={"status": status})
        elif self.sent % 10 == 0:
            log.info("answered %s", request.url.path, extra={"status": status, "user_id": self.sent})
        return JSONResponse({"items": [1, 2, 3]}, status)


class Meters:
    """Looks at the loop every 20 ms, and each second prints the lags it saw (ms) and the memory of the process."""

    def __init__(self) -> None:
        self._lags: list[float] = []
        self._process = psutil.Process()

    async def run(self) -> None:
        printed = time.monotonic()
        while True:
            expected = time.perf_counter() + SAMPLE
            await asyncio.sleep(SAMPLE)
            self._lags.append(round((time.perf_counter() - expected) * 1000, 3))
            if time.monotonic() - printed >= 1:
                printed = time.monotonic()
                self.tell()

    def tell(self) -> None:
        print(json.dumps({"rss": self._process.memory_info().rss, "lags": self._lags}), flush=True)
        self._lags = []


async def run(dsn: str | None, rate: float, seconds: float) -> None:
    """A process of the soak: with Watchglass on the store `dsn`, or without. Its last line is what it did."""
    logging.basicConfig(level=logging.INFO, handlers=[logging.NullHandler()])
    service = Service(rate, seconds, lambda took: None)
    if dsn:
        _observe(service, dsn)
    stop = await lifespan(service.app)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    meters = asyncio.create_task(Meters().run())
    await service.load()
    meters.cancel()
    done: dict[str, Any] = {"sent": service.sent, "answered": service.answered}
    if dsn:
        done |= _told()
    await stop()
    print(json.dumps(done), flush=True)


def _observe(service: Service, dsn: str) -> None:
    """Observe the application, and have each request record three operations of clients."""
    from watchglass import Settings, observe
    from watchglass.instrumentation.operations import Operation
    from watchglass.wiring import house

    service.app = observe(service.app, Settings(service_name="soak", database_url=dsn))
    home = house()
    assert home is not None
    clock = home.recorder.clock
    kinds = [
        Operation(home.recorder, "postgresql", "SELECT", f"SELECT table_{n}", f"SELECT * FROM table_{n} WHERE id = $1")
        for n in range(40)
    ]
    command = Operation(home.recorder, "redis", "GET", "GET", "GET user:?", "session")

    def work(took: float) -> None:
        end = clock()
        for share, operation in (
            (0.6, kinds[service.sent % 40]),
            (0.2, kinds[service.sent // 40 % 40]),
            (0.05, command),
        ):
            operation.ended(end - took * share, end=end)

    service._client_work = work


def _told() -> dict[str, Any]:
    """What the pipeline dropped, after everything is in the store."""
    from watchglass.wiring import house

    home = house()
    assert home is not None
    home.pipeline.flush_now()
    status = home.pipeline.status
    return {"dropped": dict(status.dropped), "state": status.state}


async def _receive() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}
