"""SQLAlchemy's pools against a real PostgreSQL; and, for engines that block, against SQLite, whose pool is the same."""

from __future__ import annotations

import asyncio
import gc
import re
import sqlite3
import subprocess
import sys
import threading
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI, Request, Response
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

import watchglass
from support.asgi import Clock, Observed, get, observe
from watchglass import guard, meters, wiring
from watchglass.instrumentation import pools as bookkeeping
from watchglass.instrumentation import sqlalchemy as instrumentation
from watchglass.instrumentation.asyncpg import AsyncPGInstrumentor
from watchglass.instrumentation.pools import Pools
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.sqlalchemy import SQLAlchemyInstrumentor, engine_name
from watchglass.records import State
from watchglass.settings import Settings

PATIENCE = 30.0


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def instrumented(recorder: Recorder) -> Iterator[SQLAlchemyInstrumentor]:
    instrumentor = SQLAlchemyInstrumentor()
    instrumentor.instrument(recorder=recorder)
    yield instrumentor
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


Make = Callable[..., AsyncEngine]


@pytest.fixture
async def engine_of(database_url: str) -> AsyncIterator[Make]:
    """Makes asynchronous engines, and disposes of them."""
    made: list[AsyncEngine] = []

    def make(**options: Any) -> AsyncEngine:
        made.append(create_async_engine(dialect_url(database_url), **options))
        return made[-1]

    yield make
    for engine in made:
        await engine.dispose()
    made.clear()


def dialect_url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+asyncpg://")


def gauges(recorder: Recorder, name: str | None = None) -> dict[str, float]:
    """What is said of pools: of that name, or of the only one."""
    found: dict[str, float] = {}
    for state in recorder.collect():
        if name in (None, state.values[0] if state.values else None):
            if state.meter is meters.DB_CLIENT_CONNECTION_COUNT:
                assert str(state.values[1]) not in found, "pools of one name, or a name was asked for"
                found[str(state.values[1])] = state.sum
            elif state.meter is meters.DB_CLIENT_CONNECTION_MAX:
                found["max"] = state.sum
            elif state.meter is meters.DB_CLIENT_CONNECTION_PENDING_REQUESTS:
                found["pending"] = state.sum
    return found


def states(recorder: Recorder, meter: meters.Meter) -> list[State]:
    return [state for state in recorder.collect() if state.meter is meter and (state.count or state.sum)]


def waits(recorder: Recorder) -> int:
    """How many connections were acquired, of all pools together."""
    return sum(state.count for state in states(recorder, meters.DB_CLIENT_CONNECTION_WAIT_TIME))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - nobody tells when
            await asyncio.sleep(0.01)


async def test_waiting_for_a_connection_of_an_asynchronous_engine_is_measured(
    instrumented: SQLAlchemyInstrumentor, recorder: Recorder, engine_of: Make, database_url: str
) -> None:
    engine = engine_of(pool_size=1, max_overflow=1, pool_timeout=PATIENCE)
    first, second = await engine.connect(), await engine.connect()

    async def acquires() -> Any:
        return await engine.connect()

    waiting = asyncio.create_task(acquires())
    await until(lambda: gauges(recorder).get("pending") == 1)
    assert gauges(recorder) == {"idle": 0, "used": 2, "max": 2, "pending": 1}
    await asyncio.sleep(0.05)
    await first.close()
    third = await waiting
    assert gauges(recorder) == {"idle": 0, "used": 2, "max": 2, "pending": 0}
    await second.close()
    await third.close()

    assert gauges(recorder) == {"idle": 1, "used": 0, "max": 2, "pending": 0}, "what is beyond the size is closed"
    [wait] = states(recorder, meters.DB_CLIENT_CONNECTION_WAIT_TIME)
    assert wait.count == 3
    assert wait.max is not None and wait.max >= 0.05
    assert states(recorder, meters.DB_CLIENT_CONNECTION_TIMEOUTS) == []
    assert wait.values == (database_url.rpartition("@")[2].removeprefix("postgresql://"),)


