"""A thousand known requests, from the application to PostgreSQL, `/metrics` and the API: exact counts, true figures.

Durations are injected through the recorder's clock, so that the truth is known to the last digit; many lie on the edges
of buckets, where an estimate is worst.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI, HTTPException
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

import watchglass
from watchglass import wiring
from watchglass.analysis.buckets import PER_DOUBLING
from watchglass.analysis.windows import Window
from watchglass.instrumentation.recorder import Recorder
from watchglass.store.reader import Reader

QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


class Clock:
    """Stands still, unless the application takes time."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Known:
    """A request and what it will come to."""

    method: str
    path: str
    route: str | None
    status: int
    seconds: float


def plan() -> list[Known]:
    source = random.Random(22)
    edges = [2.0 ** (index / PER_DOUBLING) for index in range(-320, 0)]
    known = [Known("GET", f"/edges/{n}", "/edges/{item}", 200, source.choice(edges)) for n in range(300)]
    known += [Known("GET", "/point", "/point", 200, 2.0 ** (-77 / PER_DOUBLING))] * 150
    known += [Known("GET", "/two-points", "/two-points", 200, 0.25 if n % 10 else 2.0) for n in range(150)]
    known += [Known("POST", "/orders", "/orders", 201, source.lognormvariate(-3, 1)) for _ in range(200)]
    known += [Known("GET", f"/orders/{n}", "/orders/{order}", 404, 0.004) for n in range(50)]
    known += [Known("GET", "/broken", "/broken", 500, source.uniform(0.1, 3)) for _ in range(60)]
    known += [Known("GET", f"/nothing/{n}", None, 404, 0.001) for n in range(70)]
    known += [Known("DELETE", "/point", "/point", 405, 0.002)] * 20
    source.shuffle(known)
    assert len(known) == 1000
    return known


def service(clock: Clock) -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def take_time(request, call_next):  # type: ignore[no-untyped-def]
        clock.now += float(request.headers.get("x-seconds", 0))
        return await call_next(request)

    @app.get("/edges/{item}")
    @app.get("/point")
    @app.get("/two-points")
    async def answer(item: str = "") -> str:
        return item

    @app.post("/orders", status_code=201)
    async def order() -> str:
        return "ordered"

    @app.get("/orders/{order}")
    async def find(order: int) -> None:
        raise HTTPException(404)

    @app.get("/broken")
    async def fail() -> None:
        raise RuntimeError("broken")

    return app


def exact(values: list[float], quantile: float) -> float:
    """The nearest-rank percentile."""
    return sorted(values)[max(1, math.ceil(quantile * len(values))) - 1]


@pytest.fixture
def app(store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FastAPI]:
    clock = Clock()
    monkeypatch.setattr(wiring, "Recorder", partial(Recorder, clock=clock))
    app = service(clock)
    watchglass.observe(app, watchglass.Settings(service_name="known", app_database_url=store_url, flush_interval=1))
    yield app
    watchglass.unobserve(app)


@pytest_asyncio.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://known") as client:
        yield client


async def send(client: httpx.AsyncClient, known: list[Known]) -> None:
    for one in known:
        response = await client.request(one.method, one.path, headers={"x-seconds": repr(one.seconds)})
        assert response.status_code == one.status


async def log_in(client: httpx.AsyncClient) -> None:
    house = wiring.house()
    assert house
    token = house.own_loop.run(house.context.tokens.new()).result(10)
    answer = await client.post(
        "/ui/monitoring/login", data={"token": token.text}, headers={"origin": "http://known", "host": "known"}
    )
    assert answer.status_code == 303


async def test_a_thousand_known_requests_are_counted_exactly_and_their_percentiles_are_true(
    client: httpx.AsyncClient, store_url: str
) -> None:
    known = plan()
    began = time.time()
    await send(client, known)
    house = wiring.house()
    assert house
    house.pipeline.flush_now()

    expected = Counter((one.method, one.route, str(one.status)) for one in known)
    assert await _stored(store_url, began) == expected
    assert _exposed((await client.get("/metrics")).text) == expected

    await log_in(client)
    answer = (await client.get("/api/monitoring/api/endpoints?range=15m")).json()
    seconds: dict[tuple[str | None, str | None], list[float]] = defaultdict(list)
    for one in known:
        seconds[(one.method, one.route) if one.route else (None, None)].append(one.seconds)
    assert {(e["method"], e["route"]) for e in answer["endpoints"]} == set(seconds)
    for endpoint in answer["endpoints"]:
        values = seconds[endpoint["method"], endpoint["route"]]
        assert endpoint["requests"] == len(values)
        for name, quantile in QUANTILES.items():
            assert endpoint[name]["value"] == pytest.approx(exact(values, quantile), rel=0.022), (
                endpoint["label"],
                name,
            )
    everything = [one.seconds for one in known]
    for name, quantile in QUANTILES.items():
        assert answer["total"][name]["value"] == pytest.approx(exact(everything, quantile), rel=0.022)


async def _stored(url: str, began: float) -> Counter[tuple[str, str | None, str]]:
    reader = Reader(url, service="known")
    try:
        groups = await reader.select(
            "watchglass.http.server.requests",
            Window(began - 20, time.time() + 20),
            by=("http.request.method", "http.route", "http.response.status_code"),
        )
    finally:
        await reader.close()
    return Counter({(str(g.key[0]), g.key[1], str(g.key[2])): int(g.sum) for g in groups})


def _exposed(text: str) -> Counter[tuple[str, str | None, str]]:
    samples: list[Sample] = [s for family in text_string_to_metric_families(text) for s in family.samples]
    counted: Counter[tuple[str, str | None, str]] = Counter()
    for sample in samples:
        if sample.name == "http_server_request_duration_seconds_count":
            labels = sample.labels
            key = (labels["http_request_method"], labels.get("http_route") or None, labels["http_response_status_code"])
            counted[key] += int(sample.value)
    return counted


async def test_what_is_asked_of_watchglass_itself_is_not_counted(client: httpx.AsyncClient) -> None:
    for path in ("/metrics", "/health", "/ui/monitoring/advanced", "/api/monitoring/status", "/ui/monitoring/login"):
        await client.get(path)
    assert _exposed((await client.get("/metrics")).text) == Counter()
