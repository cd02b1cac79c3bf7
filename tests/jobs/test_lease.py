"""One process at a time holds the lease, also when one dies, is frozen, or all are behind pgbouncer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from watchglass import sql
from watchglass.errors import LeaseLost
from watchglass.jobs.lease import Lease
from watchglass.store.connection import connect, transaction

if TYPE_CHECKING:
    from watchglass.store.connection import Connection


async def test_one_holds_it_until_it_gives_it_up(connection: Connection) -> None:
    first, second = Lease("jobs", "a"), Lease("jobs", "b")
    assert await first.renew(connection)
    assert not await second.renew(connection)
    assert await first.renew(connection)
    assert (first.held, second.held, first.epoch) == (True, False, 1)
    await first.give_up(connection)
    assert not first.held
    assert await second.renew(connection)
    assert second.epoch == 2
    assert not await first.renew(connection)


async def test_leases_of_different_names_do_not_meet(connection: Connection) -> None:
    assert await Lease("jobs of shop", "a").renew(connection)
    assert await Lease("jobs of billing", "b").renew(connection)


async def test_of_many_who_ask_at_once_one_gets_it(store_url: str) -> None:
    connections = await asyncio.gather(*(connect(store_url) for _ in range(6)))
    leases = [Lease("jobs", str(number)) for number in range(6)]
    held = await asyncio.gather(*(lease.renew(c) for lease, c in zip(leases, connections, strict=True)))
    for one in connections:
        await one.close()
    assert sum(held) == 1


async def test_a_holder_that_died_is_replaced_when_its_time_is_over(connection: Connection) -> None:
    dead, next_one = Lease("jobs", "a", seconds=0.4), Lease("jobs", "b", seconds=30)
    assert await dead.renew(connection)
    assert not await next_one.renew(connection)
    await asyncio.sleep(0.5)
    assert await next_one.renew(connection)
    assert next_one.epoch == 2


async def test_a_holder_that_was_frozen_knows_that_it_holds_nothing_any_more(connection: Connection) -> None:
    frozen, next_one = Lease("jobs", "a", seconds=0.2), Lease("jobs", "b")
    await frozen.renew(connection)
    await asyncio.sleep(0.3)
    assert not frozen.held, "by its own clock, before it asks"
    await next_one.renew(connection)
    assert not await frozen.renew(connection)
    await frozen.give_up(connection)
    assert await next_one.renew(connection)


async def test_giving_up_late_does_not_take_it_from_the_next(connection: Connection) -> None:
    late, next_one = Lease("jobs", "a", seconds=0.1), Lease("jobs", "b")
    await late.renew(connection)
    await asyncio.sleep(0.2)
    await next_one.renew(connection)
    await late.give_up(connection)
    assert not await Lease("jobs", "c").renew(connection)


async def test_a_transaction_of_the_holder_is_refused_once_another_holds_it(connection: Connection) -> None:
    first, second = Lease("jobs", "a", seconds=0.2), Lease("jobs", "b")
    await first.renew(connection)
    async with first.transaction(connection, seconds=3):
        assert await connection.fetchval("SELECT 1") == 1
    await asyncio.sleep(0.3)
    await second.renew(connection)
    with pytest.raises(LeaseLost, match="Another process does the jobs now"):
        async with first.transaction(connection, seconds=3):
            pytest.fail("it did something on its old epoch")


async def test_what_a_holder_did_does_not_count_when_another_took_over_in_the_middle(
    connection: Connection, store_url: str
) -> None:
    first, second = Lease("jobs", "a", seconds=0.2), Lease("jobs", "b")
    await connection.execute("CREATE TABLE done (by text)")
    await first.renew(connection)
    other = await connect(store_url)
    with pytest.raises(LeaseLost):
        async with first.transaction(connection, seconds=3):
            await connection.execute("INSERT INTO done VALUES ('a')")
            await asyncio.sleep(0.3)
            assert await second.renew(other), "it waits for nobody"
    assert await connection.fetchval("SELECT count(*) FROM done") == 0
    await other.close()


async def test_nobody_takes_over_between_the_last_look_and_the_end(connection: Connection, store_url: str) -> None:
    first, second = Lease("jobs", "a", seconds=0.5), Lease("jobs", "b")
    await first.renew(connection)
    other = await connect(store_url)
    async with transaction(connection, seconds=3):
        assert await connection.fetchval(sql.load("leases")["hold_lease"], "jobs", "a", first.epoch)
        await asyncio.sleep(0.6)
        taking = asyncio.create_task(second.renew(other))
        await asyncio.sleep(0.3)
        assert not taking.done()
    assert await taking
    await other.close()
