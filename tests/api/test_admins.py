"""Whose requests to the service are an admin's, told without waiting for the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest
from itsdangerous import URLSafeTimedSerializer

from support.past import browser
from watchglass.api import admins as module
from watchglass.api import ended, paths
from watchglass.api.admins import Admins
from watchglass.api.app import create_app
from watchglass.api.context import Context
from watchglass.api.sessions import Sessions
from watchglass.errors import WatchglassError
from watchglass.settings import Settings
from watchglass.store.access import Access

Contexts = Callable[..., Context]


class Process:
    """A process with its page, and what it tells of a Cookie header."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.sessions = Sessions(context)
        self.app = create_app(context, None, self.sessions)
        self.asked: list[asyncio.Task[None]] = []
        self.admins = Admins(self.sessions, self._run)

    def _run(self, question: Coroutine[Any, Any, None]) -> None:
        self.asked.append(asyncio.get_running_loop().create_task(question))

    async def has(self, cookies: bytes) -> bool:
        """The answer, once what was asked for is there."""
        self.admins.has(cookies)
        await asyncio.gather(*self.asked)
        return self.admins.has(cookies)


@pytest.fixture
def process(context: Contexts) -> Callable[..., Process]:
    return lambda **settings: Process(context(**settings))


async def log_in(client: httpx.AsyncClient, context: Context, role: Any = "admin") -> bytes:
    token = await context.tokens.new(role=role)
    answer = await client.post(paths.LOGIN, data={"token": token.text})
    assert answer.status_code == 303
    return "; ".join(f"{name}={value}" for name, value in client.cookies.items()).encode()


async def test_an_admin_who_is_logged_in_is_one_in_every_process(process: Callable[..., Process]) -> None:
    one, other = process(), process()
    async with browser(one.app) as client:
        cookies = await log_in(client, one.context)
    assert await one.has(cookies)
    assert not other.admins.has(cookies), "it does not know the key of the service yet"
    assert await other.has(b"theme=dark; " + cookies)


async def test_a_viewer_is_none(process: Callable[..., Process]) -> None:
    one = process()
    async with browser(one.app) as client:
        cookies = await log_in(client, one.context, "viewer")
        assert (await client.get("/api/monitoring/session")).json()["role"] == "viewer"
    assert not await one.has(cookies)


async def test_a_forged_altered_or_foreign_cookie_is_nobodys_and_asks_nothing(
    process: Callable[..., Process],
) -> None:
    one = process(secret_key="a-key-of-the-service")
    name, value = one.sessions.cookie, ""
    async with browser(one.app) as client:
        await log_in(client, one.context)
        value = client.cookies[name]
    admin = {"name": "admin", "role": "admin", "seed": "x"}
    keyed = URLSafeTimedSerializer(["another-key-of-16"], salt="watchglass.session")
    forged = [keyed.dumps(admin), value[:-1], value[1:], value + "x", "", "x", ".".join(value.split(".")[:2]), "\xff"]
    for cookie in forged:
        assert not one.admins.has(f"{name}={cookie}".encode("latin-1")), cookie
    guard_token = await one.sessions._dumps("guard", admin)
    assert not one.admins.has(f"{name}={guard_token}".encode())
    assert not one.admins.has(f"{one.sessions.seed_cookie}={value}".encode())
    assert one.asked == []


async def test_an_expired_session_is_nobodys(process: Callable[..., Process]) -> None:
    one = process()
    async with browser(one.app) as client:
        cookies = await log_in(client, one.context)
    assert await one.has(cookies)
    one.sessions.lifetime = -1.0
    assert not await one.has(cookies)


async def test_a_copied_cookie_is_nobodys_after_the_log_out(
    process: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ended, "FRESH", 0.0)
    monkeypatch.setattr(module, "_AGAIN", 0.0)
    one, other = process(), process()
    async with browser(one.app) as client:
        cookies = await log_in(client, one.context)
        assert await one.has(cookies) and await other.has(cookies)
        token = (await client.get("/api/monitoring/session")).json()["csrf_token"]
        assert (await client.post(paths.LOGOUT, headers={"x-csrf-token": token})).status_code == 303
    assert not one.admins.has(cookies), "in this process at once"
    assert not await other.has(cookies)


async def test_what_was_asked_long_ago_does_not_count(
    process: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = process()
    async with browser(one.app) as client:
        cookies = await log_in(client, one.context)
    assert await one.has(cookies)
    monkeypatch.setattr(ended, "LATELY", 0.0)
    assert not one.admins.has(cookies)


async def test_the_store_is_asked_once_a_second_at_most(process: Callable[..., Process]) -> None:
    one, other = process(), process()
    async with browser(one.app) as client:
        cookies = await log_in(client, one.context)
    for _ in range(100):
        other.admins.has(cookies)
    assert len(other.asked) == 1


async def test_while_the_store_is_away_an_admin_of_this_process_is_one() -> None:
    unreachable = "postgresql://u:p@127.0.0.1:1/d"
    one = Process(Context(Settings(app_database_url=unreachable), access=Access(unreachable)))
    async with browser(one.app) as client:
        cookies = await log_in(client, one.context)
    assert await one.has(cookies)


async def test_without_a_store_too() -> None:
    one = Process(Context(Settings()))
    async with browser(one.app) as client:
        cookies = await log_in(client, one.context)
    assert one.admins.has(cookies)
    assert one.asked == []


async def test_it_never_waits_for_a_store_that_hangs(
    process: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = process(), process()
    async with browser(one.app) as client:
        cookies = await log_in(client, one.context)
    never = asyncio.Event()

    async def hangs(name: str = "session") -> str:
        await never.wait()
        raise WatchglassError

    monkeypatch.setattr(other.context.access, "secret", hangs)
    for _ in range(3):
        assert not other.admins.has(cookies)
    never.set()
    await asyncio.gather(*other.asked)
