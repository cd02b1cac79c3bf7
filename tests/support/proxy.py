"""A TCP proxy in front of a server, which a test cuts as a broken network does: nobody is told, nothing arrives."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing, suppress
from typing import Self
from urllib.parse import urlsplit


class Proxy:
    """Passes on what comes to `url`, in a thread of its own. What is sent while it is cut arrives once it is mended."""

    def __init__(self, dsn: str) -> None:
        self._target = urlsplit(dsn)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._ready = threading.Event()
        self._passing: asyncio.Event
        self._ended: asyncio.Event
        self._port = 0
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The target's URL with the proxy's address."""
        return self._target._replace(netloc=f"{self._target.netloc.rpartition('@')[0]}@127.0.0.1:{self._port}").geturl()

    def cut(self) -> None:
        """From now on nothing passes; connections stay as they are, new ones are accepted and silent."""
        self._loop.call_soon_threadsafe(self._passing.clear)

    def mend(self) -> None:
        """Everything passes again, what has waited first."""
        self._loop.call_soon_threadsafe(self._passing.set)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._passing, self._ended = asyncio.Event(), asyncio.Event()
        self._passing.set()
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ended.wait()
        server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = self._loop.create_task(self._pass_on(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError), closing(writer):
            await self._passing.wait()
            far_reader, far_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
            with closing(far_writer):
                await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await self._passing.wait()
            writer.write(data)
            await writer.drain()
        await self._passing.wait()
        writer.close()
