"""Transactions that a test holds open."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg


@contextmanager
def held(dsn: str, *statements: str) -> Iterator[None]:
    """Within the block a transaction is open that has run these statements, and has their locks."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(dsn, server_settings={"application_name": "holder"}))
        try:
            for statement in ("BEGIN", *statements):
                runner.run(connection.execute(statement))
            yield
        finally:
            connection.terminate()
            runner.run(asyncio.sleep(0))
