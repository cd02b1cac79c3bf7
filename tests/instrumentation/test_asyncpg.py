"""asyncpg against a real PostgreSQL: one operation for each statement that the application sends, and nothing else."""

from __future__ import annotations

import asyncio
import gc
import io
import time
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import asyncpg.pool
import asyncpg.protocol
import asyncpg.utils
import pytest

from watchglass import guard
from watchglass.instrumentation import asyncpg as instrumentation
from watchglass.instrumentation.asyncpg import AsyncPGInstrumentor, ObservedDatabase, observed_databases
from watchglass.instrumentation.operations import Operation
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.request import (
    Request,
    new_span_id,
    new_trace_id,
    reset_current_request,
    set_current_request,
)
from watchglass.instrumentation.slow_captures import SlowCaptures
from watchglass.meters import (
    DB_CLIENT_CONNECTION_COUNT,
    DB_CLIENT_CONNECTION_MAX,
    DB_CLIENT_CONNECTION_PENDING_REQUESTS,
    DB_CLIENT_CONNECTION_TIMEOUTS,
    DB_CLIENT_CONNECTION_WAIT_TIME,
    DB_CLIENT_OPERATION_DURATION,
)
from watchglass.records import State


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def instrumented(recorder: Recorder, database_url: str) -> Iterator[AsyncPGInstrumentor]:
    instrumentor = AsyncPGInstrumentor()
    instrumentor.instrument(recorder=recorder)
    yield instrumentor
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


@pytest.fixture
async def connection(instrumented: AsyncPGInstrumentor, database_url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database_url)
    with guard.as_own_work():
        await connection.execute("CREATE TABLE documents (id int PRIMARY KEY, title text)")
        await connection.execute("INSERT INTO documents SELECT n, 'title ' || n FROM generate_series(1, 200) n")
    yield connection
    await connection.close()


@pytest.fixture
async def request_here() -> AsyncIterator[Request]:
    request = Request(new_trace_id(), new_span_id(), None, True, time.perf_counter(), "GET")
    token = set_current_request(request)
    yield request
    reset_current_request(token)


def operations(recorder: Recorder) -> dict[str, int]:
    """How many operations there were of each summary, and `summary!error` for those that failed."""
    counts: Counter[str] = Counter()
    for state in recorder.collect():
        if state.meter is DB_CLIENT_OPERATION_DURATION and state.count:
            system, _, summary, _, _, error = state.values
            assert system == "postgresql"
            counts[f"{summary}!{error}" if error else str(summary)] += state.count
    return dict(counts)


def states(recorder: Recorder, meter: Any) -> list[State]:
    return [state for state in recorder.collect() if state.meter is meter]


async def test_every_spelling_of_a_query_is_one_operation(connection: Any, recorder: Recorder) -> None:
    query = "SELECT id, title FROM documents WHERE id = $1"

    assert len(await connection.fetch(query, 1)) == 1
    assert len(await connection.fetch(query=query.replace("$1", "2"))) == 1
    assert (await connection.fetchrow(query, 1))["id"] == 1
    assert await connection.fetchval(query, 1, column=1) == "title 1"
    assert await connection.execute(query, 1) == "SELECT 1"
    assert await connection.execute("SELECT id FROM documents WHERE id = 7") == "SELECT 1"
    assert await connection.fetch(query, 1, timeout=5, record_class=asyncpg.Record)

    assert operations(recorder) == {"SELECT documents": 7}
    texts = {state.values[3]: state.count for state in states(recorder, DB_CLIENT_OPERATION_DURATION) if state.count}
    assert texts == {
        "SELECT id, title FROM documents WHERE id = $1": 5,
        "SELECT id, title FROM documents WHERE id = ?": 1,
        "SELECT id FROM documents WHERE id = ?": 1,
    }


