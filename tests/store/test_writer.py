"""A batch is stored once, however its answer was lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from support.rows import NOW, Fetch, count, instance, line, trace
from watchglass.analysis.buckets import pack, unpack
from watchglass.analysis.windows import Window
from watchglass.demo.servers import PostgreSQL
from watchglass.errors import DatabaseUnavailable
from watchglass.records import Batch, Point, Series
from watchglass.store import writer as writing
from watchglass.store.reader import Reader
from watchglass.store.writer import Writer


async def test_a_batch_is_stored_once(writer: Writer, fetch: Fetch) -> None:
    batch = Batch(1, [count()], [line()], [trace()])
    for _ in range(3):
        await writer.write(batch)
    assert len(await fetch("SELECT FROM watchglass.metrics_flat")) == 1
    assert len(await fetch("SELECT FROM watchglass.logs")) == 1
    assert len(await fetch("SELECT FROM watchglass.traces")) == 1
    [entry] = await fetch("SELECT sequence, points, logs, traces FROM watchglass.batches")
    assert tuple(entry) == (1, 1, 1, 1)


async def test_a_batch_whose_answer_was_lost_is_not_counted_twice(
    writer: Writer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server commits; the connection breaks before its answer arrives."""
    real = writing.transaction

    @asynccontextmanager
    async def answer_lost(connection: Any, **limits: Any) -> AsyncIterator[None]:
        async with real(connection, **limits):
            yield
        await fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'watchglass writer'"
        )
        await connection.execute("SELECT 1")

    batch = Batch(1, [count(5)], [line()])
    with monkeypatch.context() as patch:
        patch.setattr(writing, "transaction", answer_lost)
        with pytest.raises(DatabaseUnavailable):
            await writer.write(batch)
    assert not writer.is_open
    await writer.open()
    await writer.write(batch)
    await writer.write(Batch(2, [count(7, NOW + 10)]))
    rows = await fetch("SELECT value FROM watchglass.metrics_flat ORDER BY timestamp")
    assert [row["value"] for row in rows] == [5, 7]
    assert len(await fetch("SELECT FROM watchglass.logs")) == 1


