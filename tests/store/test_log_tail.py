"""Whoever follows the log lines gets each of them once, however late its transaction commits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from support.rows import instance
from support.tailing import LateWriter, eight_writers, ids_of, read_on
from watchglass.records import Batch, LogRecord
from watchglass.store import log_tail
from watchglass.store.database import Database
from watchglass.store.log_tail import Cursor, LogTail
from watchglass.store.writer import Writer


@pytest.fixture
async def tail(store_url: str) -> AsyncIterator[LogTail]:
    database = Database(store_url)
    yield LogTail(database)
    await database.close()


def record(message: str) -> LogRecord:
    return LogRecord(time.time_ns(), 9, "INFO", "shop", message, {"user": 7}, "ab" * 16, "cd" * 8)


async def test_nothing_is_missed_or_repeated_while_eight_processes_write_transactions_that_overlap(
    store_url: str, tail: LogTail
) -> None:
    cursor, received = await tail.now(), []
    async with eight_writers(store_url, 4) as writers:
        for _ in range(60):
            found, cursor, _ = await read_on(tail, cursor)
            received += found
            await asyncio.sleep(0.05)
    received += (await read_on(tail, cursor))[0]
    written = [id for writer in writers for id in writer.written]
    assert len(written) > 500
    assert sorted(received) == sorted(written)


async def test_a_line_has_what_its_process_and_its_trace_say_of_it(store_url: str, tail: LogTail) -> None:
    cursor = await tail.now()
    writer = Writer(store_url, instance())
    await writer.open()
    await writer.write(Batch(1, logs=[record("a"), record("b")]))
    await writer.close()
    news = await tail.news(cursor, most=10)
    first, second = await tail.lines(news.batches)
    assert (first["message"], second["message"]) == ("a", "b")
    assert first["service_name"] == "shop"
    assert first["host_name"] == "host"
    assert first["service_instance_id"] == writer.instance.instance_id
    assert first["trace_kept"] is False
    assert first["trace_id"].hex() == "ab" * 16


async def test_a_batch_that_commits_after_younger_ones_of_others_is_read(store_url: str, tail: LogTail) -> None:
    async with LateWriter(store_url).connected() as slow, LateWriter(store_url).connected() as fast:
        cursor = await tail.now()
        late = asyncio.ensure_future(slow.write(3, open_for=1.0))
        await asyncio.sleep(0.2)
        early = await fast.write(2)
        found, cursor, _ = await read_on(tail, cursor)
        assert found == early
        assert (await read_on(tail, cursor))[0] == []
        assert (await read_on(tail, cursor))[0] == [] or late.done()
        written = await late
        assert (await read_on(tail, cursor))[0] == written


async def test_batches_without_lines_and_numbers_that_were_merged_away_are_no_gap(
    store_url: str, tail: LogTail
) -> None:
    async with LateWriter(store_url).connected() as writer:
        cursor = await tail.now()
        expected = [*await writer.write(2), *await writer.write(0), *await writer.write(1, skip=4)]
        found, cursor, _ = await read_on(tail, cursor)
        assert found == expected
        await writer.write(0)
        assert (await read_on(tail, cursor))[0] == []


async def test_what_another_process_writes_for_a_dead_one_goes_on_with_its_numbers(
    store_url: str, tail: LogTail
) -> None:
    died = instance()
    writer = Writer(store_url, died)
    await writer.open()
    await writer.write(Batch(1, logs=[record("before it died")]))
    await writer.close()
    cursor = await tail.now()
    replaying = Writer(store_url, died)
    await replaying.open()
    await replaying.write(Batch(1, logs=[record("before it died")]))
    await replaying.write(Batch(2, logs=[record("left behind")]))
    await replaying.close()
    news = await tail.news(cursor, most=10)
    assert [line["message"] for line in await tail.lines(news.batches)] == ["left behind"]


async def test_lines_that_are_dated_far_from_when_they_were_written_are_found(store_url: str, tail: LogTail) -> None:
    async with LateWriter(store_url).connected() as writer:
        cursor = await tail.now()
        far = await writer.write(3, age=-20 * 3600)
        near = await writer.write(2)
        assert (await read_on(tail, cursor))[0] == [*far, *near]


async def test_a_process_that_was_silent_for_long_goes_on_where_it_was(
    store_url: str, tail: LogTail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_tail, "SETTLED_SECONDS", 1)
    async with LateWriter(store_url).connected() as writer:
        await writer.write(5)
        await asyncio.sleep(2.5)
        cursor = await tail.now()
        assert cursor.known == {}
        written = await writer.write(2)
        found, cursor, _ = await read_on(tail, cursor)
        assert found == written
        assert (await read_on(tail, cursor))[0] == []


async def test_of_more_lines_than_asked_for_the_newest_are_read_and_the_rest_is_counted(
    store_url: str, tail: LogTail
) -> None:
    async with LateWriter(store_url).connected() as one, LateWriter(store_url).connected() as other:
        cursor = await tail.now()
        for _ in range(3):
            await one.write(10)
            await other.write(10)
        newest = [*one.written[-10:], *other.written[-10:]]
        found, end, skipped = await read_on(tail, cursor, most=25)
        assert sorted(found) == sorted(newest)
        assert skipped == 40
        assert (await read_on(tail, end))[0] == []


async def test_a_batch_that_was_read_in_part_is_read_on_from_there(store_url: str, tail: LogTail) -> None:
    async with LateWriter(store_url).connected() as writer:
        cursor = await tail.now()
        written = await writer.write(10)
        part = Cursor(cursor.born, cursor.since, {writer.id: writer.sequence - 1}, {writer.id: 4})
        found, _, skipped = await read_on(tail, part)
        assert (found, skipped) == (written[4:], 0)


async def test_it_is_read_up_to_another_cursor_and_not_beyond(store_url: str, tail: LogTail) -> None:
    async with LateWriter(store_url).connected() as writer, LateWriter(store_url).connected() as late:
        cursor = await tail.now()
        before = await writer.write(3)
        until = await tail.now()
        await writer.write(3)
        await late.write(3)
        news = await tail.news(cursor, most=100, until=until)
        assert ids_of(await tail.lines(news.batches)) == before
        assert news.end is until


async def test_lines_of_other_services_are_neither_read_nor_counted(store_url: str, tail: LogTail) -> None:
    async with LateWriter(store_url).connected() as mine, LateWriter(store_url, "bank").connected() as theirs:
        cursor = await tail.now()
        written = await mine.write(3)
        await theirs.write(30)
        news = await tail.news(cursor, most=5, services=frozenset(("shop",)))
        assert ids_of(await tail.lines(news.batches)) == written
        assert news.skipped == 0


@pytest.mark.parametrize("spoil", [lambda c: Cursor(c.born + 1, c.since, c.known), lambda c: Cursor(c.born, 1, {})])
async def test_a_cursor_of_another_store_or_of_long_ago_begins_now_and_says_so(
    store_url: str, tail: LogTail, spoil: Callable[[Cursor], Cursor]
) -> None:
    async with LateWriter(store_url).connected() as writer:
        cursor = await tail.now()
        await writer.write(3)
        news = await tail.news(spoil(cursor), most=100)
        assert (news.batches, news.exact) == ((), False)
        written = await writer.write(2)
        assert (await read_on(tail, news.end))[0] == written


async def test_lines_that_retention_has_dropped_are_left_out(store_url: str, tail: LogTail) -> None:
    async with LateWriter(store_url).connected() as writer:
        cursor = await tail.now()
        await writer.write(3)
        connection = await asyncpg.connect(store_url)
        await connection.execute("DELETE FROM watchglass.logs")
        await connection.close()
        kept = await writer.write(1)
        assert (await read_on(tail, cursor))[0] == kept
