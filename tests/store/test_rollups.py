"""Coarser tiers say what the finer ones said, whoever rolls up, however often, and whatever comes late."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from support.connections import connections
from support.rows import Fetch, instance
from watchglass.analysis.buckets import pack
from watchglass.analysis.tiers import DAY, HOUR, MINUTE
from watchglass.analysis.windows import Window
from watchglass.jobs.rollup import roll_up_all
from watchglass.records import Batch, Point, Series
from watchglass.store import chunks
from watchglass.store.reader import Group, Reader
from watchglass.store.rollups import roll_up
from watchglass.store.writer import Writer

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

NAMES = ("latency", "requests", "memory")
TO_DO_AGAIN = "SELECT count(*) FROM watchglass.late_chunks JOIN watchglass.rollups USING (width) WHERE time < until"


@pytest.fixture
def yesterday(store_url: str) -> int:
    """Its start in unix seconds; there are partitions of it since the store was made."""
    return int(time.time()) // DAY * DAY - DAY


@pytest.fixture
async def other(store_url: str) -> AsyncIterator[Writer]:
    """A second process of the same release."""
    writer = Writer(store_url, instance())
    await writer.open()
    yield writer
    await writer.close()


def points(start: int, seconds: int, seed: int = 1) -> list[Point]:
    """What a process could have measured: two endpoints, their requests, and a state."""
    chance = random.Random(seed)
    found = []
    for moment in range(start, start + seconds, 10):
        for route in ("/a", "/b"):
            if chance.random() < 0.7:
                buckets = {chance.randint(-40, 40): chance.randint(1, 5) for _ in range(4)}
                count, low = sum(buckets.values()), chance.random()
                series = Series("latency", "histogram", "s", (("http.route", route),))
                found.append(Point(series, moment, count, count * 0.25, low, low + 1, pack(buckets)))
                found.append(Point(Series("requests", "counter", "1", (("http.route", route),)), moment, 1, count))
        value = chance.uniform(1, 9)
        found.append(Point(Series("memory", "gauge", "By", ()), moment, 1, value, value, value))
    return found


async def restart(connection: Connection, start: int) -> None:
    """Have nothing rolled up from `start` on."""
    await connection.execute(
        "UPDATE watchglass.rollups SET until = to_timestamp($1::float8) WHERE width > 10", float(start)
    )
    await connection.execute("DELETE FROM watchglass.late_chunks")


async def roll_up_everything(connection: Connection) -> int:
    done = 0
    for width in (MINUTE, HOUR, DAY):
        while await roll_up(connection, width):
            done += 1
    return done


async def answers(dsn: str, window: Window, by: Sequence[str] = ("http.route",)) -> list[Any]:
    """What a new reader answers to all kinds of questions, sums as far as they are the same in any order."""
    reader = Reader(dsn)
    found = []
    for name in NAMES:
        for step in (None, 300, HOUR):
            groups = await reader.select(name, window, by=by, step=step)
            found.append((name, step, [plain(group, name) for group in groups]))
    await reader.close()
    return found


def plain(group: Group, name: str) -> Any:
    pairs = sorted(group.buckets[i : i + 6] for i in range(0, len(group.buckets), 6))
    count = group.count if name != "requests" else None
    return group._replace(count=count, sum=round(group.sum, 6), buckets=b"".join(pairs))  # type: ignore[arg-type]


async def test_tiers_say_what_was_written(
    writer: Writer, other: Writer, connection: Connection, store_url: str, yesterday: int
) -> None:
    await writer.write(Batch(1, points(yesterday, 3 * HOUR)))
    await other.write(Batch(1, points(yesterday, 3 * HOUR, seed=2)))
    await restart(connection, yesterday)
    window = Window(yesterday, yesterday + 3 * HOUR)
    before = await answers(store_url, window)
    assert await roll_up_everything(connection) > 6
    await connection.execute("DELETE FROM watchglass.metrics_10s")
    assert await answers(store_url, window) == before
    await connection.execute("DELETE FROM watchglass.metrics_1m")
    assert [one for one in await answers(store_url, window) if one[1] != 300] == [
        one for one in before if one[1] != 300
    ]


async def test_a_window_that_cuts_hours_and_minutes_is_exact_too(
    writer: Writer, connection: Connection, store_url: str, yesterday: int
) -> None:
    await writer.write(Batch(1, points(yesterday, 5 * HOUR)))
    await restart(connection, yesterday)
    windows = [Window(yesterday + 1234, yesterday + 4 * HOUR + 777), Window(yesterday + 10, yesterday + 1810)]
    before = [await answers(store_url, window) for window in windows]
    await roll_up_everything(connection)
    assert [await answers(store_url, window) for window in windows] == before


async def test_what_comes_late_is_rolled_up_again_through_all_tiers(
    writer: Writer, connection: Connection, store_url: str, yesterday: int
) -> None:
    await writer.write(Batch(1, points(yesterday, HOUR)))
    await roll_up_everything(connection)
    reader = Reader(store_url)
    window = Window(yesterday, yesterday + DAY)
    [before] = await reader.select("requests", window)
    late = Point(Series("requests", "counter", "1", (("http.route", "/a"),)), yesterday + 600, 1, 1000.0)
    await writer.write(Batch(2, [late]))
    await roll_up_everything(connection)
    await connection.execute("DELETE FROM watchglass.metrics_10s; DELETE FROM watchglass.metrics_1m")
    [after] = await reader.select("requests", window)
    assert after.sum == before.sum + 1000
    assert await connection.fetchval(TO_DO_AGAIN) == 0
    await reader.close()


async def test_a_reader_that_has_kept_what_was_closed_sees_what_came_late(
    writer: Writer, connection: Connection, store_url: str, yesterday: int
) -> None:
    await writer.write(Batch(1, points(yesterday, HOUR)))
    await roll_up_everything(connection)
    reader = Reader(store_url)
    window = Window(yesterday, yesterday + HOUR)
    [before] = await reader.select("requests", window, step=None)
    assert [await reader.select("requests", window)] == [[before]]
    late = Point(Series("requests", "counter", "1", ()), yesterday + 600, 1, 1000.0)
    for sequence in (2, 3):
        await writer.write(Batch(sequence, [late]))
        await roll_up_everything(connection)
        [after] = await reader.select("requests", window)
        assert after.sum == before.sum + 1000 * (sequence - 1)
    await reader.close()


async def test_what_came_late_is_there_before_it_is_rolled_up_again(
    writer: Writer, connection: Connection, store_url: str, yesterday: int
) -> None:
    await writer.write(Batch(1, points(yesterday, 3 * HOUR)))
    await roll_up_everything(connection)
    reader = Reader(store_url)
    window = Window(yesterday, yesterday + 3 * HOUR)
    before = {
        step: sum(group.sum for group in await reader.select("requests", window, step=step)) for step in (None, 60)
    }
    await writer.write(Batch(2, [Point(Series("requests", "counter", "1", ()), yesterday + 4000, 1, 1000.0)]))
    for step, amount in before.items():
        assert sum(group.sum for group in await reader.select("requests", window, step=step)) == amount + 1000
    await reader.close()


async def test_the_last_sample_of_a_slot_is_its_last_whichever_tier_its_parts_come_from(
    writer: Writer, connection: Connection, store_url: str, yesterday: int
) -> None:
    memory = Series("memory", "gauge", "By", ())
    await writer.write(
        Batch(1, [Point(memory, yesterday + half * 1800, 1, half, half, half) for half in range(48)])  # type: ignore[arg-type]
    )
    await roll_up_everything(connection)
    reader = Reader(store_url)
    for start in (12 * HOUR, 12 * HOUR + 1800):
        window = Window(yesterday + start, yesterday + DAY)
        assert [group.last for group in await reader.select("memory", window)] == [47]
        assert [group.last for group in await reader.select("memory", window, step=4 * HOUR)] == [31, 39, 47]
    await reader.close()


async def test_series_and_processes_in_any_number_are_rolled_up_in_parts(
    writer: Writer,
    other: Writer,
    connection: Connection,
    store_url: str,
    monkeypatch: pytest.MonkeyPatch,
    yesterday: int,
) -> None:
    await writer.write(Batch(1, points(yesterday, 2 * HOUR)))
    await other.write(Batch(1, points(yesterday, 2 * HOUR, seed=2)))
    await restart(connection, yesterday)
    window = Window(yesterday, yesterday + 2 * HOUR)
    before = await answers(store_url, window)
    monkeypatch.setattr(chunks, "AT_ONCE", 1)
    await roll_up_everything(connection)
    await connection.execute("DELETE FROM watchglass.metrics_10s; DELETE FROM watchglass.metrics_1m")
    after = await answers(store_url, window)
    assert [one for one in after if one[1] != 300] == [one for one in before if one[1] != 300]
    edges = [edge for series in chunks.ranges(7) for edge in series]
    assert edges[0] == -(2**63) and edges[-1] == 2**63 - 1
    assert all(end + 1 == start for end, start in zip(edges[1::2], edges[2::2], strict=False))


async def test_rolling_up_again_changes_nothing(
    writer: Writer, connection: Connection, store_url: str, yesterday: int
) -> None:
    await writer.write(Batch(1, points(yesterday, HOUR)))
    window = Window(yesterday, yesterday + HOUR)
    await roll_up_everything(connection)
    before = await answers(store_url, window)
    await restart(connection, yesterday)
    await roll_up_everything(connection)
    assert await answers(store_url, window) == before


async def test_nothing_is_rolled_up_before_its_time(connection: Connection) -> None:
    await connection.execute(
        "UPDATE watchglass.rollups SET until = date_bin('30 min', now(), 'epoch') WHERE width = 60"
    )
    assert not await roll_up(connection, MINUTE)
    await connection.execute("UPDATE watchglass.rollups SET until = until - interval '30 min' WHERE width = 60")
    late = int(time.time()) % 1800
    if 70 < late < 1790:
        assert await roll_up(connection, MINUTE)
    await connection.execute("UPDATE watchglass.rollups SET until = now() + interval '2 days' WHERE width = 60")
    assert not await roll_up(connection, MINUTE)


async def test_an_hour_waits_for_its_minutes_and_a_day_for_its_hours(connection: Connection, yesterday: int) -> None:
    await restart(connection, yesterday)
    assert not await roll_up(connection, HOUR)
    assert not await roll_up(connection, DAY)
    await roll_up(connection, MINUTE)
    assert not await roll_up(connection, HOUR)
    await roll_up(connection, MINUTE)
    assert await roll_up(connection, HOUR)
    assert not await roll_up(connection, DAY)


async def test_two_who_roll_up_at_once_do_it_once(
    writer: Writer, connection: Connection, store_url: str, yesterday: int
) -> None:
    await writer.write(Batch(1, points(yesterday, 4 * HOUR)))
    await restart(connection, yesterday)
    window = Window(yesterday, yesterday + 4 * HOUR)
    before = await answers(store_url, window)
    async with connections(store_url, 4) as several:
        for _ in range(8):
            await asyncio.gather(*(roll_up(one, MINUTE) for one in several))
    await roll_up_everything(connection)
    assert await answers(store_url, window) == before


async def test_one_that_is_cut_off_in_the_middle_leaves_nothing_half_done(
    writer: Writer, connection: Connection, store_url: str, fetch: Fetch, yesterday: int
) -> None:
    await writer.write(Batch(1, points(yesterday, HOUR)))
    await restart(connection, yesterday)
    window = Window(yesterday, yesterday + HOUR)
    before = await answers(store_url, window)
    await fetch("CREATE FUNCTION pg_temp.fail() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'cut off'; END$$")
    await fetch("CREATE TRIGGER cut BEFORE UPDATE ON watchglass.rollups EXECUTE FUNCTION pg_temp.fail()")
    with pytest.raises(Exception, match="cut off"):
        await roll_up(connection, MINUTE)
    await fetch("DROP TRIGGER cut ON watchglass.rollups")
    assert await fetch("SELECT FROM watchglass.metrics_1m") == []
    await roll_up_everything(connection)
    assert await answers(store_url, window) == before


async def test_amounts_become_those_of_a_release_and_states_stay_those_of_a_process(
    writer: Writer, other: Writer, connection: Connection, store_url: str, fetch: Fetch, yesterday: int
) -> None:
    await writer.write(Batch(1, points(yesterday, HOUR)))
    await other.write(Batch(1, points(yesterday, HOUR, seed=2)))
    await restart(connection, yesterday)
    await roll_up_everything(connection)
    rows = await fetch(
        "SELECT name, attributes, count(*) FROM watchglass.metrics_1h JOIN watchglass.series ON id = series_id"
        " GROUP BY 1, 2 ORDER BY 1, 2"
    )
    assert [(row["name"], row["count"]) for row in rows] == [
        *[("latency", 1), ("latency", 1), ("memory", 2), ("requests", 1), ("requests", 1)]
    ]
    reader = Reader(store_url)
    window = Window(yesterday, yesterday + HOUR)
    for name in NAMES:
        assert len(await reader.select(name, window, by=("service.instance.id",))) == 2, "from minutes where need be"
        assert len(await reader.select(name, window, by=("service.version",))) == 1
    await reader.close()


async def test_a_long_absence_is_made_up_for_in_turns(writer: Writer, connection: Connection, yesterday: int) -> None:
    await restart(connection, yesterday - DAY)
    async with writer.borrow():
        pass
    assert await roll_up_all(writer.borrow, seconds=0.0) == 0
    done = 0
    async with asyncio.timeout(60):
        while done < 48 + 24 + 1:
            done += await roll_up_all(writer.borrow, seconds=0.2)


async def test_by_hand_each_moment_is_there_once_in_its_finest_form(
    writer: Writer, connection: Connection, fetch: Fetch, yesterday: int
) -> None:
    await writer.write(Batch(1, points(yesterday, HOUR)))
    total = await connection.fetchval("SELECT sum(value) FROM watchglass.metrics_flat WHERE metric_name = 'requests'")
    await roll_up_everything(connection)
    query = "SELECT sum(value) AS total, min((metadata ->> 'seconds')::int) AS seconds FROM watchglass.metrics_flat"
    for tier, width in (("10s", 10), ("1m", 60), ("1h", 3600)):
        [row] = await fetch(f"{query} WHERE metric_name = 'requests'")
        assert (row["total"], row["seconds"]) == (total, width)
        await connection.execute(f"DELETE FROM watchglass.metrics_{tier}")
        await connection.execute(
            f"UPDATE watchglass.rollups SET since = to_timestamp({yesterday + DAY}) WHERE width = {width}"
        )
