"""What was written comes back, in any grouping, over any window."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from support.connections import connections
from support.partitions import partitions
from watchglass.analysis.buckets import pack, unpack
from watchglass.analysis.windows import Window
from watchglass.errors import DatabaseUnavailable, QueryTooSlow, SchemaMissing
from watchglass.records import Attributes, Batch, Instance, Point, Series
from watchglass.store.connection import connect
from watchglass.store.database import Database
from watchglass.store.reader import Reader
from watchglass.store.writer import Writer

NOW = int(time.time()) // 60 * 60 - 60
WINDOW = Window(NOW - 60, NOW + 60)


def instance(**more: object) -> Instance:
    values: dict[str, object] = {
        "service_name": "shop",
        "service_namespace": "",
        "service_version": "1.0",
        "instance_id": str(uuid4()),
        "host": "host-a",
        "pid": 42,
        "started_at": NOW - 30.0,
    }
    return Instance(**{**values, **more})  # type: ignore[arg-type]


def latency(route: str, time: int, *values: tuple[int, int], low: float = 0.1, high: float = 0.2) -> Point:
    series = Series(
        "http.server.request.duration", "histogram", "s", (("http.request.method", "GET"), ("http.route", route))
    )
    return Point(series, time, sum(n for _, n in values), 1.5, low, high, pack(dict(values)))


def counted(name: str, amount: float, time: int, *attributes: tuple[str, str]) -> Point:
    return Point(Series(name, "counter", "1", attributes), time, 1, amount)


def gauge(name: str, value: float, time: int, attributes: Attributes = ()) -> Point:
    return Point(Series(name, "gauge", "1", attributes), time, 1, value, value, value)


class Store:
    """Writes the points of several processes."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    async def write(self, *points: Point, of: Instance | None = None) -> None:
        writer = Writer(self.dsn, of or instance())
        await writer.open()
        await writer.write(Batch(1, points))
        await writer.close()


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    yield Store(store_url)


@pytest.fixture
async def reader(store_url: str) -> AsyncIterator[Reader]:
    reader = Reader(store_url, service="shop")
    yield reader
    await reader.close()


async def test_histograms_merge_over_series_and_processes(store: Store, reader: Reader) -> None:
    await store.write(latency("/a", NOW, (1, 2), low=0.1), latency("/b", NOW, (5, 1), high=0.9))
    await store.write(latency("/a", NOW + 10, (1, 1), (2, 1)))
    [group] = await reader.select("http.server.request.duration", WINDOW)
    assert (group.key, group.time, group.count, group.sum, group.min, group.max) == ((), None, 5, 4.5, 0.1, 0.9)
    assert unpack(group.buckets) == {1: 3, 2: 1, 5: 1}
    assert group.last is None


async def test_groups_come_by_attribute_and_slot(store: Store, reader: Reader) -> None:
    await store.write(
        latency("/b", NOW, (1, 1)),
        latency("/a", NOW, (1, 1)),
        latency("/a", NOW + 10, (1, 2)),
        latency("/a", NOW + 30, (1, 4)),
    )
    groups = await reader.select("http.server.request.duration", WINDOW, by=("http.route",), step=30)
    assert [(group.key, group.time, group.count) for group in groups] == [
        (("/a",), NOW, 3),
        (("/a",), NOW + 30, 4),
        (("/b",), NOW, 1),
    ]


async def test_a_window_includes_its_start_and_excludes_its_end(store: Store, reader: Reader) -> None:
    await store.write(*(counted("watchglass.http.server.requests", 1, NOW + offset) for offset in (0, 10, 20)))
    [group] = await reader.select("watchglass.http.server.requests", Window(NOW, NOW + 20))
    assert group.sum == 2


async def test_attributes_choose_the_series(store: Store, reader: Reader) -> None:
    name = "watchglass.http.server.requests"
    await store.write(
        counted(name, 7, NOW, ("http.response.status_code", "200")),
        counted(name, 2, NOW, ("error.type", "ValueError"), ("http.response.status_code", "500")),
    )

    async def total(where: dict[str, str | None]) -> float:
        return sum(group.sum for group in await reader.select(name, WINDOW, where=where))

    assert await total({}) == 9
    assert await total({"http.response.status_code": "500"}) == 2
    assert await total({"error.type": None}) == 7
    assert await total({"error.type": None, "http.response.status_code": "500"}) == 0
    assert await total({"error.type": "Val\x00ueError"}) == 2, "what cannot be stored is not asked for either"
    assert await total({"error.type": "\ud800"}) == 0
    groups = await reader.select(name, WINDOW, by=("error.type",))
    assert {group.key: group.sum for group in groups} == {("ValueError",): 2, (None,): 7}


async def test_a_gauge_has_its_newest_value_and_its_mean(store: Store, reader: Reader) -> None:
    await store.write(gauge("g", 1, NOW), gauge("g", 5, NOW + 10), gauge("g", 3, NOW + 20))
    [group] = await reader.select("g", WINDOW)
    assert (group.last, group.sum / group.count, group.min, group.max, group.buckets) == (3, 3, 1, 5, b"")


async def test_processes_are_told_apart_by_the_attributes_of_their_resource(store: Store, reader: Reader) -> None:
    old, new = instance(service_version="1.0"), instance(service_version="2.0", service_namespace="eu")
    await store.write(gauge("g", 1, NOW, (("pool", "main"),)), of=old)
    await store.write(gauge("g", 5, NOW, (("pool", "main"),)), of=new)
    groups = await reader.select("g", WINDOW, by=("service.version", "pool"))
    assert [(group.key, group.last) for group in groups] == [(("1.0", "main"), 1), (("2.0", "main"), 5)]
    [group] = await reader.select("g", WINDOW, where={"service.instance.id": new.instance_id})
    assert group.last == 5
    [group] = await reader.select("g", WINDOW, where={"service.namespace": None})
    assert group.last == 1
    assert [i.instance_id for i in await reader.instances(WINDOW)] == [old.instance_id, new.instance_id]


