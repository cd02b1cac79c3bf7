"""A server that takes connections and never says a word, as one does whose processes are frozen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Silent:
    """`url` names a database on it, `connections` counts who came."""

    def __init__(self) -> None:
        self.connections = 0
        self.url = ""


@asynccontextmanager
async def silent_server() -> AsyncIterator[Silent]:
    """One on the running loop, until the block ends."""
    silent, writers = Silent(), []

    def come(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent.connections += 1
        writers.append(writer)

    server = await asyncio.start_server(come, "127.0.0.1", 0)
    silent.url = f"postgresql://app:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}/shop"
    try:
        yield silent
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)