async def test_a_pool_that_has_none_left_in_time_is_counted_and_fails_as_it_would(
    instrumented: SQLAlchemyInstrumentor, recorder: Recorder, engine_of: Make
) -> None:
    engine = engine_of(pool_size=1, max_overflow=0, pool_timeout=0.05)
    async with engine.connect():
        with pytest.raises(PoolTimeout, match="QueuePool limit of size 1 overflow 0 reached"):
            await engine.connect()

    [timeouts] = states(recorder, meters.DB_CLIENT_CONNECTION_TIMEOUTS)
    assert timeouts.sum == 1
    assert gauges(recorder) == {"idle": 1, "used": 0, "max": 1, "pending": 0}


async def test_who_gives_up_waiting_no_longer_waits(
    instrumented: SQLAlchemyInstrumentor, recorder: Recorder, engine_of: Make
) -> None:
    engine = engine_of(pool_size=1, max_overflow=0)
    async with engine.connect():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(engine.connect(), 0.05)

    assert gauges(recorder)["pending"] == 0
    assert states(recorder, meters.DB_CLIENT_CONNECTION_TIMEOUTS) == [], "the service's patience, not the pool's"


async def test_a_server_that_is_away_is_no_timeout_of_the_pool(
    instrumented: SQLAlchemyInstrumentor, recorder: Recorder
) -> None:
    engine = create_async_engine("postgresql+asyncpg://user:hunter2@127.0.0.1:1/shop")
    with pytest.raises(OSError):
        await engine.connect()

    assert states(recorder, meters.DB_CLIENT_CONNECTION_TIMEOUTS) == []
    assert gauges(recorder, "127.0.0.1:1/shop") == {"idle": 0, "used": 0, "max": 15, "pending": 0}
    await engine.dispose()


async def test_a_pool_that_keeps_nothing_shows_what_is_used(
    instrumented: SQLAlchemyInstrumentor, recorder: Recorder, engine_of: Make
) -> None:
    engine = engine_of(poolclass=NullPool)
    async with engine.connect(), engine.connect() as second:
        assert gauges(recorder) == {"idle": 0, "used": 2, "pending": 0}
        await second.invalidate()
        assert gauges(recorder) == {"idle": 0, "used": 1, "pending": 0}

    assert gauges(recorder) == {"idle": 0, "used": 0, "pending": 0}
    assert waits(recorder) == 2


async def test_a_pool_of_one_connection_for_all(
    instrumented: SQLAlchemyInstrumentor, recorder: Recorder, engine_of: Make
) -> None:
    engine = engine_of(poolclass=StaticPool)
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
        assert gauges(recorder) == {"idle": 0, "used": 1, "pending": 0}

    assert gauges(recorder) == {"idle": 1, "used": 0, "pending": 0}


@pytest.mark.parametrize("options", [{"max_overflow": -1}, {"pool_size": 0}])
async def test_a_pool_without_a_limit_has_none(
    instrumented: SQLAlchemyInstrumentor, recorder: Recorder, engine_of: Make, options: dict[str, int]
) -> None:
    engine = engine_of(**options)
    async with engine.connect(), engine.connect():
        assert gauges(recorder) == {"idle": 0, "used": 2, "pending": 0}

    assert gauges(recorder) == {"idle": 2, "used": 0, "pending": 0}


async def test_an_engine_that_was_at_work_before_is_right_at_once(recorder: Recorder, engine_of: Make) -> None:
    engine = engine_of(pool_size=3, max_overflow=0)
    async with engine.connect(), engine.connect():
        pass
    async with engine.connect():
        instrumentor = SQLAlchemyInstrumentor()
        instrumentor.instrument(recorder=recorder)
        try:
            async with engine.connect():
                assert gauges(recorder) == {"idle": 0, "used": 2, "max": 3, "pending": 0}
            assert gauges(recorder) == {"idle": 1, "used": 1, "max": 3, "pending": 0}
        finally:
            instrumentor.uninstrument()


