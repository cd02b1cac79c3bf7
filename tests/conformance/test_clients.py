"""The table of statements and commands: in every mode each is measured once, and has one span, ours or contrib's."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest
import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.cluster
from fastapi import FastAPI
from opentelemetry.trace import SpanKind
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from conformance.modes import OLD_CONTRIB, Contrib, Mode, Started
from support.asgi import Observed, get, observe
from support.cluster import cluster_of_one
from watchglass import guard
from watchglass.instrumentation.asyncpg import AsyncPGInstrumentor
from watchglass.instrumentation.caches import CacheTypes
from watchglass.instrumentation.pools import Pools
from watchglass.instrumentation.redis import RedisInstrumentor
from watchglass.instrumentation.redis_observer import RedisObserver
from watchglass.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from watchglass.meters import CACHE_LOOKUPS, DB_CLIENT_OPERATION_DURATION

ITEM = "SELECT title FROM documents WHERE id = $1"
SLOW = "SELECT pg_sleep(5)"


@dataclass(frozen=True)
class Row:
    """What an application does, what is measured of it, and how many spans contrib makes of it: by our setting, and by
    the host's own instrumentation if that is another number, for it has one for a row and for a pool's reset."""

    name: str
    work: Callable[[Any], Awaitable[Any]]
    measured: dict[str, int]
    contrib: int
    hits: dict[tuple[str, str], int] = field(default_factory=dict)
    by_host: int | None = None


@contextlib.asynccontextmanager
async def connection(url: str) -> AsyncIterator[Any]:
    connected = await asyncpg.connect(url)
    try:
        yield connected
    finally:
        await connected.close()


def on_connection(work: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    async def whole(url: str) -> None:
        async with connection(url) as connected:
            await work(connected)

    return whole


def on_pool(work: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    async def whole(url: str) -> None:
        async with asyncpg.create_pool(url, min_size=1, max_size=2) as pool:
            await work(pool)

    return whole


async def prepared(connected: Any) -> None:
    statement = await connected.prepare(ITEM)
    await statement.fetch(1)
    await statement.fetchval(2)


async def cursor(connected: Any) -> None:
    async with connected.transaction():
        assert [r async for r in connected.cursor("SELECT id FROM documents", prefetch=2)] != []


async def prepared_in_other_ways(connected: Any) -> None:
    statement = await connected.prepare("SELECT id FROM documents WHERE id > $1")
    await statement.fetchrow(1)
    await statement.executemany([(1,), (2,)])
    async with connected.transaction():
        assert [row["id"] async for row in statement.cursor(0, prefetch=2)] != []


async def fetchmany(connected: Any) -> None:
    many = getattr(connected, "fetchmany", connected.executemany)  # from asyncpg 0.30 on
    await many("DELETE FROM documents WHERE id = $1 RETURNING id", [(1,), (2,)])


async def copy_out_of_a_query(connected: Any) -> None:
    await connected.copy_from_query("SELECT id FROM documents WHERE id = $1", 1, output=io.BytesIO())


async def copy_into_a_table(connected: Any) -> None:
    await connected.copy_to_table("documents", source=io.BytesIO(b"8\teight\n"))


async def is_refused(connected: Any) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        await connected.fetch("SELECT * FROM nothing")


async def waits_too_long(pool: Any) -> None:
    async with pool.acquire(), pool.acquire():
        with pytest.raises(asyncio.TimeoutError):
            await pool.acquire(timeout=0.05)
    await pool.fetchval(ITEM, 1)


async def savepoint(connected: Any) -> None:
    async with connected.transaction():
        with contextlib.suppress(asyncpg.DivisionByZeroError):
            async with connected.transaction():
                await connected.execute("SELECT 1/0")


async def times_out(connected: Any) -> None:
    with pytest.raises(asyncio.TimeoutError):
        await connected.fetch(SLOW, timeout=0.05)


async def is_cancelled(connected: Any) -> None:
    task = asyncio.create_task(connected.fetch(SLOW))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def acquires(pool: Any) -> None:
    for _ in range(2):
        async with pool.acquire() as connected:
            await connected.fetchval(ITEM, 1)


async def at_once(pool: Any) -> None:
    await asyncio.gather(*(pool.fetchval(ITEM, number) for number in (1, 2, 3)))


async def listens_to_queries(connected: Any) -> None:
    heard: list[str] = []
    connected.add_query_logger(lambda record: heard.append(record.query))
    await connected.fetch(ITEM, 1)
    await asyncio.sleep(0.01)  # asyncpg calls them soon, not at once
    assert heard == [ITEM]


def statement(
    name: str, work: Any, measured: dict[str, int], contrib: int, on: Any = on_connection, by_host: int | None = None
) -> Row:
    return Row(name, on(work), measured, contrib, by_host=by_host)


SELECT = "SELECT documents"
SQL = [
    statement("fetch", lambda c: c.fetch(ITEM, 1), {SELECT: 1}, 1),
    statement("fetch by keyword", lambda c: c.fetch(query="SELECT id FROM documents"), {SELECT: 1}, 1),
    statement("fetchrow", lambda c: c.fetchrow(ITEM, 1), {SELECT: 1}, 1),
    statement("fetchval by keyword", lambda c: c.fetchval(query="SELECT id FROM documents", column=0), {SELECT: 1}, 1),
    statement("execute", lambda c: c.execute("DELETE FROM documents WHERE id = 3"), {"DELETE documents": 1}, 1),
    statement("execute with arguments", lambda c: c.execute(ITEM, 1), {SELECT: 1}, 1),
    statement("executemany", lambda c: c.executemany(ITEM, args=[(1,), (2,)]), {SELECT: 1}, 1),
    statement("fetchrow by keyword", lambda c: c.fetchrow(query="SELECT id FROM documents"), {SELECT: 1}, 1),
    statement("execute by keyword", lambda c: c.execute(query="DELETE FROM documents"), {"DELETE documents": 1}, 1),
    statement("fetchmany", fetchmany, {"DELETE documents": 1}, 0),
    statement("prepared", prepared, {f"PREPARE {SELECT}": 1, SELECT: 2}, 2),
    statement("a cursor", cursor, {"BEGIN": 1, SELECT: 1, "COMMIT": 1}, 5, by_host=8),
    statement(
        "prepared, in other ways",
        prepared_in_other_ways,
        {f"PREPARE {SELECT}": 1, SELECT: 3, "BEGIN": 1, "COMMIT": 1},
        7,
        by_host=10,
    ),
    statement("COPY out of a query", copy_out_of_a_query, {f"COPY {SELECT}": 1}, 1),
    statement("COPY in from a stream", copy_into_a_table, {'COPY "documents"': 1}, 0),
    statement("an error", is_refused, {"SELECT nothing!42P01": 1}, 1),
    statement("COPY out", lambda c: c.copy_from_table("documents", output=io.BytesIO()), {'COPY "documents"': 1}, 0),
    statement(
        "COPY in", lambda c: c.copy_records_to_table("documents", records=[(9, "9")]), {'COPY "documents"': 1}, 0
    ),
    statement(
        "a savepoint", savepoint, {"BEGIN": 1, "SAVEPOINT": 1, "SELECT!22012": 1, "ROLLBACK TO": 1, "COMMIT": 1}, 5
    ),
    statement("a timeout", times_out, {"SELECT!TimeoutError": 1}, 1),
    statement("cancellation", is_cancelled, {"SELECT!CancelledError": 1}, 1),
    statement("a query logger of the application", listens_to_queries, {SELECT: 1}, 1),
    statement("a pool", lambda pool: pool.fetch(ITEM, 1), {SELECT: 1}, 1, on_pool, 2),
    statement("a pool that has none left", waits_too_long, {SELECT: 1}, 1, on_pool, 4),
    statement("acquiring and releasing", acquires, {SELECT: 2}, 2, on_pool, 4),
    statement("concurrently", at_once, {SELECT: 3}, 3, on_pool, 6),
]


def command(name: str, work: Any, measured: dict[str, int], contrib: int, **hits: int) -> Row:
    async def whole(url: str) -> None:
        async with redis.asyncio.Redis.from_url(url) as client:
            await work(client)

    return Row(name, whole, measured, contrib, {tuple(key.split("_")): count for key, count in hits.items()})  # type: ignore[misc]


async def pipeline(client: Any) -> None:
    async with client.pipeline(transaction=False) as pipe:
        await pipe.get("session:1").get("session:none").execute()


async def transaction(client: Any) -> None:
    async with client.pipeline(transaction=True) as pipe:
        await pipe.set("session:2", "2").get("session:2").execute()


async def script(client: Any) -> None:
    with guard.as_own_work():
        await client.script_flush()
    assert await client.register_script("return redis.call('GET', KEYS[1])")(["session:1"]) == b"1"


async def watches(client: Any) -> None:
    async with client.pipeline(transaction=True) as pipe:
        await pipe.watch("session:1")
        await pipe.get("session:1")
        pipe.multi()
        await pipe.set("session:2", "2").execute()


def blocking(work: Callable[[Any], Any]) -> Callable[[Any], Awaitable[Any]]:
    """Work of a client that blocks, in a thread of the request."""

    def whole(client: Any) -> None:
        with redis.Redis(**address_of(client)) as blocks:
            work(blocks)

    return lambda client: asyncio.to_thread(whole, client)


def blocking_pipeline(client: Any) -> None:
    client.pipeline(transaction=False).get("session:1").get("session:none").execute()


def blocking_failure(client: Any) -> None:
    with pytest.raises(redis.ResponseError):
        client.lpush("session:1", "x")


async def publishes(client: Any) -> None:
    async with client.pubsub() as listener:
        await listener.subscribe("news")
        await client.publish("news", "hello")


async def fails(client: Any) -> None:
    with pytest.raises(redis.ResponseError):
        await client.lpush("session:1", "x")


async def retries(client: Any) -> None:
    """The connection is lost while the command waits, and the client sends it again on another."""
    again = {"retry": Retry(NoBackoff(), 2), "retry_on_error": [redis.ConnectionError]}
    async with redis.asyncio.Redis(**address_of(client), **again, single_connection_client=True) as patient:
        with guard.as_own_work():
            number = await patient.client_id()
        waiting = asyncio.create_task(patient.blpop(["queue"], timeout=5))
        await asyncio.sleep(0.05)
        with guard.as_own_work():
            await client.client_kill_filter(_id=number)
            await asyncio.sleep(0.05)
            await client.lpush("queue", "x")
        assert await waiting == (b"queue", b"x")


def address_of(client: Any) -> dict[str, Any]:
    kwargs = client.connection_pool.connection_kwargs
    return {name: kwargs[name] for name in ("host", "port", "path", "db", "password") if name in kwargs}


REDIS = [
    command("GET found", lambda c: c.get("session:1"), {"GET": 1}, 1, session_hit=1),
    command("GET in vain", lambda c: c.get("session:none"), {"GET": 1}, 1, session_miss=1),
    command("MGET", lambda c: c.mget("session:1", "session:none"), {"MGET": 1}, 1, session_hit=1, session_miss=1),
    command("GETEX", lambda c: c.getex("session:1"), {"GETEX": 1}, 1, session_hit=1),
    command("HGET", lambda c: c.hget("page:1", "title"), {"HGET": 1}, 1, page_hit=1),
    command("HMGET", lambda c: c.hmget("page:1", "title", "none"), {"HMGET": 1}, 1, page_hit=1, page_miss=1),
    command("a probe", lambda c: c.exists("session:1"), {"EXISTS": 1}, 1),
    command("another probe", lambda c: c.ttl("session:none"), {"TTL": 1}, 1),
    command("a pipeline", pipeline, {"PIPELINE GET": 1}, 1, session_hit=1, session_miss=1),
    command("a transaction", transaction, {"MULTI SET GET": 1}, 1, session_hit=1),
    command("publishing", publishes, {"PUBLISH": 1}, 1),
    command("a script", lambda c: c.eval("return redis.call('GET', KEYS[1])", 1, "session:1"), {"EVAL": 1}, 1),
    command("a script by its hash", script, {"EVALSHA": 1, "EVALSHA!NoScriptError": 1, "SCRIPT LOAD": 1}, 3),
    command("watching before a transaction", watches, {"WATCH": 1, "GET": 1, "MULTI SET": 1}, 3, session_hit=1),
    command("a client that blocks", blocking(lambda c: c.get("session:1")), {"GET": 1}, 1, session_hit=1),
    command(
        "a pipeline that blocks", blocking(blocking_pipeline), {"PIPELINE GET": 1}, 1, session_hit=1, session_miss=1
    ),
    command("an error in a client that blocks", blocking(blocking_failure), {"LPUSH!ResponseError": 1}, 1),
    command("a retry", retries, {"BLPOP": 1}, 1),
    command("an error", fails, {"LPUSH!ResponseError": 1}, 1),
]


@pytest.fixture(scope="module")
def cluster_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with cluster_of_one(tmp_path_factory.mktemp("cluster")) as port:
        yield port


@pytest.fixture
async def sql(database_url: str) -> str:
    async with connection(database_url) as connected:
        await connected.execute("CREATE TABLE documents (id int PRIMARY KEY, title text)")
        await connected.execute("INSERT INTO documents SELECT n, 'title ' || n FROM generate_series(1, 5) n")
    return database_url


@pytest.fixture
async def cache(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(RedisObserver.__init__, "__defaults__", (CacheTypes(),))
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        await client.delete("session:2", "session:none")
        await client.set("session:1", "1")
        await client.hset("page:1", "title", "t")
    return redis_url


async def done_in_a_request(row: Row, mode: Mode, url: str) -> Observed:
    """The row's work, done by a service in this mode."""
    app = FastAPI()

    @app.get("/work")
    async def work() -> None:
        await row.work(url)

    mode.instrument_clients()
    mode.prepare(app)
    observed = observe(app)
    ours = [AsyncPGInstrumentor(), RedisInstrumentor(), SQLAlchemyInstrumentor()]
    pools = Pools(observed.recorder)
    for instrumentor in ours:
        instrumentor.instrument(recorder=observed.recorder, pools=pools)
    mode.take_clients(observed.recorder)
    try:
        call = await get(app, "/work")
    finally:
        mode.leave_clients()
        for instrumentor in ours:
            instrumentor.uninstrument()
    if row.name.endswith("by keyword") and isinstance(mode, Contrib | Started):
        assert call.error is None or isinstance(call.error, IndexError), (
            "contrib, at work in the host, breaks this call"
        )
    else:
        assert (call.status, call.error) == (200, None)
    return observed


