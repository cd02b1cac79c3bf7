"""Admins end what sessions of PostgreSQL do, or the sessions; the right ones, and it is written down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio

from support.databases import execute, fresh_database
from support.locking import NOW, Answer, asking, audited, end, named, session, until
from watchglass.demo.servers import PostgreSQL
from watchglass.store import activity as store
from watchglass.store.database import Database


@pytest_asyncio.fixture
async def client(shop: str) -> AsyncIterator[httpx.AsyncClient]:
    async with asking(shop) as client:
        yield client


@pytest_asyncio.fixture
async def sleeper(shop: str) -> AsyncIterator[tuple[Any, asyncio.Task[Any]]]:
    """A session named report that sleeps, and the task that waits for it."""
    async with session(shop, name="report") as connection:
        task = asyncio.create_task(connection.execute("SELECT pg_sleep(60), 'swordfish'"))
        yield connection, task
        task.cancel()
        await asyncio.wait([task])


async def running(client: httpx.AsyncClient, name: str = "report") -> Answer:
    answer = await until(client, lambda now: named(now["running"], name))
    return named(answer["running"], name)[0]


def idle(*names: str) -> Callable[[Answer], bool]:
    """Whether sessions of these names are idle in a transaction."""
    return lambda now: all(named(now["idle_in_transaction"], name) for name in names)


async def test_a_cancelled_statement_fails_and_its_session_stays(
    shop: str, client: httpx.AsyncClient, sleeper: tuple[Any, asyncio.Task[Any]]
) -> None:
    connection, task = sleeper
    one = await running(client)
    answer = await end(client, "cancel", one)
    assert (answer.status_code, answer.json()["done"]) == (200, True)
    with pytest.raises(asyncpg.QueryCanceledError):
        await task
    assert await connection.fetchval("SELECT 1") == 1
    ((actor, action, target, detail),) = audited(shop)
    assert (actor, action, target) == ("ann", "cancel session", str(one["pid"]))
    assert (detail["user"], detail["application"], detail["state"]) == ("app", "report", "active")
    assert detail["statement"] == "SELECT pg_sleep(?), ?"
    assert "refused" not in detail


async def test_a_terminated_session_gives_up_its_locks(shop: str, client: httpx.AsyncClient) -> None:
    async with (
        session(shop, "BEGIN", "UPDATE orders SET n = 1 WHERE id = 1", name="forgotten") as forgotten,
        session(shop, name="waiting") as waiting,
    ):
        task = asyncio.create_task(waiting.execute("UPDATE orders SET n = 2 WHERE id = 1"))
        now = await until(client, lambda now: now["locks"])
        (holder,) = named(now["idle_in_transaction"], "forgotten")
        answer = (await end(client, "cancel", holder)).json()
        assert not answer["done"]
        assert "no statement that could be cancelled" in answer["told"]
        answer = (await end(client, "terminate", holder)).json()
        assert answer == {"done": True, "told": f"The session {holder['pid']} has been ended."}
        assert await asyncio.wait_for(task, 60) == "UPDATE 1"
        with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.AdminShutdownError)):
            await forgotten.fetchval("SELECT 1")
        assert not (await client.get(NOW)).json()["locks"]
    refused, done = audited(shop)
    assert (refused[1], "refused" in refused[3]) == ("cancel session", True)
    assert (done[1], "refused" in done[3]) == ("terminate session", False)
    answer = (await end(client, "terminate", holder)).json()
    assert answer == {"done": False, "told": f"There is no session {holder['pid']} any more."}


@pytest.mark.parametrize("how", ["cancel", "terminate"])
async def test_a_session_that_ends_meanwhile_is_not_said_to_have_been_told(
    shop: str,
    client: httpx.AsyncClient,
    sleeper: tuple[Any, asyncio.Task[Any]],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    one, (connection, task) = await running(client), sleeper
    before = store.session

    async def found(database: Database, pid: int) -> store.Found:
        seen = await before(database, pid)
        connection.terminate()
        execute(shop, f"SELECT pg_terminate_backend({pid}, 30000)")
        await asyncio.wait([task])
        return seen

    monkeypatch.setattr(store, "session", found)
    assert (await end(client, how, one)).json() == {
        "done": False,
        "told": f"There is no session {one['pid']} any more.",
    }


@pytest.mark.parametrize("how", ["cancel", "terminate"])
async def test_another_session_that_has_got_the_number_lives_on(
    shop: str, client: httpx.AsyncClient, sleeper: tuple[Any, asyncio.Task[Any]], how: str
) -> None:
    one = await running(client)
    earlier = (datetime.fromisoformat(one["backend_start"]) - timedelta(microseconds=1)).isoformat()
    answer = (await end(client, how, one, backend_start=earlier)).json()
    assert not answer["done"]
    assert "another one by now" in answer["told"]
    database = Database(shop)
    ending = {"cancel": store.cancel, "terminate": store.terminate}[how]
    assert await ending(database, one["pid"], datetime.fromisoformat(earlier)) == store.Ending()
    await database.close()
    assert await running(client) == {**one, "seconds": pytest.approx(one["seconds"], abs=60)} | {
        "transaction_seconds": pytest.approx(one["transaction_seconds"], abs=60)
    }
    ((_, _, _, detail),) = audited(shop)
    assert "another one by now" in detail["refused"]


async def test_ones_own_sessions_are_never_ended(shop: str, client: httpx.AsyncClient) -> None:
    async with session(shop, "BEGIN", "SELECT /* watchglass:test */ 1", name="watchglass writer"):
        now = await until(client, lambda now: named(now["idle_in_transaction"], "watchglass writer"))
        (ours,) = named(now["idle_in_transaction"], "watchglass writer")
        assert ours["ours"]
        answer = (await end(client, "terminate", ours)).json()
        assert answer == {"done": False, "told": ours["why_not"]}
        assert "Watchglass's own" in answer["told"]


@pytest.mark.parametrize("how", ["cancel", "terminate"])
async def test_a_session_of_another_database_is_not_ended(
    shop: str, client: httpx.AsyncClient, postgres_server: PostgreSQL, how: str
) -> None:
    with fresh_database(postgres_server) as other:
        async with session(other, "BEGIN", name="other") as neighbour:
            [row] = await neighbour.fetch(
                "SELECT pid, backend_start, datname FROM pg_stat_activity WHERE pid = pg_backend_pid()"
            )
            one = {"pid": row["pid"], "backend_start": row["backend_start"].isoformat()}
            answer = (await end(client, how, one)).json()
            assert not answer["done"]
            assert (
                f"It is of the database {row['datname']}, and this page of {shop.rpartition('/')[2]}" in answer["told"]
            )
            assert f"SELECT pg_terminate_backend({row['pid']});" in answer["told"]
            assert await neighbour.fetchval("SELECT 1") == 1
    ((_, _, _, detail),) = audited(shop)
    assert "It is of the database" in detail["refused"]


async def test_it_needs_an_admin_their_token_and_a_confirmation(
    shop: str, client: httpx.AsyncClient, sleeper: tuple[Any, asyncio.Task[Any]]
) -> None:
    one = await running(client)
    async with asking(shop, role="viewer") as viewer:
        assert (await end(viewer, "terminate", one)).status_code == 403
    assert (await end(client, "terminate", one, confirm=False)).status_code == 422
    assert (await end(client, "terminate", {"pid": one["pid"], "backend_start": None})).status_code == 422
    token = client.headers.pop("x-csrf-token")
    assert (await end(client, "terminate", one)).status_code == 403
    client.headers["x-csrf-token"] = token
    client.headers["sec-fetch-site"] = "cross-site"
    assert (await end(client, "terminate", one)).status_code == 403
    client.headers.pop("sec-fetch-site")
    client.cookies.clear()
    assert (await end(client, "terminate", one)).status_code == 401
    assert not sleeper[1].done()
    assert not audited(shop)


async def test_what_the_role_may_not_end_is_refused_with_what_would_let_it(
    shop: str, client: httpx.AsyncClient, postgres_server: PostgreSQL
) -> None:
    database = shop.rpartition("/")[2]
    superuser = f"{postgres_server.superuser_url.rpartition('/')[0]}/{database}"
    execute(postgres_server.superuser_url, "CREATE ROLE guest LOGIN PASSWORD 'visits'")
    guest = f"postgresql://guest:visits@{superuser.rpartition('@')[2]}"
    execute(superuser, "GRANT pg_read_all_stats TO app")
    try:
        async with session(superuser, "BEGIN", name="operator"), session(guest, "BEGIN", name="guest"):
            now = await until(client, idle("operator", "guest"))
            (operator,) = named(now["idle_in_transaction"], "operator")
            (visitor,) = named(now["idle_in_transaction"], "guest")
            assert "superuser" in (await end(client, "terminate", operator)).json()["told"]
            assert "GRANT pg_signal_backend TO app;" in (await end(client, "terminate", visitor)).json()["told"]
            asked = Database(shop)
            for one in (operator, visitor):
                began = datetime.fromisoformat(one["backend_start"])
                assert await store.terminate(asked, one["pid"], began) == store.Ending(forbidden=True)
            await asked.close()
            assert idle("operator", "guest")((await client.get(NOW)).json())
            execute(superuser, "GRANT pg_signal_backend TO app")
            assert (await end(client, "terminate", visitor)).json()["done"]
    finally:
        execute(superuser, "REVOKE pg_read_all_stats, pg_signal_backend FROM app", "DROP ROLE guest")


async def test_what_cannot_be_written_down_is_not_done(
    shop: str, client: httpx.AsyncClient, sleeper: tuple[Any, asyncio.Task[Any]]
) -> None:
    one = await running(client)
    execute(shop, "ALTER TABLE watchglass.audit RENAME TO elsewhere")
    assert (await end(client, "terminate", one)).status_code == 503
    assert not sleeper[1].done()
    assert (await running(client))["pid"] == one["pid"]


@pytest.mark.parametrize("pid", ["0", "-1", "2147483648", "x"])
async def test_what_is_no_number_of_a_session_is_refused(client: httpx.AsyncClient, pid: str) -> None:
    body = {"backend_start": "2026-01-01T00:00:00Z", "confirm": True}
    answer = await client.post(f"/api/monitoring/postgres/sessions/{pid}/cancel", json=body)
    assert answer.status_code == 422


async def test_a_time_without_a_zone_is_refused(client: httpx.AsyncClient) -> None:
    body = {"backend_start": "2026-01-01T00:00:00", "confirm": True}
    answer = await client.post("/api/monitoring/postgres/sessions/1/cancel", json=body)
    assert answer.status_code == 422