async def test_engines_of_one_database_are_added_up_and_named_ones_are_told_apart(
    instrumented: SQLAlchemyInstrumentor, recorder: Recorder, engine_of: Make
) -> None:
    first, second = engine_of(pool_size=2, max_overflow=0), engine_of(pool_size=3, max_overflow=0)
    third = engine_of(pool_size=4, max_overflow=0, pool_logging_name="reports")
    async with first.connect(), second.connect(), third.connect():
        shared = gauges(recorder, engine_name(first.sync_engine))
        assert shared == {"idle": 0, "used": 2, "max": 5, "pending": 0}
        assert gauges(recorder, "reports") == {"idle": 0, "used": 1, "max": 4, "pending": 0}


async def test_a_pool_of_asyncpg_and_an_engine_of_the_same_database_are_added_up(
    recorder: Recorder, engine_of: Make, database_url: str
) -> None:
    pools = Pools(recorder)
    instrumentors = AsyncPGInstrumentor(), SQLAlchemyInstrumentor()
    for instrumentor in instrumentors:
        instrumentor.instrument(recorder=recorder, pools=pools)
    try:
        async with asyncpg.create_pool(database_url, min_size=1, max_size=7) as pool:
            engine = engine_of(pool_size=2, max_overflow=1)
            async with pool.acquire(), engine.connect():
                assert gauges(recorder) == {"idle": 0, "used": 2, "max": 10, "pending": 0}
        assert gauges(recorder) == {"idle": 1, "used": 0, "max": 3, "pending": 0}
    finally:
        for instrumentor in instrumentors:
            instrumentor.uninstrument()


async def test_what_was_disposed_of_is_gone_and_the_engine_goes_on(
    instrumented: SQLAlchemyInstrumentor, recorder: Recorder, engine_of: Make
) -> None:
    engine = engine_of(pool_size=2, max_overflow=0)
    async with engine.connect() as before:
        await engine.dispose()
        assert gauges(recorder) == {}
        async with engine.connect():
            assert gauges(recorder) == {"idle": 0, "used": 1, "max": 2, "pending": 0}
        await before.invalidate()  # what is given back to a pool that was disposed of is never closed

    assert gauges(recorder) == {"idle": 1, "used": 0, "max": 2, "pending": 0}
    assert waits(recorder) == 2


def test_engines_that_are_gone_leave_no_series_and_make_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bookkeeping, "MAX_NAMES", 3)
    clock = Clock()
    opened: list[sqlite3.Connection] = []
    recorder = Recorder(clock=clock)
    instrumentor = SQLAlchemyInstrumentor()
    instrumentor.instrument(recorder=recorder)
    try:
        for tenant in range(10):
            pool = weakref.ref(used_once(f"tenant {tenant}", opened))
            assert gauges(recorder) == {"idle": 1, "used": 0, "max": 15, "pending": 0}
            gc.collect()
            assert pool() is None, "what is known of a pool does not keep it alive"
        assert gauges(recorder) == {}
        assert all(s.values != ("other",) for s in states(recorder, meters.DB_CLIENT_CONNECTION_WAIT_TIME))
        for _ in range(4):
            clock.advance(recorder.idle_seconds + 1)
            recorder.collect()
            recorder.retire()
        assert len(recorder) == 0
    finally:
        instrumentor.uninstrument()
        for connection in opened:
            connection.close()


def used_once(name: str, opened: list[sqlite3.Connection]) -> Any:
    """The pool of an engine that nobody disposed of, all of it garbage but for this reference."""

    def connect() -> sqlite3.Connection:
        opened.append(sqlite3.connect(":memory:", check_same_thread=False))
        return opened[-1]

    engine = create_engine("sqlite://", pool_logging_name=name, poolclass=QueuePool, creator=connect)
    with engine.connect():
        pass
    return engine.pool