async def test_many_rows_of_parameters_are_one_operation(connection: Any, recorder: Recorder) -> None:
    await connection.executemany("INSERT INTO documents VALUES ($1, $2)", [(n, "x") for n in range(1_000, 1_100)])
    if hasattr(connection, "fetchmany"):  # from asyncpg 0.30 on
        await connection.fetchmany("DELETE FROM documents WHERE id = $1 RETURNING id", [(1,), (2,)])

    assert operations(recorder) in ({"INSERT documents": 1, "DELETE documents": 1}, {"INSERT documents": 1})


async def test_preparing_is_an_operation_and_so_is_each_execution(connection: Any, recorder: Recorder) -> None:
    statement = await connection.prepare("SELECT title FROM documents WHERE id = $1")
    for n in (1, 2, 3):
        assert await statement.fetchval(n) == f"title {n}"
    await statement.executemany([(1,), (2,)])

    assert operations(recorder) == {"PREPARE SELECT documents": 1, "SELECT documents": 4}


async def test_the_look_up_of_types_belongs_to_the_statement(connection: Any, recorder: Recorder) -> None:
    await connection.execute("CREATE TYPE mood AS ENUM ('good', 'bad')")
    await connection.execute("CREATE TYPE pair AS (a int, b mood)")
    before = time.perf_counter()
    assert await connection.fetchval("SELECT ROW(1, 'good')::pair") == (1, "good")
    elapsed = time.perf_counter() - before
    await connection.set_type_codec("mood", encoder=str, decoder=str.upper)
    assert await connection.fetchval("SELECT 'good'::mood") == "GOOD"

    assert operations(recorder) == {"CREATE TYPE mood": 1, "CREATE TYPE pair": 1, "SELECT": 2}
    with_types = [s for s in states(recorder, DB_CLIENT_OPERATION_DURATION) if s.values[3] == "SELECT ROW(?, ?)::pair"]
    assert with_types[0].sum > elapsed / 2


async def test_a_cursor_is_one_operation_however_it_is_read(
    connection: Any, recorder: Recorder, request_here: Request
) -> None:
    async with connection.transaction():
        rows = [row async for row in connection.cursor("SELECT * FROM documents", prefetch=10)]
    assert len(rows) == 200
    assert operations(recorder) == {"BEGIN": 1, "SELECT documents": 1, "COMMIT": 1}

    async with connection.transaction():
        cursor = await connection.cursor("SELECT title FROM documents")
        for _ in range(20):
            await cursor.fetchrow()
        assert await cursor.forward(5) == 5
        assert len(await cursor.fetch(10)) == 10
        await asyncio.sleep(0.2)
        assert operations(recorder)["SELECT documents"] == 1  # still open
    assert operations(recorder) == {"BEGIN": 2, "SELECT documents": 2, "COMMIT": 2}

    assert [child.name for child in request_here.children if child.name != "COMMIT"][:4:2] == ["BEGIN", "BEGIN"]
    spans = [child for child in request_here.children if child.name == "SELECT documents"]
    open_cursor = next(s for s in states(recorder, DB_CLIENT_OPERATION_DURATION) if "title" in str(s.values[3]))
    assert open_cursor.sum < 0.2, "the application's own time between fetches is not the database's"
    assert len(spans) == 2


async def test_an_abandoned_cursor_is_counted_with_its_transaction(connection: Any, recorder: Recorder) -> None:
    transaction = connection.transaction()
    await transaction.start()
    async for _ in connection.cursor("SELECT * FROM documents", prefetch=5):
        break
    statement = await connection.prepare("SELECT title FROM documents")
    await (await statement.cursor()).fetch(3)
    await transaction.rollback()

    assert operations(recorder) == {
        "BEGIN": 1,
        "SELECT documents": 2,
        "PREPARE SELECT documents": 1,
        "ROLLBACK": 1,
    }


