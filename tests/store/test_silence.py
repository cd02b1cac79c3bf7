"""A server that does not answer holds up one question, and no other for a while."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from support.proxy import Proxy
from support.silent import silent_server
from watchglass.errors import DatabaseUnavailable
from watchglass.store import database as databases
from watchglass.store import silence
from watchglass.store.database import Database

ONE = "SELECT 1 AS one"


async def reasons(*databases: Database) -> list[str]:
    """Why each of them does not answer, all asked at the same time."""
    answers = await asyncio.gather(*(one.fetch(ONE) for one in databases), return_exceptions=True)
    assert all(isinstance(one, DatabaseUnavailable) for one in answers), answers
    return [str(one.fields["reason"]) for one in answers if isinstance(one, DatabaseUnavailable)]


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is known soon, and remembered for long."""
    monkeypatch.setattr(databases, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(silence, "SECONDS", 60.0)


def forget(database: Database) -> None:
    """Let the time pass for which it is remembered."""
    database._silence._until = time.monotonic()


async def test_of_many_questions_one_waits_in_vain(patience: None) -> None:
    async with silent_server() as silent:
        database = Database(silent.url)
        beside = database.beside("other")
        assert set(await reasons(database, database, database)) == {"nothing was heard from it in time"}
        assert silent.connections == 1
        assert set(await reasons(database, beside, beside, database)) == {"nothing was heard from it in time"}
        assert silent.connections == 1, "it is one server, on whichever connection it is asked"


async def test_after_a_while_one_goes_ahead_of_the_others(patience: None) -> None:
    async with silent_server() as silent:
        database = Database(silent.url)
        for tried in (2, 3, 4):
            await reasons(database, database, database.beside("other"))
            assert silent.connections == tried, "two connections at first, then one for both"
            forget(database)


async def test_another_server_is_asked_all_the_same(patience: None, store_url: str) -> None:
    async with silent_server() as silent:
        database = Database(silent.url)
        await reasons(database)
        other = database.beside("other", store_url)
        assert len(await other.fetch(ONE)) == 1
        await other.close()


async def test_it_answers_again_once_it_does(patience: None, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Proxy(store_url) as proxy:
        proxy.cut()
        database = Database(proxy.url)
        await reasons(database)
        proxy.mend()
        await reasons(database)
        forget(database)
        monkeypatch.setattr(databases, "CONNECT_SECONDS", 30.0)
        for _ in range(3):
            assert len(await database.fetch(ONE)) == 1
        await database.close()


async def test_a_connection_that_was_open_is_given_up_as_well(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Proxy(store_url) as proxy:
        database = Database(proxy.url)
        await database.fetch(ONE)
        monkeypatch.setattr(databases, "CONNECT_SECONDS", 0.3)
        proxy.cut()
        assert await reasons(database, database, database) == ["nothing was heard from it in time"] * 3
        proxy.mend()


async def test_a_refusal_is_not_remembered(free_port: int) -> None:
    database = Database(f"postgresql://app:secret@127.0.0.1:{free_port}/shop")
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable) as caught:
            await database.fetch(ONE)
        assert isinstance(caught.value.__cause__, OSError), "it was asked"


@pytest.mark.parametrize("readonly", [True, False])
async def test_one_backend_that_stands_still_is_left_for_another(store_url: str, readonly: bool) -> None:
    database = Database(store_url)
    [row] = await database.fetch("SELECT pg_backend_pid() AS pid")
    os.kill(row["pid"], signal.SIGSTOP)
    try:
        [other] = await database.fetch("SELECT pg_backend_pid() AS pid", readonly=readonly)
    finally:
        os.kill(row["pid"], signal.SIGCONT)
    assert other["pid"] != row["pid"]
    await database.close()


async def test_a_change_that_may_have_happened_is_not_made_again(store_url: str) -> None:
    database = Database(store_url)
    [row] = await database.fetch("SELECT pg_backend_pid() AS pid")
    made = 0

    async def change(fetch: databases.Fetch) -> None:
        nonlocal made
        made += 1
        await fetch("SELECT pg_terminate_backend($1)", row["pid"])
        await fetch(ONE)

    with pytest.raises(DatabaseUnavailable):
        await database.ask(change, readonly=False)
    assert made == 1
    await database.close()