def test_nobody_reads_a_password() -> None:
    def name(url: str, **options: Any) -> str:
        return engine_name(create_engine(url, **options))

    assert name("postgresql+asyncpg://user:hunter2@db.internal/shop") == "db.internal:5432/shop"
    assert name("postgresql+asyncpg://user:hunter2@db.internal:6432/shop") == "db.internal:6432/shop"
    assert name("postgresql+asyncpg://user:hunter2@[::1]:6432/shop") == "[::1]:6432/shop"
    assert name("postgresql+asyncpg://user:hunter2@/shop?host=/run/postgresql") == "/run/postgresql/shop"
    assert name("postgresql+asyncpg://user:hunter2@/shop?host=a:1&host=b:2") == "a:1,b:2/shop"
    assert name("postgresql+asyncpg:///shop") == "postgresql/shop"
    assert name("postgresql+asyncpg://") == "postgresql"
    assert name("sqlite://", pool_logging_name="in memory") == "in memory"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[Observed, FastAPI]]:
    """A service whose engine blocks: one connection, handlers in threads."""
    app = FastAPI()
    observed = observe(app)
    instrumentor = SQLAlchemyInstrumentor()
    instrumentor.instrument(recorder=observed.recorder)
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}", pool_size=1, max_overflow=0, pool_timeout=PATIENCE)
    app.state.engine = engine
    yield observed, app
    engine.dispose()
    instrumentor.uninstrument()


async def test_a_request_that_waits_in_a_thread_has_the_wait_in_its_budget(served: tuple[Observed, FastAPI]) -> None:
    observed, app = served
    held = threading.Event()

    @app.get("/holds")
    def holds() -> None:
        with app.state.engine.connect():
            held.wait(PATIENCE)

    @app.get("/waits")
    def waits_for_it() -> Any:
        with app.state.engine.connect() as connection:
            return connection.execute(text("SELECT 7")).scalar_one()

    holding = asyncio.create_task(get(observed.app, "/holds"))
    await until(lambda: gauges(observed.recorder).get("used") == 1)
    waiting = asyncio.create_task(get(observed.app, "/waits"))
    await until(lambda: gauges(observed.recorder).get("pending") == 1)
    await asyncio.sleep(0.1)
    held.set()
    assert ((await holding).status, (await waiting).body) == (200, b"7")

    spent = {s.values[1:3]: s.sum for s in observed.recorder.collect() if s.meter is meters.HTTP_SERVER_BUDGET}
    assert spent["/waits", "pool_wait"] >= 0.1
    assert spent["/waits", "own_code"] < spent["/waits", "pool_wait"] + 0.1
    [trace] = [trace for trace in observed.traces if trace.root.attributes["http.route"] == "/waits"]
    [span] = [span for span in trace.spans if span.name == "acquire connection"]
    assert str(span.attributes["db.client.connection.pool.name"]).endswith("shop.db")


async def test_connecting_is_part_of_the_wait_and_its_statements_are_not(engine_of: Make) -> None:
    app = FastAPI()
    observed = observe(app)
    instrumentors = AsyncPGInstrumentor(), SQLAlchemyInstrumentor()
    for instrumentor in instrumentors:
        instrumentor.instrument(recorder=observed.recorder)
    engine = engine_of()

    @app.get("/")
    async def handler() -> None:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT pg_sleep(0.1)"))

    try:
        assert (await get(observed.app, "/")).status == 200
    finally:
        for instrumentor in instrumentors:
            instrumentor.uninstrument()
    spent: Counter[str] = Counter()
    for state in observed.recorder.collect():
        if state.meter is meters.HTTP_SERVER_BUDGET:
            spent[str(state.values[2])] += state.sum
    assert spent["postgresql"] >= 0.1
    assert spent["pool_wait"] > 0
    assert sum(spent.values()) == pytest.approx(sum(observed.seconds()))


async def test_own_work_is_not_observed(
    instrumented: SQLAlchemyInstrumentor, recorder: Recorder, engine_of: Make
) -> None:
    engine = engine_of()
    with guard.as_own_work():
        async with engine.connect():
            pass

    assert gauges(recorder) == {}
    assert waits(recorder) == 0


async def test_uninstrumenting_leaves_sqlalchemy_as_it_was(recorder: Recorder, engine_of: Make) -> None:
    before = vars(Engine)["raw_connection"]
    engine = engine_of(pool_size=1, max_overflow=0)
    held = sorted(vars(engine.sync_engine.pool))
    instrumentor = SQLAlchemyInstrumentor()
    instrumentor.instrument(recorder=recorder)
    assert vars(Engine)["raw_connection"] is not before
    async with engine.connect():
        instrumentor.uninstrument()
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1

    assert vars(Engine)["raw_connection"] is before
    assert sorted(vars(engine.sync_engine.pool)) == held
    assert waits(recorder) == 1
    assert gauges(recorder) == {}


