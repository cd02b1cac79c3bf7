"""A process of a service whose measurements are written at times the test chooses, and a browser for the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx

from watchglass.api.context import Context
from watchglass.exporters.metrics import MetricDeltas
from watchglass.instrumentation.recorder import Recorder
from watchglass.jobs.rollup import roll_up_all
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION
from watchglass.records import Batch, Instance
from watchglass.store.writer import Writer

Act = Callable[[Recorder], None]


class Process:
    """One process of a service. What is recorded is written by `flush`, dated as the exporter would at that time.

    What comes so late is rolled up at once, as the elected process does when it gets round to it.
    """

    def __init__(self, dsn: str, started_at: float, name: str = "shop") -> None:
        self.recorder = Recorder()
        self.instance = Instance(name, "", "1.0", str(uuid4()), "host-a", 7, started_at)
        self._deltas = MetricDeltas(self.recorder.collect, started_at)
        self._writer = Writer(dsn, self.instance)
        self._sequence = 0

    async def flush(self, now: float) -> None:
        await self._write(now)
        await roll_up_all(self._writer.borrow, 30.0)

    async def _write(self, now: float) -> None:
        if not self._writer.is_open:
            await self._writer.open()
        self._sequence += 1
        await self._writer.write(Batch(self._sequence, self._deltas.take(now)))

    async def live(self, start: float, end: float, act: Act, every: float = 60.0) -> None:
        """Do `act` once in each interval between start and end, and flush after it."""
        while start + every <= end:
            act(self.recorder)
            start += every
            await self._write(start)
        await roll_up_all(self._writer.borrow, 30.0)

    async def close(self) -> None:
        await self._writer.close()


def request(
    recorder: Recorder,
    route: str | None,
    seconds: float,
    status: str = "200",
    error: str | None = None,
    method: str = "GET",
    times: int = 1,
) -> None:
    """As the instrumentation records a request."""
    histogram = recorder.histogram(HTTP_SERVER_REQUEST_DURATION, (method, route, status, error, "http"))
    for _ in range(times):
        histogram.record(seconds)


def browser(app: Any, **options: Any) -> httpx.AsyncClient:
    """A client that keeps cookies and follows no redirect."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.test", **options)


async def log_in(client: httpx.AsyncClient, context: Context, role: Any = "admin") -> None:
    token = await context.tokens.new("ann", role)
    answer = await client.post("/ui/monitoring/login", data={"token": token.text})
    assert answer.status_code == 303


async def ask(api: httpx.AsyncClient, path: str, **query: Any) -> Any:
    """What the API answers."""
    answer = await api.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()
