"""Whether PostgreSQL is where the requests' time goes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from support.past import Process, request
from watchglass import meters
from watchglass.analysis.fingerprints import of_statement
from watchglass.api.asking import Asked
from watchglass.api.context import Context
from watchglass.api.postgresql_share import NO_BUDGET, NO_REQUESTS, PostgresqlShare, postgresql_share
from watchglass.instrumentation.recorder import Recorder
from watchglass.settings import Settings
from watchglass.store.reader import Reader

HOUR = 3600.0
MANY, FEW = "SELECT * FROM orders", "SELECT * FROM books"

Start = Callable[..., Process]


@pytest_asyncio.fixture
async def context(store_url: str, now: float) -> AsyncIterator[Context]:
    reader = Reader(store_url, service="shop")
    yield Context(Settings(service_name="shop", app_database_url=store_url), reader, clock=lambda: now)
    await reader.close()


async def ask(context: Context) -> PostgresqlShare:
    return await postgresql_share(Asked.of(context, {"range": "1h"}))


def spent(recorder: Recorder, component: str, seconds: float, text: str | None = None) -> None:
    summary = text.replace("* FROM ", "") if text else None
    recorder.counter(meters.HTTP_SERVER_BUDGET, ("GET", "/orders", component, summary, text)).add(seconds)


def act(recorder: Recorder, factor: float = 1.0) -> None:
    request(recorder, "/orders", 0.4 * factor)
    spent(recorder, "postgresql", 0.2 * factor, MANY)
    spent(recorder, "postgresql", 0.1 * factor, FEW)
    spent(recorder, "pool_wait", 0.04 * factor)
    spent(recorder, "own_code", 0.06 * factor)


async def test_its_part_of_the_time_beside_the_earlier_window_and_its_dearest_statement(
    context: Context, process: Start, now: float
) -> None:
    one = process(now - 2 * HOUR)
    await one.live(now - 2 * HOUR, now - HOUR, lambda recorder: act(recorder, 0.5))
    await one.live(now - HOUR, now, act)
    found = await ask(context)
    assert (found.requests, found.share, found.pool_wait) == (60, pytest.approx(0.75), pytest.approx(0.1))
    assert found.per_request.value == pytest.approx(0.3) and found.per_request.previous == pytest.approx(0.15)
    assert found.per_request.change is not None and found.per_request.change.verdict == "worse"
    assert found.dearest is not None
    assert (found.dearest.fingerprint, found.dearest.summary) == (of_statement(MANY), "SELECT orders")
    assert found.dearest.share == pytest.approx(2 / 3)


async def test_nothing_is_not_zero(context: Context, process: Start, now: float) -> None:
    nothing = await ask(context)
    assert (nothing.requests, nothing.share, nothing.dearest) == (0, None, None)
    assert (nothing.per_request.value, nothing.per_request.reason) == (None, NO_REQUESTS)
    await process(now - HOUR).live(now - HOUR, now, lambda recorder: request(recorder, "/orders", 0.4))
    untold = await ask(context)
    assert (untold.requests, untold.share, untold.per_request.reason) == (60, None, NO_BUDGET)