BROKEN = [
    (instrumentation.EnginePool, "__init__"),
    (instrumentation.EnginePool, "acquired"),
    (instrumentation.EnginePool, "address"),
    (instrumentation.EnginePool, "numbers"),
    (instrumentation.EnginePools, "_know"),
    (Pools, "ended"),
]


@pytest.mark.parametrize(("owner", "name"), BROKEN, ids=lambda value: getattr(value, "__name__", value))
async def test_an_error_of_ours_never_reaches_the_application(
    instrumented: SQLAlchemyInstrumentor,
    recorder: Recorder,
    engine_of: Make,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
) -> None:
    monkeypatch.setattr(guard, "strict", False)
    monkeypatch.setattr(guard, "errors", Counter())

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("ours")

    monkeypatch.setattr(owner, name, broken)
    engine = engine_of(pool_size=1, max_overflow=0, pool_timeout=0.05)
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
        with pytest.raises(PoolTimeout):
            await engine.connect()
    recorder.collect()

    assert guard.errors.total() > 0


@pytest.fixture
def shop(store_url: str) -> Iterator[FastAPI]:
    """A service whose engine is made before it is observed, as in most."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)
    engine = create_async_engine(dialect_url(store_url), pool_size=1, max_overflow=0, pool_timeout=0.05)

    @app.get("/twice")
    async def twice() -> None:
        async with engine.connect(), engine.connect():
            raise AssertionError("there is one connection")

    @app.exception_handler(PoolTimeout)
    async def busy(request: Request, error: Exception) -> Response:
        return Response("busy", 503)

    before = vars(Engine)["raw_connection"]
    settings = Settings(service_name="shop", app_database_url=store_url, flush_interval=1)
    watchglass.observe(app, settings, authorize=lambda request: "viewer")
    yield app
    watchglass.unobserve(app)
    assert vars(Engine)["raw_connection"] is before


async def test_a_service_that_times_out_at_its_pool_says_so(shop: FastAPI, serve: Callable[..., str]) -> None:
    async with httpx.AsyncClient(base_url=serve(shop), timeout=PATIENCE) as client:
        assert (await client.get("/twice")).status_code == 503
        exposed = (await client.get("/metrics")).text
        house = wiring.house()
        assert house is not None
        house.pipeline.flush_now()
        [pool] = (await client.get("/performance/database/pool")).json()["pools"]
    for line in (
        r"db_client_connection_timeouts_total\{.*\} 1.0",
        r'db_client_connections\{.*_state="idle"\} 1.0',
        r"db_client_connection_max\{.*\} 1.0",
        r"db_client_connection_wait_time_seconds_count\{.*\} 1.0",
        r'watchglass_http_server_budget_seconds_total\{.*component="pool_wait".*\} 0.\d+',
    ):
        assert re.search(f"^{line}$", exposed, re.MULTILINE), line
    assert (pool["idle"], pool["used"], pool["max"], pool["waiting"], pool["timeouts"]) == (1, 0, 1, 0, 1)


LATER = """
import sys
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from watchglass.meters import DB_CLIENT_CONNECTION_WAIT_TIME

recorder = Recorder()
SQLAlchemyInstrumentor().instrument(recorder=recorder)
recorder.collect()
assert "sqlalchemy" not in sys.modules, "the service has not asked for it"

from sqlalchemy import create_engine
engine = create_engine("sqlite:///" + sys.argv[1])
recorder.collect()
engine.connect().close()
engine.dispose()
[wait] = [state for state in recorder.collect() if state.meter is DB_CLIENT_CONNECTION_WAIT_TIME]
print(wait.count)
"""


def test_an_engine_is_met_wherever_the_service_imports_sqlalchemy(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", LATER, str(tmp_path / "shop.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.stderr) == ("1\n", "")
