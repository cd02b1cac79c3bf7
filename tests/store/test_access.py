"""Processes of a service agree on its secret, and a login token opens the door once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from watchglass.store.access import Access, Login


@pytest.fixture
async def access(store_url: str) -> AsyncIterator[Access]:
    access = Access(store_url)
    yield access
    await access.close()


async def test_every_process_gets_the_same_secret(access: Access, store_url: str) -> None:
    others = [Access(store_url) for _ in range(4)]
    found = await asyncio.gather(access.secret(), *(other.secret() for other in others))
    for other in others:
        await other.close()
    assert len(set(found)) == 1
    assert len(found[0]) >= 32
    assert await access.secret("another") != found[0]


async def test_a_login_token_works_once(access: Access) -> None:
    token = await access.new_login_token(username="ada", role="viewer")
    assert await access.use_login_token(token) == Login("ada", "viewer")
    assert await access.use_login_token(token) is None


async def test_of_two_who_use_a_token_at_once_one_gets_in(access: Access, store_url: str) -> None:
    token = await access.new_login_token()
    others = [Access(store_url) for _ in range(4)]
    logins = await asyncio.gather(*(other.use_login_token(token) for other in others))
    for other in others:
        await other.close()
    assert [login for login in logins if login] == [Login("admin", "admin")]


@pytest.mark.parametrize("token", ["", "unknown", "\x00", "\ud800", "x" * 10_000])
async def test_a_token_nobody_made_lets_nobody_in(access: Access, token: str) -> None:
    await access.new_login_token()
    assert await access.use_login_token(token) is None


async def test_a_token_expires(access: Access) -> None:
    token = await access.new_login_token(seconds=0)
    assert await access.use_login_token(token) is None


async def test_the_store_keeps_no_token(access: Access) -> None:
    token = await access.new_login_token()
    [row] = await access.database.fetch("SELECT login_tokens::text AS row FROM watchglass.login_tokens")
    assert token not in row["row"]
    assert token.encode().hex() not in row["row"]


async def test_what_was_done_is_noted_newest_first(access: Access) -> None:
    await access.audit("ada", "login", detail={"address": "::1"})
    await access.audit("a\x00da", "cancel", "statement 7")
    second, first = await access.audit_entries()
    assert (second.actor, second.action, second.target, second.detail) == ("ada", "cancel", "statement 7", {})
    assert (first.action, first.detail) == ("login", {"address": "::1"})
    assert first.time <= second.time