async def test_copy_is_one_operation(connection: Any, recorder: Recorder) -> None:
    out = io.BytesIO()
    await connection.copy_from_table("documents", output=out)
    await connection.copy_from_query("SELECT * FROM documents WHERE id < $1", 10, output=io.BytesIO())
    await connection.execute("DELETE FROM documents")
    out.seek(0)
    await connection.copy_to_table("documents", source=out)
    await connection.copy_records_to_table("documents", records=[(1_000, "a"), (1_001, "b")])

    assert await connection.fetchval("SELECT count(*) FROM documents") == 202
    counted = operations(recorder)
    assert counted.pop('COPY "documents"') == 3
    assert counted == {"COPY SELECT documents": 1, "DELETE documents": 1, "SELECT documents": 1}


async def test_transactions_and_savepoints(connection: Any, recorder: Recorder) -> None:
    for _ in range(2):
        async with connection.transaction(isolation="serializable"):
            async with connection.transaction():
                await connection.execute("DELETE FROM documents WHERE id = 1")
            with pytest.raises(ZeroDivisionError):
                async with connection.transaction():
                    raise ZeroDivisionError

    assert operations(recorder) == {
        "BEGIN": 2,
        "SAVEPOINT": 4,
        "DELETE documents": 2,
        "RELEASE SAVEPOINT": 2,
        "ROLLBACK TO": 2,
        "COMMIT": 2,
    }


async def test_errors_have_their_sqlstate(connection: Any, recorder: Recorder, request_here: Request) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        await connection.fetch("SELECT * FROM nowhere")
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute("INSERT INTO documents VALUES ($1)", 1)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await connection.execute("SELECT 1 / 0")
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await connection.prepare("SELEC 1")
    with pytest.raises(asyncpg.DataError):
        await connection.fetch("SELECT $1::int", "text")

    assert operations(recorder) == {
        "SELECT nowhere!42P01": 1,
        "INSERT documents!23505": 1,
        "SELECT!22012": 1,
        "PREPARE OTHER!42601": 1,
        "SELECT!22000": 1,
    }
    assert [child.error for child in request_here.children] == ["42P01", "23505", "22012", "42601", "22000"]


async def test_cancellation_and_timeouts_are_errors(connection: Any, recorder: Recorder) -> None:
    with pytest.raises(TimeoutError):
        await connection.fetch("SELECT pg_sleep(5)", timeout=0.05)
    task = asyncio.create_task(connection.execute("SELECT pg_sleep(6)"))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await connection.fetchval("SELECT 1") == 1

    assert operations(recorder) == {"SELECT!TimeoutError": 1, "SELECT!CancelledError": 1, "SELECT": 1}


async def test_a_lost_connection_is_an_error(connection: Any, recorder: Recorder, database_url: str) -> None:
    transaction = connection.transaction()
    await transaction.start()
    await (await connection.cursor("SELECT * FROM documents")).fetch(1)
    sleeping = asyncio.create_task(connection.fetch("SELECT pg_sleep(7)"))
    await asyncio.sleep(0.1)
    with guard.as_own_work():
        other = await asyncpg.connect(database_url)
        await other.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
        await other.close()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)) as caught:
        await sleeping

    error = getattr(caught.value, "sqlstate", None) or type(caught.value).__qualname__
    assert operations(recorder) == {"BEGIN": 1, "SELECT documents": 1, f"SELECT!{error}": 1}


async def test_spans_are_children_of_the_request_and_say_what_was_asked(
    connection: Any, recorder: Recorder, request_here: Request
) -> None:
    started = recorder.clock()
    await connection.fetch("SELECT pg_sleep($1), 'secret' AS x", 0.05)

    (child,) = request_here.children
    assert child.name == "SELECT"
    assert started <= child.start <= child.end - 0.05
    assert child.end <= recorder.clock()
    assert child.error is None
    assert child.attributes == {
        "db.system.name": "postgresql",
        "db.operation.name": "SELECT",
        "db.query.summary": "SELECT",
        "db.query.text": "SELECT pg_sleep($1), ? AS x",
    }


