"""Slow statements are captured with their parameters, seldom, bounded, and for a while only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from watchglass.analysis.fingerprints import of_statement
from watchglass.guard import as_own_work
from watchglass.instrumentation import slow_captures
from watchglass.instrumentation.asyncpg import AsyncPGInstrumentor
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.slow_captures import SlowCaptures

SLOW = "SELECT count(*) FROM pg_sleep(0.2) s, generate_series(1, $1::int) g"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def captures(clock: Clock) -> SlowCaptures:
    return SlowCaptures(0.1, clock)


def offer(captures: SlowCaptures, text: str = "SELECT $1", *arguments: object) -> None:
    captures.offer(text, None, arguments, 2.0, "shop")


def test_a_statement_is_captured_once_in_ten_minutes(captures: SlowCaptures, clock: Clock) -> None:
    for number in range(3):
        offer(captures, "SELECT $1", number)
    taken = captures.take()
    assert [statement.arguments for statement in taken] == [(0,)]
    assert taken[0].fingerprint == of_statement("SELECT $1")
    clock.now += 599
    offer(captures)
    assert captures.take() == []
    clock.now += 1
    offer(captures)
    assert len(captures.take()) == 1


def test_only_so_many_are_captured_a_minute(captures: SlowCaptures, clock: Clock) -> None:
    for number in range(100):
        offer(captures, f"SELECT a{number}")
    assert len(captures.take()) == slow_captures.PER_MINUTE
    clock.now += 60
    offer(captures, "SELECT another")
    assert len(captures.take()) == 1


def test_what_takes_much_memory_is_not_captured(captures: SlowCaptures) -> None:
    large: list[object] = ["x" * 200_000, b"x" * 200_000, ["x" * 1000] * 200, list(range(20_000)), [[[[["deep"]]]]]]
    for number, value in enumerate(large):
        offer(captures, f"SELECT a{number}, $1", value)
    offer(captures, "SELECT " + "1, " * 50_000)
    assert captures.take() == []


def test_the_latest_parameters_are_held_for_an_hour(captures: SlowCaptures, clock: Clock) -> None:
    offer(captures, "SELECT $1", 1)
    offer(captures, "SELECT $1", 2)
    fingerprint = of_statement("SELECT $1")
    held = captures.latest(fingerprint)
    assert held is not None
    assert held.arguments == (2,)
    clock.now += slow_captures.HELD_SECONDS
    assert captures.latest(fingerprint) is None
    captures.forget_old()
    assert not captures._held
    for number in range(200):
        offer(captures, f"SELECT a{number}")
    assert len(captures._held) == slow_captures.MOST_HELD


def test_parameters_are_in_no_representation(captures: SlowCaptures) -> None:
    offer(captures, "SELECT 'swordfish', $1", "swordfish")
    assert "swordfish" not in repr(captures.take())


@pytest.fixture
def instrumented() -> Iterator[SlowCaptures]:
    captures = SlowCaptures(0.1)
    AsyncPGInstrumentor().instrument(recorder=Recorder(), captures=captures)
    yield captures
    AsyncPGInstrumentor().uninstrument()


@pytest.fixture
async def connection(
    instrumented: SlowCaptures, database_url: str
) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def test_what_the_application_waits_for_is_captured(
    connection: asyncpg.Connection[asyncpg.Record], instrumented: SlowCaptures, database_url: str
) -> None:
    await connection.fetch(SLOW, 3)
    await connection.fetch("SELECT $1::int", 3)
    (captured,) = instrumented.take()
    assert (captured.text, captured.arguments) == (SLOW, (3,))
    assert captured.database == database_url.rpartition("/")[2]
    assert captured.seconds >= 0.2


async def test_prepared_statements_and_texts_without_parameters_are_captured(
    connection: asyncpg.Connection[asyncpg.Record], instrumented: SlowCaptures
) -> None:
    prepared = await connection.prepare(SLOW)
    await prepared.fetch(4)
    await connection.execute("SELECT pg_sleep(0.2) AS text_alone")
    assert [(one.text[:20], one.arguments) for one in instrumented.take()] == [
        (SLOW[:20], (4,)),
        ("SELECT pg_sleep(0.2)", ()),
    ]


async def test_a_statement_that_was_cancelled_is_captured(
    connection: asyncpg.Connection[asyncpg.Record], instrumented: SlowCaptures
) -> None:
    await connection.execute("SET statement_timeout = '200ms'")
    with pytest.raises(asyncpg.QueryCanceledError):
        await connection.fetch("SELECT pg_sleep($1)", 30)
    assert [one.arguments for one in instrumented.take()] == [(30,)]


async def test_what_changes_rows_is_captured_for_it_looks_for_them_first(
    connection: asyncpg.Connection[asyncpg.Record], instrumented: SlowCaptures
) -> None:
    await connection.execute("CREATE TABLE things (id int)")
    await connection.execute("INSERT INTO things VALUES (1)")
    text = "UPDATE things SET id = $1 WHERE id = $2 AND pg_sleep(0.2) IS NOT NULL"
    await connection.execute(text, 7, 1)
    (captured,) = instrumented.take()
    assert (captured.text, captured.shapes) == (text, ["$1 int", "$2 int"])


async def test_what_has_no_plan_to_ask_for_and_our_own_work_are_not_captured(
    connection: asyncpg.Connection[asyncpg.Record], instrumented: SlowCaptures
) -> None:
    await connection.execute("CREATE TABLE things (id int)")
    await connection.execute("INSERT INTO things SELECT 1 FROM pg_sleep(0.2)")
    await connection.execute("DO $$ BEGIN PERFORM pg_sleep(0.2); END $$")
    with as_own_work():
        await connection.fetch(SLOW, 3)
    assert instrumented.take() == []


async def test_what_many_rows_of_parameters_had_is_not_taken_for_those_of_one(
    connection: asyncpg.Connection[asyncpg.Record], instrumented: SlowCaptures
) -> None:
    await connection.execute("CREATE TEMP TABLE items (id int, name text)")
    slow = "UPDATE items SET name = $2 FROM pg_sleep(0.1) WHERE id = $1"
    await connection.executemany(slow, [(1, "a"), (2, "b")])
    (captured,) = instrumented.take()
    assert (captured.text, captured.arguments, captured.shapes) == (slow, None, [])
