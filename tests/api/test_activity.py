"""PostgreSQL now: sessions of real processes that lock each other out, and the requests that hold them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio

from support import pipelines
from support.databases import execute, fresh_database
from support.locking import APP, NOW, TABLE, Answer, asking, end, named, requests, session, until
from support.pgbouncer import PgBouncer
from support.programs import need
from support.service import Service
from watchglass.api.activity_words import POOLED
from watchglass.demo.servers import PostgreSQL
from watchglass.store import activity as store
from watchglass.store.migrations import migrate


@pytest.fixture
def service(shop: str, tmp_path: Path) -> Iterator[Service]:
    with Service(shop, tmp_path, app=APP) as service:
        yield service


@pytest_asyncio.fixture
async def client(shop: str) -> AsyncIterator[httpx.AsyncClient]:
    async with asking(shop) as client:
        yield client


@pytest_asyncio.fixture
async def prepared_url() -> AsyncIterator[str]:
    """A shop's database on a server that keeps prepared transactions."""
    with PostgreSQL(settings={"max_prepared_transactions": "5"}) as server:
        await migrate(server.url)
        execute(server.url, *TABLE)
        yield server.url


@asynccontextmanager
async def watching(server: PostgreSQL, database: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API whose role has pg_monitor, beside a store that is the service's."""
    place = server.superuser_url.rpartition("/")[0]
    execute(server.superuser_url, "CREATE ROLE watcher LOGIN PASSWORD 'watches' IN ROLE pg_monitor")
    try:
        mine = f"postgresql://watcher:watches@{place.rpartition('@')[2]}/{database}"
        async with asking(mine, database_url=f"{server.url.rpartition('/')[0]}/{database}") as client:
            yield client
    finally:
        execute(server.superuser_url, "DROP ROLE watcher")


def shape(node: Answer) -> Any:
    """A tree by endpoints."""
    name = node["session"]["endpoint"]
    return (name, [shape(one) for one in node["waiters"]]) if node["waiters"] else name


def chain(answer: Answer) -> list[Answer]:
    """The nodes of one tree without branches, from its root on."""
    [node] = answer["locks"]
    nodes = [node]
    while nodes[-1]["waiters"]:
        [node] = nodes[-1]["waiters"]
        nodes.append(node)
    return nodes


async def test_a_chain_of_locks_names_the_requests_of_every_process_in_it(
    shop: str, service: Service, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with Service(shop, other, app=APP) as second:
        begun = (service, "POST", "/orders/1"), (second, "POST", "/moves/2/1"), (service, "PUT", "/orders/2")
        async with requests(*begun) as tasks:
            wanted = ("POST /orders/{order}", [("POST /moves/{first}/{second}", ["PUT /orders/{order}"])])
            answer = await until(client, lambda now: shape(now["locks"][0]) == wanted)
            root, middle, last = chain(answer)
            holder, mover, changer = (one["session"] for one in (root, middle, last))
        ids = [(await task).headers["x-trace-id"] for task in tasks]

    assert [one["trace_id"] for one in (holder, mover, changer)] == ids
    assert [one["process_pid"] for one in (holder, mover, changer)] == [service.pid, second.pid, service.pid]
    assert holder["instance"] == changer["instance"] != mover["instance"]
    assert {one["service"] for one in (holder, mover, changer)} == {"shop"}
    assert (root["granted"], root["on"], root["mode"], root["waiters_total"]) == (True, None, None, 2)
    assert (middle["granted"], middle["on"], middle["mode"]) == (False, "row of table orders", "ShareLock")
    assert middle["seconds"] > last["seconds"] > 0
    assert (holder["state"], holder["waits_for"], holder["relation"]) == ("idle in transaction", [], None)
    assert (mover["waits_for"], mover["relation"], mover["wait"]) == ([holder["pid"]], "orders", "Lock: transactionid")
    assert (mover["why_not"], mover["ours"], mover["request_ended"]) == (None, False, False)
    assert changer["statement"] == "UPDATE orders SET n = n + ? WHERE id = $1 AND note <> ?"
    assert [one["pid"] for one in answer["waiting"]] == [mover["pid"], changer["pid"]]
    assert {one["pid"] for one in answer["blocking"]} == {holder["pid"], mover["pid"]}
    assert [one["pid"] for one in answer["idle_in_transaction"] if not one["ours"]] == [holder["pid"]]
    assert set(answer["left_off"].values()) == {0}
    assert answer["sentence"].startswith("2 sessions wait for a lock, the longest for")
    assert "behind POST /orders/{order}; 1 session idle in a transaction" in answer["sentence"]
    assert "swordfish" not in str(answer)


async def test_a_request_that_left_a_transaction_open_is_named_after_its_end(
    service: Service, client: httpx.AsyncClient
) -> None:
    async with requests((service, "POST", "/left/1"), (service, "PUT", "/orders/1")) as tasks:
        left = await tasks[0]
        answer = await until(client, lambda now: now["locks"][0]["session"]["endpoint"])
    holder = answer["locks"][0]["session"]
    assert (holder["endpoint"], holder["request_ended"]) == ("POST /left/{order}", True)
    assert holder["trace_id"] == left.headers["x-trace-id"]
    assert "behind POST /left/{order}, which has ended" in answer["sentence"]


async def test_what_a_request_does_after_its_response_is_its_own(service: Service, client: httpx.AsyncClient) -> None:
    async with requests((service, "POST", "/later/1"), (service, "PUT", "/orders/1")):
        answer = await until(client, lambda now: now["locks"][0]["session"]["endpoint"])
    assert answer["locks"][0]["session"]["endpoint"] == "POST /later/{order}"


async def test_what_a_process_does_for_no_request_is_named_by_the_process(
    service: Service, client: httpx.AsyncClient
) -> None:
    async with requests((service, "POST", "/control/unasked/1"), (service, "PUT", "/orders/1")):
        answer = await until(client, lambda now: now["locks"][0]["session"]["instance"])
    holder = answer["locks"][0]["session"]
    assert (holder["process_pid"], holder["endpoint"], holder["trace_id"]) == (service.pid, None, None)


async def test_who_has_given_a_connection_back_holds_nothing(
    shop: str, service: Service, client: httpx.AsyncClient
) -> None:
    async with requests((service, "POST", "/orders/1")):
        await until(client, lambda now: now["idle_in_transaction"][0]["endpoint"])
    held = "SELECT FROM watchglass.backends"
    await asyncio.to_thread(pipelines.until, lambda: not pipelines.fetch(shop, held))
    async with session(shop, "BEGIN"):
        answer = await until(client, lambda now: named(now["idle_in_transaction"], "psql"))
    assert {one["endpoint"] for one in answer["idle_in_transaction"]} == {None}


async def test_a_session_that_runs_is_not_one_that_waits(shop: str, client: httpx.AsyncClient) -> None:
    async with session(shop, name="report") as connection:
        task = asyncio.create_task(connection.execute("SELECT pg_sleep(30), 'swordfish'"))
        answer = await until(client, lambda now: named(now["running"], "report"))
        task.cancel()
    (one,) = named(answer["running"], "report")
    assert (one["state"], one["wait"], one["statement"]) == ("active", "Timeout: PgSleep", "SELECT pg_sleep(?), ?")
    assert (answer["waiting"], answer["blocking"], answer["locks"]) == ([], [], [])
    assert {"application": "report", "user": "app", "count": 1} in answer["connections"]["by_application"]
    by_state = {one["state"]: one["count"] for one in answer["connections"]["by_state"]}
    found = answer["connections"]
    assert sum(by_state.values()) + found["ours"] == found["used"] <= found["limit"]
    assert by_state["active"] >= 1 and found["ours"] >= 1


async def test_what_waits_in_another_database_is_not_of_this_page(
    shop: str, client: httpx.AsyncClient, postgres_server: PostgreSQL
) -> None:
    lock = "SELECT pg_advisory_xact_lock(42)"
    with fresh_database(postgres_server) as other:
        async with session(other, "BEGIN", lock), session(other, "BEGIN", name="other") as waiting:
            task = asyncio.create_task(waiting.execute(lock))
            await asyncio.to_thread(
                pipelines.until, lambda: pipelines.fetch(shop, "SELECT FROM pg_locks WHERE NOT granted")
            )
            answer = (await client.get(NOW)).json()
            task.cancel()
    assert (answer["waiting"], answer["blocking"], answer["locks"]) == ([], [], [])
    assert answer["sentence"].startswith("No session waits for a lock")


async def test_a_session_that_was_not_looked_for_is_not_said_to_have_ended(
    shop: str, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MOST_LOCKED", 1)
    lock = "SELECT pg_advisory_lock(7)"
    async with session(shop, lock, name="holder") as holder, session(shop, name="waiter") as waiting:
        task = asyncio.create_task(waiting.execute(lock))
        answer = await until(client, lambda now: now["locks"])
        pid = await holder.fetchval("SELECT pg_backend_pid()")
        task.cancel()
    (root,) = answer["locks"]
    assert root["session"]["pid"] == pid and "It was not looked at" in root["session"]["why_not"]
    assert f"WHERE pid = {pid};" in root["session"]["why_not"]
    assert [one["application"] for one in answer["waiting"]] == ["waiter"]


async def test_an_ordinary_role_is_told_what_it_does_not_see(
    shop: str, client: httpx.AsyncClient, postgres_server: PostgreSQL
) -> None:
    database = shop.rpartition("/")[2]
    superuser = f"{postgres_server.superuser_url.rpartition('/')[0]}/{database}"
    async with (
        session(superuser, "BEGIN", "LOCK TABLE orders", name="operator"),
        session(shop, name="reports") as waiting,
    ):
        task = asyncio.create_task(waiting.execute("SELECT FROM orders"))
        answer = await until(client, lambda now: now["locks"])
        async with watching(postgres_server, database) as watcher:
            seen = await until(watcher, lambda now: now["locks"])
        task.cancel()
    (hidden, shown) = (one["locks"][0]["session"] for one in (answer, seen))
    assert (hidden["user"], hidden["application"], hidden["state"]) == ("postgres", "operator", "unknown")
    assert [hidden[name] for name in ("backend_start", "statement", "client", "seconds")] == [None] * 4
    assert "GRANT pg_monitor TO app;" in hidden["why_not"]
    assert answer["role"]["name"] == "app"
    assert not answer["role"]["sees_all"]
    assert "GRANT pg_monitor TO app;" in answer["role"]["would_add"]
    assert any("does not see what" in told and "GRANT pg_monitor TO app;" in told for told in answer["told"])
    (node,) = answer["locks"][0]["waiters"]
    assert (node["on"], node["mode"], node["session"]["application"]) == ("table orders", "AccessShareLock", "reports")

    assert (shown["pid"], shown["state"], shown["statement"]) == (
        hidden["pid"],
        "idle in transaction",
        "LOCK TABLE orders",
    )
    assert "superuser" in shown["why_not"]
    assert seen["role"] == {"name": "watcher", "sees_all": True, "would_add": None}
    assert not [told for told in seen["told"] if "does not see" in told]
    (node,) = seen["locks"][0]["waiters"]
    assert "GRANT pg_signal_backend TO watcher;" in node["session"]["why_not"]


async def test_behind_pgbouncer_it_says_that_sessions_have_no_names(
    shop: str, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    with (
        PgBouncer(need("pgbouncer", package="pgbouncer"), shop, size=20) as pgbouncer,
        Service(pgbouncer.url, tmp_path, app=APP) as service,
    ):
        async with (
            requests((service, "POST", "/orders/1"), (service, "PUT", "/orders/1")),
            asking(pgbouncer.url) as behind,
        ):
            answers = [await until(one, lambda now: now["locks"] and POOLED in now["told"]) for one in (client, behind)]
            (waiting,) = answers[1]["waiting"]
            assert (waiting["ours"], waiting["application"], waiting["why_not"]) == (False, None, None)
            assert (await end(behind, "cancel", waiting)).json()["done"]
    for answer in answers:
        (tree,) = answer["locks"]
        assert [tree["session"][name] for name in ("trace_id", "endpoint", "instance")] == [None] * 3
        assert tree["session"]["state"] == "idle in transaction"
        assert tree["waiters"][0]["on"] == "row of table orders"


async def test_pools_of_every_process_are_shown(shop: str, service: Service, tmp_path: Path) -> None:
    async with requests((service, "POST", "/orders/1"), (service, "PUT", "/orders/1")), asking(shop) as client:
        answer = await until(client, lambda now: [one for one in now["pool"] if one["used"] == 2])
    (pool,) = answer["pool"]
    assert (pool["max"], pool["waiting"], pool["timeouts"], pool["process_pid"]) == (5, 0, 0.0, service.pid)
    assert pool["name"].endswith(shop.rpartition("@")[2])
    assert (pool["size"], answer["pool_window_seconds"]) == (pool["idle"] + pool["used"], 300)


async def test_a_prepared_transaction_in_the_way_is_named(prepared_url: str) -> None:
    async with (
        session(prepared_url, "BEGIN", "UPDATE orders SET n = 1 WHERE id = 1", "PREPARE TRANSACTION 'move ''7'''"),
        session(prepared_url) as waiting,
        asking(prepared_url) as client,
    ):
        task = asyncio.create_task(waiting.execute("UPDATE orders SET n = 2 WHERE id = 1"))
        answer = await until(client, lambda now: now["locks"])
        task.cancel()
    root = answer["locks"][0]["session"]
    assert (root["pid"], root["state"], root["user"]) == (0, "prepared transaction", "app")
    assert "ROLLBACK PREPARED 'move ''7''';" in root["why_not"]
    assert "behind a prepared transaction" in answer["sentence"]


async def test_of_several_prepared_transactions_the_wrong_one_is_never_told_to_be_ended(prepared_url: str) -> None:
    def prepared(name: str, statement: str) -> AbstractAsyncContextManager[asyncpg.Connection[asyncpg.Record]]:
        return session(prepared_url, "BEGIN", statement, f"PREPARE TRANSACTION '{name}'")

    ending = "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

    async def in_the_way(of: str, wait: str) -> str:
        async with session(prepared_url) as waiting, asking(prepared_url) as client:
            task = asyncio.create_task(waiting.execute(of))
            answer = await until(client, lambda now: [one["wait"] for one in now["waiting"]] == [f"Lock: {wait}"])
            await asyncio.to_thread(execute, prepared_url, ending)
            await asyncio.wait([task])
            return str(answer["locks"][0]["session"]["why_not"])

    async with (
        prepared("innocent", "CREATE TABLE aside (n int)"),
        prepared("guilty", "UPDATE orders SET n = 1 WHERE id = 1"),
    ):
        assert "ROLLBACK PREPARED 'guilty';" in await in_the_way(
            "UPDATE orders SET n = 2 WHERE id = 1", "transactionid"
        )
        told = await in_the_way("TRUNCATE orders", "relation")
        assert "one of 2 prepared transactions" in told
        assert "innocent" not in told
    execute(prepared_url, "ROLLBACK PREPARED 'guilty'")
    execute(prepared_url, "ROLLBACK PREPARED 'innocent'")


async def test_without_the_database_it_says_why(shop: str, client: httpx.AsyncClient) -> None:
    nowhere = f"{shop.rpartition('@')[0]}@127.0.0.1:1/shop"
    async with asking(nowhere, database_url=shop) as elsewhere:
        answer = (await elsewhere.get(NOW)).json()
    assert (answer["server"], answer["connections"], answer["locks"]) == (None, None, [])
    assert [told for told in answer["told"] if "the connection is refused" in told]
    assert answer["sentence"] in answer["told"]


async def test_it_is_for_those_who_were_let_in(shop: str, client: httpx.AsyncClient) -> None:
    async with asking(shop, role="viewer") as viewer:
        assert (await viewer.get(NOW)).status_code == 200
        viewer.cookies.clear()
        assert (await viewer.get(NOW)).status_code == 401


async def test_it_is_answered_when_all_connections_are_taken() -> None:
    with PostgreSQL(settings={"max_connections": "12"}) as server:
        await migrate(server.url)
        async with asking(server.url) as client, AsyncExitStack() as taking:  # the store's connection is open by now
            await taking.enter_async_context(session(server.url, "BEGIN", name="greedy"))
            with suppress(asyncpg.TooManyConnectionsError):
                while True:
                    await taking.enter_async_context(session(server.url, name="greedy"))
            answer = (await client.get(NOW)).json()
            assert answer["server"], answer["told"]
            assert answer["connections"]["used"] == answer["connections"]["limit"] - answer["connections"]["reserved"]
            (greedy,) = named(answer["idle_in_transaction"], "greedy")
            assert (await end(client, "terminate", greedy)).json()["done"]