async def test_durations_are_those_of_the_statement(connection: Any, recorder: Recorder) -> None:
    await connection.execute("SELECT pg_sleep(0.1)")

    (state,) = (s for s in states(recorder, DB_CLIENT_OPERATION_DURATION) if s.count)
    assert 0.1 <= state.sum < 0.5


async def test_parameters_are_kept_only_when_asked_and_without_secrets(database_url: str, recorder: Recorder) -> None:
    instrumentor = AsyncPGInstrumentor(capture_parameters=True)
    instrumentor.instrument(recorder=recorder)
    request = Request(1, 2, None, True, recorder.clock(), "GET")
    token = set_current_request(request)
    try:
        connection = await asyncpg.connect(database_url)
        await connection.fetch("SELECT $1::text, $2::int", "password=hunter2", 7)
        await connection.close()
    finally:
        reset_current_request(token)
        instrumentor.uninstrument()
        AsyncPGInstrumentor()

    assert request.children[0].attributes["db.query.parameter.0"] == "password=[redacted]"
    assert request.children[0].attributes["db.query.parameter.1"] == 7


async def test_own_work_is_not_observed(connection: Any, recorder: Recorder, request_here: Request) -> None:
    with guard.as_own_work():
        await connection.fetch("SELECT 1")
        statement = await connection.prepare("SELECT 2")
        await statement.fetch()

    assert operations(recorder) == {}
    assert request_here.children == []


async def test_query_loggers_of_the_application_hear_what_they_always_heard(
    connection: Any, recorder: Recorder
) -> None:
    heard: list[str] = []
    with connection.query_logger(lambda logged: heard.append(logged.query)):
        await connection.fetch("SELECT $1::int", 1)
        await connection.execute("SELECT 2")
        await connection.executemany("SELECT $1::int", [(1,)])
        await asyncio.sleep(0.01)

    assert heard == ["SELECT $1::int", "SELECT 2", "SELECT $1::int"]
    assert operations(recorder) == {"SELECT": 3}


async def test_the_reset_of_a_pool_is_no_operation(
    instrumented: AsyncPGInstrumentor, recorder: Recorder, database_url: str
) -> None:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=2) as pool:
        for _ in range(3):
            await pool.fetch("SELECT 1")
        async with pool.acquire() as connection:
            await connection.execute("SELECT 2")

    assert operations(recorder) == {"SELECT": 4}


async def test_acquiring_from_a_pool_is_measured(
    instrumented: AsyncPGInstrumentor, recorder: Recorder, database_url: str, request_here: Request
) -> None:
    pool = await asyncpg.create_pool(database_url, min_size=1, max_size=2)
    first, second = await pool.acquire(), await pool.acquire()
    waiting = asyncio.ensure_future(pool.acquire(timeout=5))
    with pytest.raises(TimeoutError):
        await pool.acquire(timeout=0.05)
    waited = gauges(recorder)
    await pool.release(first)
    third = await waiting
    served = gauges(recorder)
    await pool.release(second)
    await pool.release(third)
    released = gauges(recorder)
    await pool.close()

    assert waited == {"idle": 0, "used": 2, "max": 2, "pending": 1}
    assert served == {"idle": 0, "used": 2, "max": 2, "pending": 0}
    assert released == {"idle": 2, "used": 0, "max": 2, "pending": 0}
    assert gauges(recorder) == {}, "a closed pool has no connections"
    (wait,) = states(recorder, DB_CLIENT_CONNECTION_WAIT_TIME)
    (timeouts,) = states(recorder, DB_CLIENT_CONNECTION_TIMEOUTS)
    assert wait.count == 3
    assert wait.max is not None and wait.max >= 0.05
    assert timeouts.sum == 1
    host, _, rest = str(wait.values[0]).partition(":")
    assert (host, rest) == ("127.0.0.1", database_url.rpartition(":")[2])
    waits = [child for child in request_here.children if child.name == "acquire connection"]
    assert any(child.error == "TimeoutError" and child.end - child.start >= 0.05 for child in waits)