def measured(observed: Observed) -> Counter[str]:
    counts: Counter[str] = Counter()
    for state in observed.recorder.collect():
        if state.meter is DB_CLIENT_OPERATION_DURATION and state.count:
            _, _, summary, _, _, error = state.values
            counts[f"{summary}!{error}" if error else str(summary)] += state.count
    return counts


def statements(observed: Observed) -> list[Any]:
    [kept] = observed.traces
    return [span for span in kept.spans[1:] if span.name != "acquire connection"]


def hosts(mode: Mode) -> list[Any]:
    return [span for span in mode.spans(SpanKind.CLIENT) or () if span.name != "acquire connection"]


def told(row: Row) -> Counter[str]:
    """The names of the spans that we would make."""
    counts: Counter[str] = Counter()
    for summary, count in row.measured.items():
        counts[summary.partition("!")[0]] += count
    return counts


def spans_are_right(row: Row, mode: Mode, observed: Observed) -> None:
    [kept] = observed.traces
    children, exported = statements(observed), hosts(mode)
    assert {span.trace_id for span in children} <= {kept.root.trace_id}
    around = {span.context.span_id for span in mode.spans(SpanKind.INTERNAL) or ()}
    assert {span.parent_id for span in children} <= {kept.root.span_id} | around
    if not mode.spans_of_contrib:
        assert Counter(span.name for span in children) == told(row)
        assert mode.spans() is None or Counter(span.name for span in exported) == told(row)
        return
    assert all(span.instrumentation_scope.name.startswith("opentelemetry.instrumentation.") for span in exported)
    if isinstance(mode, Contrib | Started):
        assert OLD_CONTRIB or len(exported) == (row.by_host or row.contrib)
        assert Counter(span.name for span in children) == told(row), "the host's are its own; we keep ours"
    else:
        assert OLD_CONTRIB or len(children) == row.contrib
        assert mode.spans() is None or {span.span_id for span in children} == {s.context.span_id for s in exported}


