"""A fresh database of one PostgreSQL server for each test."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import asyncpg

from watchglass.demo.servers import PostgreSQL

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop and a thread of its own, whatever loop the test has."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


async def _execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def execute(dsn: str, *statements: str) -> None:
    """Send each statement outside a transaction."""
    run(_execute(dsn, *statements))


@contextmanager
def fresh_database(server: PostgreSQL, template: str = "template1") -> Iterator[str]:
    """The URL of a new database that belongs to the ordinary role app; it is dropped afterwards."""
    name = f"test_{secrets.token_hex(6)}"
    execute(server.superuser_url, f"CREATE DATABASE {name} OWNER app TEMPLATE {template}")
    try:
        yield server.url.removesuffix("/app") + f"/{name}"
    finally:
        execute(server.superuser_url, f"DROP DATABASE {name} WITH (FORCE)")