def gauges(recorder: Recorder) -> dict[str, float]:
    found: dict[str, float] = {}
    for state in recorder.collect():
        if state.meter is DB_CLIENT_CONNECTION_COUNT:
            found[str(state.values[1])] = state.sum
        elif state.meter is DB_CLIENT_CONNECTION_MAX:
            found["max"] = state.sum
        elif state.meter is DB_CLIENT_CONNECTION_PENDING_REQUESTS:
            found["pending"] = state.sum
    return found


async def test_an_abandoned_pool_is_not_kept_alive(
    instrumented: AsyncPGInstrumentor, recorder: Recorder, database_url: str
) -> None:
    pool = await asyncpg.create_pool(database_url, min_size=1, max_size=1, max_inactive_connection_lifetime=0)
    await pool.fetch("SELECT 1")
    queue = weakref.ref(pool._queue)
    assert gauges(recorder)["max"] == 1
    await pool.close()
    del pool
    gc.collect()

    assert queue() is None
    assert gauges(recorder) == {}


async def test_databases_are_remembered_without_their_passwords(connection: Any, database_url: str) -> None:
    (database,) = observed_databases()

    assert database == ObservedDatabase(
        "127.0.0.1", connection._addr[1], database_url.rpartition("/")[2], connection._params.user
    )
    assert "password" not in repr(database)


PATCHED = [
    (asyncpg.protocol, "Protocol"),
    (asyncpg.pool.Pool, "_acquire"),
    (asyncpg.utils, "_mogrify"),
    (asyncpg.Connection, "reset"),
    (asyncpg.Connection, "_introspect_types"),
    (asyncpg.Connection, "_introspect_type"),
    (asyncpg.Connection, "prepare"),
    (asyncpg.Connection, "copy_records_to_table"),
    (asyncpg.Connection, "__init__"),
]


async def test_uninstrumenting_leaves_asyncpg_as_it_was(recorder: Recorder, database_url: str) -> None:
    before = [vars(owner)[name] for owner, name in PATCHED]
    instrumentor = AsyncPGInstrumentor()
    instrumentor.instrument(recorder=recorder)
    assert sum(vars(owner)[name] is not was for (owner, name), was in zip(PATCHED, before, strict=True)) == 8
    connection = await asyncpg.connect(database_url)
    pool = await asyncpg.create_pool(database_url, min_size=1, max_size=1)
    await pool.fetch("SELECT 1")

    instrumentor.uninstrument()

    assert [vars(owner)[name] for owner, name in PATCHED] == before
    assert not [name for name in vars(pool._queue) if "watchglass" in name]
    assert await connection.fetchval("SELECT 1") == 1
    assert await pool.fetchval("SELECT 1") == 1
    await connection.close()
    await pool.close()
    assert operations(recorder) == {"SELECT": 1}
    assert observed_databases() == ()


async def test_connections_outlive_instrumentation_and_are_observed_by_the_next(database_url: str) -> None:
    first, second = Recorder(), Recorder()
    instrumentor = AsyncPGInstrumentor()
    instrumentor.instrument(recorder=first)
    connection = await asyncpg.connect(database_url)
    await connection.fetch("SELECT 1")
    instrumentor.uninstrument()
    await connection.fetch("SELECT 1")
    instrumentor.instrument(recorder=second)
    await connection.fetch("SELECT 1")
    instrumentor.uninstrument()
    await connection.close()

    assert operations(first) == operations(second) == {"SELECT": 1}


async def test_pools_that_were_open_before_are_heard_by_their_query_loggers(
    recorder: Recorder, database_url: str
) -> None:
    pool = await asyncpg.create_pool(database_url, min_size=1, max_size=1)
    instrumentor = AsyncPGInstrumentor()
    instrumentor.instrument(recorder=recorder)
    await pool.fetch("SELECT 1")
    with pytest.raises(asyncpg.UndefinedTableError):
        await pool.execute("DELETE FROM nowhere")
    await asyncio.sleep(0.01)
    async with pool.acquire() as connection:
        raw = connection._con
    instrumentor.uninstrument()
    await pool.fetch("SELECT 1")
    await asyncio.sleep(0.01)

    assert operations(recorder) == {"SELECT": 1, "DELETE nowhere!42P01": 1}
    assert not raw._query_loggers
    await pool.close()


