"""Several connections to one database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from watchglass.store.connection import connect

if TYPE_CHECKING:
    from watchglass.store.connection import Connection


@asynccontextmanager
async def connections(dsn: str, count: int) -> AsyncIterator[list[Connection]]:
    """So many, which end with the block, however it ends."""
    async with AsyncExitStack() as stack:
        opened = []
        for _ in range(count):
            opened.append(await connect(dsn))
            stack.push_async_callback(opened[-1].close)
        yield opened
