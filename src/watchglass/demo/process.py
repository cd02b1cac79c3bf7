"""The demo service as a child of this process: started with its order, watched, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import sys
from collections import deque
from collections.abc import Mapping
from logging.handlers import RotatingFileHandler
from pathlib import Path

import httpx

from watchglass.errors import PortInUse, ServerEnded, ServerStartFailed

_NAME = "The demo service"
_START_SECONDS = 60.0
_STOP_SECONDS = 15.0
_LOG_BYTES = 20_000_000


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on the port, or on a free one for 0. Raises `PortInUse`."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(256)
    except OSError:
        listener.close()
        raise PortInUse(port=port) from None
    return listener


class Service:
    """The service's process. Its log lines go to `log`, if there is one; the last ones are kept for a message."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path | None) -> None:
        self._process = process
        self._last: deque[str] = deque(maxlen=12)
        self._reading = asyncio.create_task(self._read(_writer(log)))

    @classmethod
    async def start(cls, listener: socket.socket, settings: Mapping[str, object], log: Path | None) -> Service:
        """Start the process and return once it answers. Raises `ServerStartFailed` or `ServerEnded`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "watchglass.demo.child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=[listener.fileno()],
            start_new_session=True,  # Ctrl-C is for the parent, which stops its children in order
            limit=1 << 20,
        )  # fmt: skip
        service = cls(process, log)
        order = {"settings": dict(settings), "socket": listener.fileno()}
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(order).encode() + b"\n")
            with contextlib.suppress(ConnectionError):
                await process.stdin.drain()
            await service._until_it_answers(listener.getsockname()[1])
        except BaseException:
            await service.stop()
            raise
        return service

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> None:
        """Return never but by raising `ServerEnded`, once the process has ended by itself."""
        code = await self._process.wait()
        await self._reading
        raise ServerEnded(program=_NAME, code=code, said="\n".join(["", *self._last]))

    async def stop(self) -> None:
        """Ask the process to stop, and make it after a while."""
        if self._process.returncode is None:
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reading
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def _until_it_answers(self, port: int) -> None:
        ended = asyncio.create_task(self.wait())
        answering = asyncio.create_task(_answer(f"http://127.0.0.1:{port}/health"))
        done, pending = await asyncio.wait(
            (ended, answering), timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        if not done:
            reason = "\n".join([f"no answer after {_START_SECONDS:g} s. What it said last:", *self._last])
            raise ServerStartFailed(program=_NAME, reason=reason)
        for task in done:
            task.result()

    async def _read(self, write: logging.Handler | None) -> None:
        """Take what the process says, so that it never waits for us."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            text = line.decode(errors="replace").rstrip()
            self._last.append(text)
            if write is not None:
                write.emit(logging.makeLogRecord({"msg": text}))
        if write is not None:
            write.close()


async def _answer(url: str) -> None:
    """Return once anything answers at the URL."""
    async with httpx.AsyncClient(timeout=5) as client:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                await client.get(url)
                return
            await asyncio.sleep(0.1)


def _writer(log: Path | None) -> logging.Handler | None:
    return RotatingFileHandler(log, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8") if log else None