async def test_where_the_protocol_cannot_be_watched_query_loggers_are_used(
    recorder: Recorder, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instrumentation, "WATCHED", ((99, 0), (100, 0)))
    initialise = asyncpg.Connection.__init__
    instrumentor = AsyncPGInstrumentor()
    instrumentor.instrument(recorder=recorder)
    assert asyncpg.protocol.Protocol is asyncpg.protocol.protocol.Protocol
    connection = await asyncpg.connect(database_url)
    pool = await asyncpg.create_pool(database_url, min_size=1, max_size=1)
    await connection.execute("CREATE TYPE mood AS ENUM ('good')")
    await connection.fetch("SELECT 'good'::mood")
    await pool.fetch("SELECT 1")
    with guard.as_own_work():
        await connection.fetch("SELECT 1")
    await asyncio.sleep(0.01)
    instrumentor.uninstrument()
    await connection.fetch("SELECT 1")
    await asyncio.sleep(0.01)
    await connection.close()
    await pool.close()

    assert operations(recorder) == {"CREATE TYPE mood": 1, "SELECT": 2}
    assert asyncpg.Connection.__init__ is initialise


async def test_an_error_of_ours_never_reaches_the_application(
    connection: Any, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "strict", False)
    monkeypatch.setattr(guard, "errors", Counter())

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("ours")

    for owner, name in (
        (Operation, "ended"),
        (instrumentation.AsyncPGObserver, "operation"),
        (Recorder, "histogram"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, broken)
            assert await connection.fetchval("SELECT 1 + 1") == 2
            assert await connection.execute(f"SELECT 2 AS {name}") == "SELECT 1"
            with pytest.raises(asyncpg.UndefinedTableError):
                await connection.fetch("SELECT * FROM nowhere")
    assert sum(guard.errors.values()) >= 6


async def test_two_statements_at_once_are_refused_by_asyncpg_as_ever(connection: Any, recorder: Recorder) -> None:
    results = await asyncio.gather(
        connection.fetchval("SELECT pg_sleep(0.05)"), connection.fetchval("SELECT 3"), return_exceptions=True
    )

    assert isinstance(results[1], asyncpg.InterfaceError)
    assert operations(recorder) == {"SELECT": 1}, "the refused one never left the process"


async def test_a_slow_statement_is_captured_with_the_path_by_which_its_session_found_names(
    recorder: Recorder, database_url: str
) -> None:
    """PostgreSQL tells it since 18; before, it is known where it was asked for when the connection was opened."""
    captures, instrumentor = SlowCaptures(0.0), AsyncPGInstrumentor()
    instrumentor.instrument(recorder=recorder, captures=captures)
    try:
        plain = await asyncpg.connect(database_url)
        tenant = await asyncpg.connect(database_url, server_settings={"search_path": "tenant_7, public"})
        known = plain.get_server_version().major >= 18
        await plain.fetch("SELECT 1 AS a")
        await tenant.fetchval("SELECT 2 AS b")
        await tenant.execute("SELECT 3 AS c")
        await tenant.execute("SET search_path = tenant_8")
        await tenant.fetch("SELECT $1::int", 4)
        await plain.close()
        await tenant.close()
    finally:
        instrumentor.uninstrument()
    assert {one.text: one.search_path for one in captures.take() if one.text.startswith("SELECT")} == {
        "SELECT 1 AS a": '"$user", public' if known else None,
        "SELECT 2 AS b": "tenant_7, public",
        "SELECT 3 AS c": "tenant_7, public",
        "SELECT $1::int": "tenant_8" if known else "tenant_7, public",
    }
