"""redis-py against a real server: one operation for each command or pipeline; hits and misses by cache type."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.cluster

from support.cluster import cluster_of_one
from watchglass import guard
from watchglass.instrumentation import redis_observer
from watchglass.instrumentation.caches import CacheTypes
from watchglass.instrumentation.operations import Operation
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.redis import RedisInstrumentor
from watchglass.instrumentation.redis_observer import MAX_BATCHES, MAX_REMEMBERED, MAX_SUMMARIES, RedisObserver
from watchglass.instrumentation.request import Request, reset_current_request, set_current_request
from watchglass.meters import CACHE_LOOKUPS, DB_CLIENT_OPERATION_DURATION


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch) -> CacheTypes:
    types = CacheTypes()
    monkeypatch.setattr(RedisObserver.__init__, "__defaults__", (types,))
    return types


@pytest.fixture
def instrumented(recorder: Recorder, types: CacheTypes, redis_url: str) -> Iterator[RedisInstrumentor]:
    instrumentor = RedisInstrumentor()
    instrumentor.instrument(recorder=recorder)
    yield instrumentor
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


@pytest.fixture
async def client(instrumented: RedisInstrumentor, redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def request_here() -> AsyncIterator[Request]:
    request = Request(1, 2, None, True, time.perf_counter(), "GET")
    token = set_current_request(request)
    yield request
    reset_current_request(token)


def operations(recorder: Recorder) -> dict[str, int]:
    """How many operations there were of each summary, and `summary!error` for those that failed."""
    counts: Counter[str] = Counter()
    for state in recorder.collect():
        if state.meter is DB_CLIENT_OPERATION_DURATION and state.count:
            system, _, summary, text, _, error = state.values
            assert (system, text) == ("redis", None)
            counts[f"{summary}!{error}" if error else str(summary)] += state.count
    return dict(counts)


def by_type(recorder: Recorder) -> dict[tuple[str, str | None], int]:
    """How many operations there were of each summary and cache type."""
    return {
        (str(state.values[2]), state.values[4]): state.count
        for state in recorder.collect()
        if state.meter is DB_CLIENT_OPERATION_DURATION and state.count
    }


def lookups(recorder: Recorder) -> dict[str, tuple[int, int]]:
    """Hits and misses of each cache type."""
    found: dict[str, list[int]] = {}
    for state in recorder.collect():
        if state.meter is CACHE_LOOKUPS:
            counts = found.setdefault(str(state.values[0]), [0, 0])
            counts[0 if state.values[1] == "hit" else 1] += int(state.sum)
    return {cache_type: (hits, misses) for cache_type, (hits, misses) in found.items()}


async def test_each_command_is_one_operation_of_its_cache_type(
    client: redis.asyncio.Redis, recorder: Recorder, types: CacheTypes
) -> None:
    types.name("sessions", "s:")

    await client.set("search:1", "x", ex=60)
    await client.get("search:1")
    await client.get("s:1")
    await client.expire("search:1", 5)
    await client.ping()
    await client.execute_command("get", b"search:1")
    await client.execute_command("CONFIG GET", "maxmemory")
    await client.publish("channel", "message")

    assert by_type(recorder) == {
        ("SET", "search"): 1,
        ("GET", "search"): 2,
        ("GET", "sessions"): 1,
        ("EXPIRE", "search"): 1,
        ("PING", None): 1,
        ("CONFIG GET", None): 1,
        ("PUBLISH", None): 1,
    }


async def test_hits_and_misses_are_counted_from_every_reading_command(
    client: redis.asyncio.Redis, recorder: Recorder
) -> None:
    await client.mset({"a:1": "x", "a:2": "x", "b:1": "x"})
    await client.hset("h:1", mapping={"f": "1", "g": "2"})

    assert await client.get("a:1") is not None
    assert await client.get("a:9") is None
    assert await client.mget("a:1", "a:2", "a:9", "b:1", "b:9") == [b"x", b"x", None, b"x", None]
    assert await client.mget(["b:1"]) == [b"x"]
    assert await client.getex("a:1", ex=60) is not None
    assert await client.getdel("a:1") is not None
    assert await client.getdel("a:1") is None
    assert await client.hget("h:1", "f") is not None
    assert await client.hget("h:1", "nope") is None
    assert await client.hmget("h:1", ["f", "g", "nope"]) == [b"1", b"2", None]

    assert lookups(recorder) == {"a": (5, 3), "b": (2, 1), "h": (3, 2)}


async def test_an_empty_value_is_a_hit(client: redis.asyncio.Redis, recorder: Recorder) -> None:
    await client.set("a:1", "")

    assert await client.get("a:1") == b""
    assert lookups(recorder) == {"a": (1, 0)}


async def test_probes_are_neither_hits_nor_misses(client: redis.asyncio.Redis, recorder: Recorder) -> None:
    await client.set("a:1", "x")
    for command in (client.exists, client.ttl, client.type, client.strlen, client.touch):
        await command("a:1")
        await command("a:9")
    async for _ in client.scan_iter("a:*"):
        pass

    assert lookups(recorder) == {}


async def test_a_pipeline_is_one_operation_and_its_look_ups_count(
    client: redis.asyncio.Redis, recorder: Recorder, request_here: Request
) -> None:
    await client.set("a:1", "x")
    async with client.pipeline(transaction=False) as pipeline:
        pipeline.get("a:1").get("a:2").mget("a:1", "b:1")
        assert await pipeline.execute() == [b"x", None, [b"x", None]]
        pipeline.get("a:1").get("a:1")
        await pipeline.execute()
        assert await pipeline.execute() == []
    async with client.pipeline() as transaction:
        await transaction.set("a:3", "y").get("a:3").execute()

    assert by_type(recorder) == {
        ("SET", "a"): 1,
        ("PIPELINE GET MGET", "a"): 1,
        ("PIPELINE GET", "a"): 1,
        ("MULTI SET GET", "a"): 1,
    }
    assert lookups(recorder) == {"a": (5, 1), "b": (0, 1)}
    batches = [child.attributes.get("db.operation.batch.size") for child in request_here.children]
    assert batches == [None, 3, 2, 2]


async def test_the_summary_of_a_pipeline_is_bounded(client: redis.asyncio.Redis, recorder: Recorder) -> None:
    async with client.pipeline() as pipeline:
        for n in range(300):
            pipeline.set(f"a:{n}", n).incr(f"a:{n}").expire(f"a:{n}", 60).append(f"a:{n}", "x").strlen(f"a:{n}")
        await pipeline.execute()

    assert operations(recorder) == {"MULTI SET INCRBY EXPIRE ...": 1}


def test_the_number_of_summaries_is_bounded(recorder: Recorder) -> None:
    observer = RedisObserver(recorder, CacheTypes())
    names = ["GET", "SET", "DEL", "INCR", "DECR", "APPEND", "STRLEN", "TTL", "TYPE", "EXPIRE"]

    batches = [observer.batch([(a, "k"), (b, "k"), (c, "k")], False) for a in names for b in names for c in names]
    summaries = {batch.operation.summary for batch in batches}

    assert len(observer._known_batches) <= MAX_BATCHES < len(batches)
    assert len(summaries) <= MAX_SUMMARIES + 1
    assert "PIPELINE" in summaries


@pytest.mark.parametrize("size", [1, MAX_REMEMBERED, MAX_REMEMBERED + 1])
async def test_look_ups_of_the_same_pipeline_count_each_time(
    size: int, client: redis.asyncio.Redis, recorder: Recorder, types: CacheTypes
) -> None:
    """By the types that its keys have then, and the answers that come then."""
    await client.set("a:1", "x")
    async with client.pipeline(transaction=False) as pipeline:
        for key in ("a:1", "a:2", "b:1"):
            for _ in range(size):
                pipeline.get(key)
            await pipeline.execute()
        types.name("named", "a:")
        for _ in range(size):
            pipeline.get("a:1")
        await pipeline.execute()

    assert lookups(recorder) == {"a": (size, size), "b": (0, size), "named": (size, 0)}
    assert operations(recorder) == {"SET": 1, "PIPELINE GET": 4}


async def test_errors_in_a_pipeline_do_not_disturb_the_count(client: redis.asyncio.Redis, recorder: Recorder) -> None:
    await client.lpush("l:1", "x")
    async with client.pipeline(transaction=False) as pipeline:
        answers = await pipeline.get("l:1").get("a:1").execute(raise_on_error=False)
        assert isinstance(answers[0], redis.ResponseError)
        with pytest.raises(redis.ResponseError):
            await pipeline.get("l:1").execute()

    assert lookups(recorder) == {"l": (0, 0), "a": (0, 1)}
    assert operations(recorder) == {"LPUSH": 1, "PIPELINE GET": 1, "PIPELINE GET!ResponseError": 1}


async def test_watching_before_a_transaction(client: redis.asyncio.Redis, recorder: Recorder) -> None:
    await client.set("a:1", "1")
    async with client.pipeline() as pipeline:
        await pipeline.watch("a:1")
        assert await pipeline.get("a:1") == b"1"
        pipeline.multi()
        pipeline.set("a:1", "2")
        await client.set("a:1", "3")
        with pytest.raises(redis.WatchError):
            await pipeline.execute()

    assert operations(recorder) == {"SET": 2, "WATCH": 1, "GET": 1, "MULTI SET": 1}
    assert lookups(recorder) == {"a": (1, 0)}


async def test_scripts_locks_and_pub_sub_work_and_are_counted(client: redis.asyncio.Redis, recorder: Recorder) -> None:
    script = client.register_script("return redis.call('GET', KEYS[1])")
    assert await script(keys=["a:1"]) is None
    async with client.lock("lock:1", timeout=5):
        pass
    async with client.pubsub() as subscription:
        await subscription.subscribe("news")
        await client.publish("news", "hello")
        message = None
        while message is None:
            message = await subscription.get_message(ignore_subscribe_messages=True, timeout=1)
        assert message["data"] == b"hello"

    counted = operations(recorder)
    assert counted["EVALSHA!NoScriptError"] >= 1
    assert counted["SCRIPT LOAD"] >= 1
    assert counted["SET"] == counted["PUBLISH"] == 1
    assert "SUBSCRIBE" not in counted


async def test_errors_and_cancellation_are_recorded(
    client: redis.asyncio.Redis, recorder: Recorder, request_here: Request, free_port: int
) -> None:
    await client.lpush("l:1", "x")
    with pytest.raises(redis.ResponseError):
        await client.get("l:1")
    task = asyncio.create_task(client.blpop(["nothing:1"], timeout=5))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with redis.asyncio.Redis(port=free_port) as nowhere:
        with pytest.raises(redis.ConnectionError):
            await nowhere.get("a:1")

    assert operations(recorder) == {
        "LPUSH": 1,
        "GET!ResponseError": 1,
        "BLPOP!CancelledError": 1,
        "GET!ConnectionError": 1,
    }
    assert lookups(recorder) == {"l": (0, 0), "a": (0, 0)}
    assert [child.error for child in request_here.children] == [
        None,
        "ResponseError",
        "CancelledError",
        "ConnectionError",
    ]


async def test_spans_say_what_was_looked_for_but_not_whose(
    client: redis.asyncio.Redis, recorder: Recorder, request_here: Request
) -> None:
    await client.set("search:jane@example.com", "hunter2")
    await client.get("search:jane@example.com")
    await client.get("search:nobody")

    assert [child.name for child in request_here.children] == ["SET", "GET", "GET"]
    stored, found, missed = (dict(child.attributes) for child in request_here.children)
    assert stored["db.query.text"] == "SET search:*"
    assert found == {
        "db.system.name": "redis",
        "db.operation.name": "GET",
        "db.query.summary": "GET",
        "db.query.text": "GET search:*",
        "watchglass.cache.type": "search",
        "watchglass.cache.result": "hit",
    }
    assert missed["watchglass.cache.result"] == "miss"
    for secret in ("jane", "hunter2", "nobody"):
        assert secret not in repr([*request_here.children, *recorder.collect()])


async def test_a_command_written_as_one_text_leaks_nothing(client: redis.asyncio.Redis, recorder: Recorder) -> None:
    await client.execute_command("SET a:1 hunter2")
    assert await client.execute_command("GET a:1") == b"hunter2"
    with pytest.raises(redis.ResponseError):
        await client.execute_command("hunter2-is-no-command")
    with pytest.raises(redis.ResponseError):
        await client.execute_command("CONFIG", "hunter2!")

    assert operations(recorder)["SET"] == 1
    assert lookups(recorder) == {"a": (1, 0)}
    assert "hunter2!" not in repr(recorder.collect())


async def test_commands_without_end_do_not_fill_the_memory(recorder: Recorder) -> None:
    observer = RedisObserver(recorder, CacheTypes())

    for n in range(5_000):
        observer.operation((f"COMMAND.{n}", f"type{chr(97 + n % 26)}x{chr(97 + n // 26 % 26)}:1"))
        observer.operation((f"GET key{n}",))
        observer.operation(("GET", f"{n}:1"))

    assert len(recorder) < 1_000


def test_synchronous_clients_are_measured_alike(
    instrumented: RedisInstrumentor, recorder: Recorder, redis_url: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set("a:1", "x")
        assert client.get("a:1") == b"x"
        with client.pipeline() as pipeline:
            assert pipeline.get("a:1").get("a:2").execute() == [b"x", None]
        with client.pipeline() as pipeline:
            pipeline.watch("a:1")
            pipeline.get("a:1")
            pipeline.multi()
            pipeline.incr("a:n")
            pipeline.execute()
        with pytest.raises(redis.ResponseError):
            client.lpush("a:1", "x")

    assert operations(recorder) == {
        "SET": 1,
        "GET": 2,
        "MULTI GET": 1,
        "WATCH": 1,
        "MULTI INCRBY": 1,
        "LPUSH!ResponseError": 1,
    }
    assert lookups(recorder) == {"a": (3, 1)}


async def test_own_work_is_not_observed(client: redis.asyncio.Redis, recorder: Recorder, request_here: Request) -> None:
    with guard.as_own_work():
        await client.get("a:1")
        async with client.pipeline() as pipeline:
            await pipeline.get("a:1").execute()

    assert operations(recorder) == lookups(recorder) == {}
    assert request_here.children == []


async def test_hooks_of_the_application_add_attributes(
    recorder: Recorder, types: CacheTypes, redis_url: str, request_here: Request
) -> None:
    def before(span: Any, instance: Any, args: Any, kwargs: Any) -> None:
        assert span.is_recording()
        span.set_attribute("shop.command", str(args[0]))

    def after(span: Any, instance: Any, response: Any) -> None:
        span.set_attributes({"shop.answer": repr(response)})

    instrumentor = RedisInstrumentor()
    instrumentor.instrument(recorder=recorder, request_hook=before, response_hook=after)
    try:
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            await client.get("a:1")
            async with client.pipeline() as pipeline:
                await pipeline.get("a:1").execute()
            with pytest.raises(redis.ResponseError):
                await client.execute_command("NONSENSE")
    finally:
        instrumentor.uninstrument()

    single, batch, failed = (dict(child.attributes) for child in request_here.children)
    assert (single["shop.command"], single["shop.answer"]) == ("GET", "None")
    assert single["watchglass.cache.result"] == "miss"
    assert batch["shop.answer"] == "[None]"
    assert failed["shop.command"] == "NONSENSE"


async def test_a_hook_that_raises_does_not_reach_the_application(
    recorder: Recorder, types: CacheTypes, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "strict", False)

    def broken(*_: Any) -> None:
        raise RuntimeError

    instrumentor = RedisInstrumentor()
    instrumentor.instrument(recorder=recorder, request_hook=broken, response_hook=broken)
    try:
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            assert await client.get("a:1") is None
    finally:
        instrumentor.uninstrument()

    assert operations(recorder) == {"GET": 1}


@pytest.fixture(scope="module")
def cluster_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with cluster_of_one(tmp_path_factory.mktemp("cluster")) as port:
        yield port


def clustered(recorder: Recorder) -> dict[str, int]:
    """The operations, without those by which a client gets to know a cluster."""
    own = ("CLUSTER", "COMMAND", "INFO")  # the last one by redis-py 5
    return {name: count for name, count in operations(recorder).items() if not name.startswith(own)}


def test_synchronous_clients_of_a_cluster_are_measured(
    instrumented: RedisInstrumentor, recorder: Recorder, cluster_port: int
) -> None:
    with redis.cluster.RedisCluster(host="127.0.0.1", port=cluster_port) as cluster:
        cluster.set("a:1", "x")
        assert cluster.get("a:1") == b"x"
        pipeline = cluster.pipeline()
        assert pipeline.get("a:1").get("b:1").execute() == [b"x", None]
        cluster.flushall()

    assert clustered(recorder) == {"SET": 1, "GET": 1, "PIPELINE GET": 1, "FLUSHALL": 1}
    assert lookups(recorder) == {"a": (2, 0), "b": (0, 1)}


async def test_asynchronous_clients_of_a_cluster_are_measured(
    instrumented: RedisInstrumentor, recorder: Recorder, cluster_port: int
) -> None:
    async with redis.asyncio.cluster.RedisCluster(host="127.0.0.1", port=cluster_port) as cluster:
        await cluster.set("a:1", "x")
        assert await cluster.get("a:1") == b"x"
        assert await cluster.pipeline().get("a:1").get("b:1").execute() == [b"x", None]
        await cluster.flushall()

    assert clustered(recorder) == {"SET": 1, "GET": 1, "PIPELINE GET": 1, "FLUSHALL": 1}
    assert lookups(recorder) == {"a": (2, 0), "b": (0, 1)}


@pytest.mark.skipif(
    not hasattr(redis.asyncio.cluster, "TransactionStrategy"), reason="this redis-py has no transactions in a cluster"
)
async def test_a_transaction_in_a_cluster_is_measured(
    instrumented: RedisInstrumentor, recorder: Recorder, cluster_port: int
) -> None:
    async with redis.asyncio.cluster.RedisCluster(host="127.0.0.1", port=cluster_port) as cluster:
        await cluster.pipeline(transaction=True).set("a:1", "y").get("a:1").execute()
        await cluster.flushall()

    assert clustered(recorder) == {"MULTI SET GET": 1, "FLUSHALL": 1}
    assert lookups(recorder) == {"a": (1, 0)}


PATCHED = [
    (module, name, attribute)
    for module in (redis.client, redis.asyncio.client)
    for name, attribute in (
        ("Redis", "execute_command"),
        ("Pipeline", "execute"),
        ("Pipeline", "immediate_execute_command"),
    )
] + [
    (module, name, attribute)
    for module in (redis.cluster, redis.asyncio.cluster)
    for name, attribute in (("RedisCluster", "execute_command"), ("ClusterPipeline", "execute"))
]


def test_uninstrumenting_leaves_redis_as_it_was(recorder: Recorder) -> None:
    def current() -> list[Any]:
        return [vars(getattr(module, name))[attribute] for module, name, attribute in PATCHED]

    before = current()
    instrumentor = RedisInstrumentor()
    instrumentor.instrument(recorder=recorder)
    during = current()
    instrumentor.uninstrument()

    assert all(now is not was for now, was in zip(during, before, strict=True))
    assert current() == before


async def test_a_client_that_is_kept_is_observed_by_the_next_recorder(redis_url: str, types: CacheTypes) -> None:
    first, second = Recorder(), Recorder()
    instrumentor = RedisInstrumentor()
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        instrumentor.instrument(recorder=first)
        kept: Callable[..., Any] = client.execute_command
        await kept("PING")
        instrumentor.uninstrument()
        await kept("PING")
        instrumentor.instrument(recorder=second)
        await client.ping()
        instrumentor.uninstrument()

    assert operations(first) == operations(second) == {"PING": 1}


async def test_an_error_of_ours_never_reaches_the_application(
    client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "strict", False)
    monkeypatch.setattr(guard, "errors", Counter())

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("ours")

    for owner, name in (
        (Operation, "ended"),
        (RedisObserver, "operation"),
        (RedisObserver, "answered"),
        (RedisObserver, "batch"),
        (RedisObserver, "batch_answered"),
        (redis_observer.Commands, "of"),
        (Recorder, "counter"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, broken)
            await client.set(f"{name}:1", "x")
            assert await client.get(f"{name}:1") == b"x"
            async with client.pipeline() as pipeline:
                assert await pipeline.get(f"{name}:1").get(f"{name}:2").execute() == [b"x", None]
            with pytest.raises(redis.ResponseError):
                await client.lpush(f"{name}:1", "x")
    assert sum(guard.errors.values()) >= 7


def test_without_redis_there_is_nothing_to_instrument_and_nothing_is_said() -> None:
    program = """
import sys, logging
logging.basicConfig(level=logging.DEBUG)
sys.modules["redis"] = None
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "redis" else find(name, *a)
from watchglass.instrumentation.redis import RedisInstrumentor
RedisInstrumentor().instrument()
RedisInstrumentor().uninstrument()
assert not [name for name in sys.modules if name.startswith("redis.")]
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