async def test_a_batch_that_was_cut_off_is_stored_whole_the_next_time(
    writer: Writer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks between the ledger and the rows."""
    real = Writer._add

    async def cut_off(self: Writer, connection: Any, rows: Any) -> None:
        await fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'watchglass writer'"
        )
        await real(self, connection, rows)

    batch = Batch(1, [count(5)], [line()])
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "_add", cut_off)
        with pytest.raises(DatabaseUnavailable):
            await writer.write(batch)
    assert await fetch("SELECT FROM watchglass.batches") == []
    await writer.open()
    await writer.write(batch)
    assert [row["sum"] for row in await fetch("SELECT sum(value) AS sum FROM watchglass.metrics_flat")] == [5]


async def test_points_of_one_slot_add_up(writer: Writer, fetch: Fetch) -> None:
    latency = Series("h", "histogram", "s", ())
    gauge = Series("g", "gauge", "1", ())
    for sequence, value in enumerate((3.0, 1.0, 2.0), 1):
        await writer.write(
            Batch(
                sequence,
                [
                    count(value),
                    Point(latency, NOW, 2, value, value, value + 1, pack({sequence: 1, 7: 1})),
                    Point(gauge, NOW, 1, value, value, value),
                ],
            )
        )
    reader = Reader(writer.dsn)
    found = {}
    for name in "chg":
        [found[name]] = await reader.select(name, Window(NOW, NOW + 10))
    await reader.close()
    assert (found["c"].sum, found["c"].min, found["c"].buckets) == (6, None, b"")
    assert (found["h"].count, found["h"].sum, found["h"].min, found["h"].max) == (6, 6, 1, 4)
    assert unpack(found["h"].buckets) == {1: 1, 2: 1, 3: 1, 7: 3}
    assert (found["g"].count, found["g"].sum, found["g"].min, found["g"].max) == (3, 6, 1, 3)


async def test_times_are_judged_by_the_clock_that_the_database_has_now(writer: Writer, fetch: Fetch) -> None:
    """The machine had slept for two hours, or the database's clock was set, since the bounds were read."""
    for hours in (-2, 2):
        writer._bounds.now += timedelta(hours=hours)
        await writer.write(Batch(10 + hours, [count(1)]))
    assert writer.clamped == 0
    assert [row["timestamp"].timestamp() for row in await fetch("SELECT timestamp FROM watchglass.metrics_flat")] == [
        *(NOW, NOW)
    ]
    writer._bounds._read -= timedelta(hours=2)
    old = writer._bounds
    await writer.write(Batch(20, [count(1)]))
    assert writer._bounds is not old
    assert [row["sequence"] for row in await fetch("SELECT sequence FROM watchglass.batches ORDER BY 1")] == [8, 12, 20]


async def test_a_series_twice_in_a_batch_adds_up_too(writer: Writer, fetch: Fetch) -> None:
    await writer.write(Batch(1, [count(1), count(2), count(4), count(8, NOW + 10)]))
    rows = await fetch("SELECT sum(value) FROM watchglass.metrics_flat GROUP BY timestamp ORDER BY timestamp")
    assert [row["sum"] for row in rows] == [7, 8]


async def test_a_new_writer_of_the_same_process_goes_on(writer: Writer, fetch: Fetch, store_url: str) -> None:
    await writer.write(Batch(1, [count(1)]))
    again = Writer(store_url, writer.instance)
    await again.open()
    await again.write(Batch(2, [count(2)]))
    await again.close()
    assert [row["value"] for row in await fetch("SELECT value FROM watchglass.metrics_flat")] == [1, 2]
    assert len(await fetch("SELECT FROM watchglass.instances")) == 1


async def test_series_are_written_once(writer: Writer, fetch: Fetch) -> None:
    await writer.write(Batch(1, [count(1, route="/a"), count(1, route="/b")]))
    await writer.write(Batch(2, [count(1, NOW + 10, route="/a"), count(1, NOW + 10, route="/c")]))
    rows = await fetch("SELECT * FROM watchglass.series ORDER BY attributes")
    assert [row["attributes"] for row in rows] == ['{"route": "/a"}', '{"route": "/b"}', '{"route": "/c"}']
    assert {row["id"] for row in rows} == {count(1, route=f"/{letter}").series.id for letter in "abc"}


async def test_processes_that_meet_the_same_new_series_do_not_block_each_other(store_url: str, fetch: Fetch) -> None:
    writers = [Writer(store_url, instance()) for _ in range(6)]
    await asyncio.gather(*(writer.open() for writer in writers))
    points = [count(1, route=str(number)) for number in range(300)]
    orders = [points, points[::-1], points[150:] + points[:150]] * 2
    await asyncio.gather(*(w.write(Batch(1, order)) for w, order in zip(writers, orders, strict=True)))
    for writer in writers:
        await writer.close()
    assert len(await fetch("SELECT FROM watchglass.series")) == 300
    assert len(await fetch("SELECT FROM watchglass.metrics_flat")) == 1800


async def test_log_lines_keep_their_order_within_a_process(writer: Writer, fetch: Fetch) -> None:
    now = time.time_ns()
    await writer.write(Batch(1, logs=[line(str(number), time_ns=now) for number in range(20)]))
    rows = await fetch("SELECT message FROM watchglass.logs ORDER BY instance_id, sequence, position")
    assert [row["message"] for row in rows] == [str(number) for number in range(20)]


async def test_the_reach_of_a_process_is_that_of_its_metrics(writer: Writer, fetch: Fetch) -> None:
    await writer.write(Batch(1, [count(1, NOW - 30)]))
    [started] = await fetch("SELECT extract(epoch FROM last_seen)::float8 AS seen FROM watchglass.instances")
    assert started["seen"] == pytest.approx(writer.instance.started_at, abs=1e-3)
    await writer.write(Batch(2, [count(1, NOW + 10)]))
    [seen] = await fetch("SELECT extract(epoch FROM last_seen)::bigint AS seen FROM watchglass.instances")
    assert seen["seen"] == NOW + 10


async def test_a_borrowed_connection_waits_for_the_batch(writer: Writer) -> None:
    async with writer.borrow() as connection:
        writing_now = asyncio.create_task(writer.write(Batch(1, [count()])))
        await asyncio.sleep(0.1)
        assert not writing_now.done()
        assert await connection.fetchval("SELECT count(*) FROM watchglass.batches") == 0
    await writing_now


async def test_a_writer_that_is_not_open_says_so(store_url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="the connection was lost"):
        await Writer(store_url, instance()).write(Batch(1, [count()]))


async def test_a_row_that_cannot_be_stored_is_no_weather(writer: Writer) -> None:
    """It is told apart from what another attempt may not meet again."""
    with pytest.raises(OverflowError):
        await writer.write(Batch(1, [replace(count(), count=2**70, buckets=b"")]))
    await writer.write(Batch(1, [count()]))


async def test_all_statements_are_marked_as_ours(store_url: str, postgres_server: PostgreSQL) -> None:
    writer = Writer(store_url, instance())
    await writer.open()
    await writer.write(Batch(1, [count()], [line()], [trace()]))
    await writer.write(Batch(2, [count()]))
    await writer.close()
    superuser = f"{postgres_server.superuser_url.rpartition('/')[0]}/{store_url.rpartition('/')[2]}"
    connection = await asyncpg.connect(superuser)
    rows = await connection.fetch(
        "SELECT query FROM pg_stat_statements JOIN pg_database d ON d.oid = dbid JOIN pg_roles r ON r.oid = userid"
        " WHERE datname = current_database() AND rolname = 'app' AND toplevel"
    )
    await connection.close()
    sent = [row["query"] for row in rows]
    of_the_driver = ('COPY "watchglass".', "BEGIN", "COMMIT", "WITH RECURSIVE typeinfo_tree", "SELECT\n         ")
    assert [text for text in sent if "/* watchglass:" not in text and not text.startswith(of_the_driver)] == []
    assert any("INSERT /* watchglass:add_batch */" in text for text in sent)
