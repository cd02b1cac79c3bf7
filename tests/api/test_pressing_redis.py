"""What presses of Redis: a real one that ends, is frozen, has no connection left, or refuses us."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from redis.asyncio import Redis as Client

from watchglass.api.answers import Pressing
from watchglass.api.context import Context
from watchglass.api.pressing import known
from watchglass.api.pressing_redis import of_redis
from watchglass.demo.servers.redis import Redis

Make = Callable[..., Context]


@pytest.fixture
def own_redis() -> Iterator[Redis]:
    """One that a test may stop."""
    with Redis() as server:
        yield server


@pytest.fixture
async def client(own_redis: Redis) -> AsyncIterator[Client]:
    async with Client.from_url(own_redis.url) as client:
        yield client


async def said(context: Context) -> str:
    """The sentence that there is."""
    [found] = await of_redis(context)
    assert found.what == "redis"
    return found.sentence


async def test_one_that_answers_is_not_in_the_way(context: Make, redis_url: str) -> None:
    assert await of_redis(context(redis_url=redis_url)) == []


async def test_where_none_is_set_or_it_is_another_process_nobody_asks(context: Make, free_port: int) -> None:
    assert await of_redis(context()) == []
    aside = context(redis_url=f"redis://127.0.0.1:{free_port}")
    aside.aside = True
    assert await of_redis(aside) == []


async def test_where_nothing_listens_it_is_said_beside_what_postgresql_says(context: Make, free_port: int) -> None:
    address = f"127.0.0.1:{free_port}"
    asked = context(redis_url=f"redis://:secret@{address}/0")
    sentence = f"Redis at {address} cannot be used: nothing listens there"
    assert await known(asked) == [Pressing(what="redis", sentence=sentence)]


async def test_one_that_is_frozen_does_not_answer_until_it_goes_on(context: Make, own_redis: Redis) -> None:
    asked = context(redis_url=own_redis.url)
    os.kill(own_redis.pid, signal.SIGSTOP)
    try:
        assert "cannot be used: no answer" in await said(asked)
    finally:
        os.kill(own_redis.pid, signal.SIGCONT)
    assert await of_redis(asked) == []


async def test_connections_that_are_all_taken_are_told_as_that(context: Make, own_redis: Redis, client: Client) -> None:
    await client.config_set("maxclients", 1)
    assert "cannot be used: all its connections are taken" in await said(context(redis_url=own_redis.url))


async def test_what_it_refuses_is_an_answer(context: Make, own_redis: Redis, client: Client) -> None:
    await client.execute_command("ACL", "SETUSER", "mute", "on", ">word", "-@all")
    for user in ("mute:word", "mute:wrong"):
        assert await of_redis(context(redis_url=own_redis.url.replace("://", f"://{user}@"))) == []