@pytest.mark.parametrize("row", SQL, ids=lambda row: row.name)
async def test_a_statement_is_measured_once_and_has_one_span(row: Row, mode: Mode, sql: str) -> None:
    observed = await done_in_a_request(row, mode, sql)
    if observed.traces[0].root.error == "IndexError":
        return
    assert measured(observed) == row.measured
    spans_are_right(row, mode, observed)


@pytest.mark.parametrize("row", REDIS, ids=lambda row: row.name)
async def test_a_command_is_measured_once_and_has_one_span(row: Row, mode: Mode, cache: str) -> None:
    observed = await done_in_a_request(row, mode, cache)
    assert measured(observed) == row.measured
    found = {s.values: int(s.sum) for s in observed.recorder.collect() if s.meter is CACHE_LOOKUPS and s.sum}
    assert found == row.hits
    spans_are_right(row, mode, observed)


async def of_a_cluster(port: str) -> None:
    async with redis.asyncio.cluster.RedisCluster(host="127.0.0.1", port=int(port)) as cluster:
        await cluster.set("page:1", "x")
        assert await cluster.pipeline().get("page:1").get("page:none").execute() == [b"x", None]
    await asyncio.to_thread(_of_a_cluster, int(port))


def _of_a_cluster(port: int) -> None:
    with redis.cluster.RedisCluster(host="127.0.0.1", port=port) as cluster:
        assert cluster.get("page:1") == b"x"