async def test_a_reader_answers_about_its_own_service(store: Store, store_url: str, reader: Reader) -> None:
    await store.write(counted("c", 1, NOW))
    await store.write(counted("c", 10, NOW), of=instance(service_name="billing", started_at=NOW - 5000.0))
    assert [group.sum for group in await reader.select("c", WINDOW)] == [1]
    assert [seen.service_name for seen in await reader.instances(WINDOW)] == ["shop"]
    assert await reader.earliest() == NOW - 30
    of_all = Reader(store_url)
    assert [group.sum for group in await of_all.select("c", WINDOW)] == [11]
    await of_all.close()


async def test_instances_are_those_that_reported_in_the_window(store: Store, reader: Reader) -> None:
    await store.write(counted("c", 1, NOW))
    [seen] = await reader.instances(WINDOW)
    assert (seen.started_at, seen.last_seen, seen.host, seen.pid) == (NOW - 30, NOW, "host-a", 42)
    assert await reader.instances(Window(NOW + 10, NOW + 60)) == []
    assert await reader.instances(Window(NOW - 3600, NOW - 60)) == []


async def test_an_empty_store_has_no_beginning_and_no_groups(reader: Reader) -> None:
    assert await reader.earliest() is None
    assert await reader.select("c", WINDOW) == []


async def test_a_process_that_became_known_after_a_later_one_is_not_overlooked(store: Store, reader: Reader) -> None:
    early, late = Writer(store.dsn, instance()), instance()
    await store.write(counted("c", 1, NOW))
    connection = await connect(store.dsn)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(
        "INSERT INTO watchglass.instances (service_instance_id, service_name, service_namespace, service_version,"
        " host_name, process_pid, started_at, last_seen) VALUES ($1, 'shop', '', '1.0', 'host', 1, now(), now())",
        early.instance.instance_id,
    )
    await store.write(counted("c", 2, NOW), of=late)
    assert [group.sum for group in await reader.select("c", WINDOW)] == [3]
    await transaction.commit()
    await connection.close()
    await early.open()
    await early.write(Batch(1, [counted("c", 4, NOW)]))
    await early.close()
    assert [group.sum for group in await reader.select("c", WINDOW)] == [7]


async def test_sizes_count_partitions_with_their_table(store: Store, reader: Reader, store_url: str) -> None:
    await store.write(latency("/a", NOW, (1, 1)))
    sizes = {size.name: size for size in await reader.sizes()}
    async with connections(store_url, 1) as [connection]:
        there = len(await partitions(connection, "metrics_10s"))
    assert there >= 9
    assert sizes["metrics_10s"].partitions == there
    assert sizes["metrics_10s"].bytes > there * 8192
    assert not [name for name in sizes if re.match(r"metrics_\d{8}", name)]


async def test_the_metrics_are_there_for_sql_by_hand(store: Store, reader: Reader) -> None:
    await store.write(latency("/a", NOW, (1, 3)), counted("c", 2, NOW, ("k", "v")))
    rows = await reader.database.fetch("SELECT * FROM watchglass.metrics_flat ORDER BY metric_type")
    assert [(row["metric_type"], row["metric_name"], row["value"]) for row in rows] == [
        ("counter", "c", 2),
        ("histogram", "http.server.request.duration", 0.5),
    ]
    assert '"http.route": "/a"' in rows[1]["metadata"]
    assert len({row["id"] for row in rows}) == 2


async def test_a_question_that_takes_too_long_is_cancelled(reader: Reader) -> None:
    with pytest.raises(QueryTooSlow, match=r"within 0\.2 s"):
        await reader.database.fetch("SELECT pg_sleep(5)", seconds=0.2)
    assert await reader.select("c", WINDOW) == []


async def test_a_connection_that_broke_is_replaced_without_a_word(reader: Reader, store: Store) -> None:
    await store.write(counted("c", 1, NOW))
    await reader.select("c", WINDOW)
    other = Reader(reader.database.dsn)
    await other.database.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'watchglass reader' AND pid <> pg_backend_pid()",
        readonly=False,
    )
    await other.close()
    assert [group.sum for group in await reader.select("c", WINDOW)] == [1]


async def test_an_idle_connection_is_closed(store_url: str) -> None:
    database = Database(store_url, idle_seconds=0.05)
    await database.fetch("SELECT 1")
    assert database._connection is not None
    for _ in range(100):
        await asyncio.sleep(0.02)
        if database._connection is None:
            break
    assert database._connection is None
    assert [row[0] for row in await database.fetch("SELECT 1")] == [1]
    await database.close()


async def test_a_store_without_schema_says_so(database_url: str) -> None:
    reader = Reader(database_url)
    with pytest.raises(SchemaMissing, match="watchglass migrate"):
        await reader.select("c", WINDOW)
    await reader.close()


async def test_a_store_that_is_away_says_why(free_port: int) -> None:
    reader = Reader(f"postgresql://app@127.0.0.1:{free_port}/shop")
    with pytest.raises(DatabaseUnavailable, match=f"127.0.0.1:{free_port}/shop .* nothing listens there"):
        await reader.select("c", WINDOW)
