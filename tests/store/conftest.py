"""A writer and a plain connection to its database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from support.rows import Fetch, instance
from watchglass.store.writer import Writer


@pytest.fixture
async def writer(store_url: str) -> AsyncIterator[Writer]:
    writer = Writer(store_url, instance())
    await writer.open()
    yield writer
    await writer.close()


@pytest.fixture
async def fetch(store_url: str) -> AsyncIterator[Fetch]:
    connection = await asyncpg.connect(store_url)
    yield connection.fetch
    await connection.close()