async def test_commands_to_a_cluster_are_measured_once_each(mode: Mode, cluster_port: int) -> None:
    observed = await done_in_a_request(Row("a cluster", of_a_cluster, {}, 0), mode, str(cluster_port))
    assert without_learning(measured(observed)) == {"SET": 1, "PIPELINE GET": 1, "GET": 1}
    if not mode.spans_of_contrib:
        assert without_learning(Counter(span.name for span in statements(observed))) == without_learning(
            measured(observed)
        )
        assert mode.spans() is None or len(hosts(mode)) == len(statements(observed))


def without_learning(counts: Counter[str]) -> dict[str, int]:
    """Without the commands by which a client gets to know its cluster."""
    return {name: count for name, count in counts.items() if not name.startswith(("CLUSTER", "COMMAND", "INFO"))}


async def test_what_contrib_says_of_a_statement_is_kept_without_its_literals(mode: Mode, sql: str) -> None:
    row = Row("", on_connection(lambda c: c.fetch("SELECT id FROM documents WHERE title = 'hunter2'")), {}, 1)
    [span] = statements(await done_in_a_request(row, mode, sql))
    assert "hunter2" not in str(span)
    text = span.attributes.get("db.query.text") or span.attributes["db.statement"]
    assert text == "SELECT id FROM documents WHERE title = ?"


async def test_our_own_statements_are_nobodys_spans(mode: Mode, sql: str) -> None:
    async def work(connected: Any) -> None:
        with guard.as_own_work():
            await connected.fetch(ITEM, 1)

    observed = await done_in_a_request(Row("", on_connection(work), {}, 0), mode, sql)
    assert statements(observed) == []
    assert OLD_CONTRIB or hosts(mode) == []
    assert measured(observed) == {}
