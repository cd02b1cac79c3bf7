"""Where the time of each request went: every moment once, and all of it."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
import redis.asyncio
from fastapi import BackgroundTasks, FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

from support.asgi import Clock, Observed, exchange, get, observe, websocket_scope
from watchglass import meters
from watchglass.instrumentation import budget
from watchglass.instrumentation.adopted.tracers import HostSpans
from watchglass.instrumentation.asyncpg import AsyncPGInstrumentor
from watchglass.instrumentation.budget import Budget, Part, note, part_of, shares
from watchglass.instrumentation.lag import MeanLag
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.redis import RedisInstrumentor
from watchglass.instrumentation.request import Request, reset_current_request, set_current_request

A, B, C = (part_of("redis", cache_type=name) for name in "abc")
Key = tuple[str | None, ...]


def spent(recorder: Recorder) -> dict[Key, float]:
    """Seconds by route, component and detail."""
    return {
        (state.values[1], state.values[2], *(value for value in state.values[3:] if value)): state.sum
        for state in recorder.collect()
        if state.meter is meters.HTTP_SERVER_BUDGET
    }


def components(observed: Observed, route: str = "/") -> dict[str, float]:
    """Seconds by component; they add up to the durations."""
    found: dict[str, float] = {}
    for key, seconds in spent(observed.recorder).items():
        assert key[0] == route
        found[str(key[1])] = found.get(str(key[1]), 0.0) + seconds
    assert math.fsum(found.values()) == pytest.approx(math.fsum(observed.seconds()), rel=1e-9)
    return found


def service(handler: Callable[..., Awaitable[Any]], **options: Any) -> Observed:
    app = FastAPI()
    app.add_api_route("/", handler)
    return observe(app, **options)


def test_children_one_after_another_have_their_durations() -> None:
    work = [(1.0, 2.0, A, 1), (2.5, 3.0, B, 1), (4.0, 4.5, A, 1)]
    assert shares(work, 0.0, 5.0) == {A: 1.5, B: 0.5}


def test_children_at_once_share_a_moment_equally() -> None:
    work = [(0.0, 2.0, A, 1), (1.0, 3.0, B, 2)]
    assert shares(work, 0.0, 4.0) == {A: 1.5, B: 1.5}
    assert shares([*work, (0.0, 4.0, C, 3)], 0.0, 4.0) == pytest.approx(
        {A: 0.5 + 1 / 3, B: 1 / 3 + 0.5, C: 0.5 + 1 / 3 + 0.5 + 1.0}
    )


def test_a_child_within_a_child_of_the_same_task_counts_once_as_the_inner_one() -> None:
    assert shares([(2.0, 5.0, B, 1), (0.0, 10.0, A, 1)], 0.0, 10.0) == {A: 7.0, B: 3.0}
    assert shares([(0.0, 4.0, B, 1), (0.0, 4.0, A, 1)], 0.0, 4.0) == {A: 0.0, B: 4.0}
    assert shares([(3.0, 4.0, C, 1), (2.0, 5.0, B, 1), (0.0, 10.0, A, 1)], 0.0, 10.0) == {A: 7.0, B: 2.0, C: 1.0}


def test_what_lies_outside_of_the_duration_does_not_count() -> None:
    assert shares([(0.0, 2.0, A, 1), (3.0, 9.0, B, 1), (7.0, 8.0, C, 2)], 1.0, 4.0) == {A: 1.0, B: 1.0}


def test_whatever_overlaps_adds_up_to_the_union() -> None:
    chance = random.Random(5)
    for _ in range(200):
        work = [
            (begin, begin + chance.choice((0.0, chance.random() * 3)), chance.choice((A, B, C)), chance.randrange(4))
            for begin in (chance.uniform(-1, 10) for _ in range(chance.randrange(1, 12)))
        ]
        union, at = 0.0, 0.0
        for begin, end, _, _ in sorted(work):
            union += max(0.0, min(end, 8.0) - max(begin, at, 0.0))
            at = max(at, end)
        found = shares(sorted(work, key=lambda one: one[1]), 0.0, 8.0)
        assert math.fsum(found.values()) == pytest.approx(union)
        assert min(found.values(), default=0.0) > -1e-12


async def test_own_code_is_what_is_left_and_all_adds_up() -> None:
    clock = Clock()

    async def handler() -> None:
        clock.advance(0.25)
        start = clock.now
        clock.advance(0.5)
        note(A, start, clock.now)
        clock.advance(0.25)

    observed = service(handler, clock=clock)
    await get(observed.app, "/")
    await get(observed.app, "/")
    assert spent(observed.recorder) == {("/", "own_code"): 1.0, ("/", "redis", "a"): 1.0}
    assert components(observed) == {"own_code": 1.0, "redis": 1.0}


async def test_a_request_that_fails_has_its_budget_too() -> None:
    clock = Clock()

    async def handler() -> None:
        note(A, clock.now, clock.now + 0.5)
        clock.advance(0.75)
        raise KeyError("x")

    observed = service(handler, clock=clock)
    await get(observed.app, "/")
    assert components(observed) == {"own_code": 0.25, "redis": 0.5}


async def test_a_stream_is_counted_until_its_first_byte() -> None:
    clock = Clock()

    async def handler() -> StreamingResponse:
        async def lines() -> AsyncIterator[bytes]:
            for _ in range(3):
                note(A, clock.now, clock.now + 1.0)
                clock.advance(1.0)
                yield b"x"

        clock.advance(0.5)
        return StreamingResponse(lines())

    observed = service(handler, clock=clock)
    await get(observed.app, "/")
    assert components(observed) == {"own_code": 0.5, "redis": 1.0}


async def test_background_tasks_do_not_count() -> None:
    clock = Clock()

    async def handler(tasks: BackgroundTasks) -> None:
        async def later() -> None:
            note(A, clock.now, clock.now + 1.0)
            clock.advance(1.0)

        tasks.add_task(later)
        clock.advance(0.5)

    observed = service(handler, clock=clock)
    await get(observed.app, "/")
    assert components(observed) == {"own_code": 0.5}


async def test_what_is_under_way_when_the_response_ends_is_not_known_of() -> None:
    clock = Clock()
    tasks: list[asyncio.Task[None]] = []
    go = asyncio.Event()

    async def handler() -> None:
        async def other() -> None:
            start = clock.now
            await go.wait()
            note(A, start, clock.now)

        tasks.append(asyncio.create_task(other()))
        await asyncio.sleep(0)
        clock.advance(0.5)

    observed = service(handler, clock=clock)
    await get(observed.app, "/")
    go.set()
    await tasks[0]
    assert components(observed) == {"own_code": 0.5}


async def test_a_websocket_has_none_unless_it_is_refused() -> None:
    clock = Clock()
    app = FastAPI()

    async def accepted(websocket: WebSocket) -> None:
        await websocket.accept()
        note(A, clock.now, clock.now + 0.5)
        await websocket.close()

    async def handler(websocket: WebSocket) -> None:
        note(A, clock.now, clock.now + 0.5)
        clock.advance(0.75)
        await websocket.close()

    app.add_api_websocket_route("/accepted", accepted)
    app.add_api_websocket_route("/refused", handler)
    observed = observe(app, clock=clock)
    await exchange(observed.app, websocket_scope("/accepted"), [{"type": "websocket.connect"}])
    await exchange(observed.app, websocket_scope("/refused"), [{"type": "websocket.connect"}])
    assert components(observed, "/refused") == {"own_code": 0.25, "redis": 0.5}


async def test_thousands_of_children_are_all_counted_in_bounded_memory() -> None:
    clock = Clock()
    most = 0

    async def handler() -> None:
        nonlocal most
        for _ in range(4_500):
            note(A, clock.now, clock.now + 0.25)
            clock.advance(0.5)
            most = max(most, len((budget.current_request() or Request(1, 2, None, True, 0, "GET")).work or ()))

    observed = service(handler, clock=clock)
    await get(observed.app, "/")
    assert components(observed) == {"own_code": 1125.0, "redis": 1125.0}
    assert most < budget.MAX_WORK


def test_details_are_bounded_and_what_is_beyond_counts_as_its_component(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_DETAILS", 2)
    recorder = Recorder()
    mine = Budget(recorder)
    request = Request(1, 2, None, True, 0.0, "GET")
    request.route = "/"
    for _ in range(2):
        mine.record(request, 4.0, {A: 1.0, B: 1.0, C: 1.0})
    assert spent(recorder) == {
        ("/", "redis", "a"): 2.0, ("/", "redis", "b"): 2.0, ("/", "redis"): 2.0, ("/", "own_code"): 2.0
    }  # fmt: skip


def test_the_lag_of_the_loop_is_taken_from_what_was_waited_for_and_never_more() -> None:
    recorder, lag = Recorder(), MeanLag()
    mine = Budget(recorder, lag)
    lag.seconds = 0.25

    def request(*work: tuple[float, float, Part, int]) -> dict[Part, float] | None:
        one = Request(1, 2, None, True, 0.0, "GET")
        one.work = list(work)
        return mine.settle(one, 10.0)

    assert request((0.0, 1.0, A, 1), (1.0, 4.0, B, 1)) == {A: 0.875, B: 2.625, budget.LAG: 0.5}
    assert request((0.0, 0.1, A, 1)) == {A: 0.0, budget.LAG: pytest.approx(0.1)}
    assert request((0.0, 1.0, A, -7)) == {A: 1.0}  # in a thread
    assert request() is None


def test_the_mean_lag_counts_the_looks_that_a_blocked_loop_kept_from_happening() -> None:
    still, short = MeanLag(), MeanLag()
    for _ in range(200):
        still.looked(0.451, 0.1)
        short.looked(0.051, 0.1)
    assert short.seconds == pytest.approx(0.05, rel=0.05)
    assert still.seconds == pytest.approx(sum((0.45, 0.35, 0.25, 0.15, 0.05)) / 5, rel=0.1)
    calm = MeanLag()
    calm.looked(0.0009, 0.1)
    assert calm.seconds == 0.0


def test_counters_of_idle_endpoints_leave_memory() -> None:
    clock = Clock()
    recorder = Recorder(clock=clock, idle_seconds=10)
    mine = Budget(recorder)
    request = Request(1, 2, None, True, 0.0, "GET")
    mine.record(request, 1.0, {A: 0.5})
    for _ in range(6):
        clock.advance(70)
        recorder.collect()
        recorder.retire()
    assert spent(recorder) == {}
    mine.record(request, 1.0, {A: 0.5})
    assert spent(recorder) == {(None, "own_code"): 0.5, (None, "redis", "a"): 0.5}


@pytest.fixture
async def served(database_url: str, redis_url: str) -> AsyncIterator[tuple[Observed, FastAPI]]:
    """An application with a pool of one connection and a client of Redis, instrumented."""
    app = FastAPI()
    observed = observe(app)
    instrumentors = AsyncPGInstrumentor(), RedisInstrumentor()
    for instrumentor in instrumentors:
        instrumentor.instrument(recorder=observed.recorder)
    try:
        async with (
            asyncpg.create_pool(database_url, min_size=2, max_size=2) as app.state.pool,
            redis.asyncio.Redis.from_url(redis_url) as app.state.redis,
        ):
            yield observed, app
    finally:
        for instrumentor in instrumentors:
            instrumentor.uninstrument()


async def test_statements_cache_types_and_own_code_of_a_real_request(served: tuple[Observed, FastAPI]) -> None:
    observed, app = served

    @app.get("/")
    async def handler() -> None:
        await app.state.pool.fetch("SELECT pg_sleep(0.1)")
        await app.state.redis.get("budget:1")
        async with app.state.pool.acquire() as connection, connection.transaction():
            async for _ in connection.cursor("SELECT pg_sleep(0.01) FROM generate_series(1, 3)", prefetch=1):
                await asyncio.sleep(0.05)

    await get(observed.app, "/")
    found = components(observed)
    assert set(found) == {"own_code", "postgresql", "redis", "pool_wait"}
    assert found["postgresql"] >= 0.13
    assert found["own_code"] >= 0.15  # what is done between two rows is not the cursor's
    details = spent(observed.recorder)
    sleeping = [seconds for key, seconds in details.items() if key[-1] == "SELECT pg_sleep(?)"]
    assert len(sleeping) == 1 and 0.1 <= sleeping[0] < found["postgresql"]
    assert details[("/", "redis", "budget")] > 0


async def test_statements_at_once_are_not_counted_twice(served: tuple[Observed, FastAPI]) -> None:
    observed, app = served

    @app.get("/")
    async def handler() -> None:
        await asyncio.gather(*(app.state.pool.fetch(f"SELECT pg_sleep(0.2), '{one}' AS a{one}") for one in range(2)))

    await get(observed.app, "/")
    found = components(observed)
    assert 0.19 < found["postgresql"] <= sum(observed.seconds())
    by_statement = [seconds for key, seconds in spent(observed.recorder).items() if key[1] == "postgresql"]
    assert len(by_statement) == 2 and min(by_statement) > 0.05


async def test_what_was_given_up_counts_and_what_nobody_waits_for_does_not(served: tuple[Observed, FastAPI]) -> None:
    observed, app = served
    left: list[asyncio.Task[Any]] = []

    @app.get("/")
    async def handler() -> None:
        left.append(asyncio.create_task(app.state.pool.fetch("SELECT pg_sleep(2) AS left_behind")))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await app.state.pool.fetch("SELECT pg_sleep(5) AS given_up")
        await asyncio.sleep(0.1)

    await get(observed.app, "/")
    await left[0]
    by_text = {key[-1]: seconds for key, seconds in spent(observed.recorder).items() if key[1] == "postgresql"}
    assert list(by_text) == ["SELECT pg_sleep(?) AS given_up"]
    assert by_text["SELECT pg_sleep(?) AS given_up"] >= 0.05
    assert components(observed)["own_code"] >= 0.09


async def test_waiting_for_a_connection_is_told_from_the_statements_of_others(
    served: tuple[Observed, FastAPI],
) -> None:
    observed, app = served

    @app.get("/")
    async def handler() -> None:
        await app.state.pool.fetch("SELECT 1")

    async with app.state.pool.acquire(), app.state.pool.acquire() as connection:
        waiting = asyncio.create_task(get(observed.app, "/"))
        await connection.execute("SELECT pg_sleep(0.5)")
    await waiting
    found = components(observed)
    assert found["pool_wait"] > 0.25 > found["own_code"] + found["postgresql"]


@pytest.mark.parametrize("provider", ["the host's", "none"])
async def test_outbound_requests_are_known_by_the_spans_of_their_instrumentation(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = TracerProvider(shutdown_on_exit=False) if provider == "the host's" else None
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", hosts)

    async def handler() -> None:
        tracer = trace.get_tracer("opentelemetry.instrumentation.httpx")
        attributes = {"http.request.method": "GET", "server.address": "stock.test"}
        with tracer.start_as_current_span("GET", kind=SpanKind.CLIENT, attributes=attributes):
            await asyncio.sleep(0.1)
        with tracer.start_as_current_span("something else", kind=SpanKind.CLIENT):
            await asyncio.sleep(0.05)

    observed = service(handler)
    offered = HostSpans(observed.recorder)
    try:
        offered.meet()
        await get(observed.app, "/")
    finally:
        offered.uninstrument()
    found = components(observed)
    assert found["http"] > 0.09 and found["own_code"] > 0.04
    assert found["http"] + found["own_code"] == pytest.approx(sum(observed.seconds()))
    assert ("/", "http", "stock.test") in spent(observed.recorder)


async def test_outside_of_a_request_nothing_is_noted() -> None:
    note(A, 0.0, 1.0)
    request = Request(1, 2, None, True, 0.0, "GET")
    token = set_current_request(request)
    note(A, 0.0, 1.0)
    reset_current_request(token)
    assert [one[2] for one in request.work or ()] == [A]
