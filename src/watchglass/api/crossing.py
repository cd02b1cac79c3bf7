"""A request on its way between the host's event loop, where it came in, and Watchglass's own, which answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")
Message = MutableMapping[str, Any]

HOST = "watchglass.host"
"""Where the inner scope keeps the crossing."""

_PLAIN = {
    500: b"Watchglass failed to answer. The service is not affected.\n",
    503: b"Watchglass is stopping or busy.\n",
}


class Crossing:
    """Hands messages across, one at a time: the sender waits until the other side has taken each.

    Made on the host's loop. `closed` is set once the host has left; `lost` says that the host's side failed, which is
    no error of ours.
    """

    def __init__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        self.scope = scope
        self.inner_scope = {**scope, HOST: self}
        self.closed = False
        self.started = False
        self.finished = False
        self.failed = False
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._receive, self._send = receive, send
        self.taken_up: asyncio.Future[None] = self._loop.create_future()

    @property
    def lost(self) -> bool:
        """Whether the client or the host's server is gone."""
        return self.closed or self.failed

    def take_up(self) -> None:
        """Tell the host that the own loop is at work on the request."""
        with suppress(RuntimeError):  # the host's loop is closed
            self._loop.call_soon_threadsafe(self._taken_up)

    def _taken_up(self) -> None:
        if not self.taken_up.done():
            self.taken_up.set_result(None)

    async def receive(self) -> Message:
        """The next message of the client, as the inner application asks for it."""
        return await self.on_host(self._receive)

    async def send(self, message: Message) -> None:
        """Pass a message of the inner application to the client. Raises OSError when it is gone."""
        if self.lost:
            raise OSError("the client is gone")
        kind = message["type"]
        self.started = self.started or kind in ("http.response.start", "websocket.accept", "websocket.close")
        self.finished = kind == "websocket.close" or (
            kind == "http.response.body" and not message.get("more_body", False)
        )
        try:
            await self.on_host(lambda: self._send(message))
        except Exception as error:
            self.failed = True
            raise OSError("the client is gone") from error

    async def finish(self, status: int) -> None:
        """Bring the response to an end: an answer if none was begun, else the end of what was begun."""
        if self.finished or self.lost:
            return
        with suppress(OSError):
            if not self.started:
                await plain(self.scope, self.send, status)
            elif self.scope["type"] == "websocket":
                await self.send({"type": "websocket.close", "code": 1001 if status == 503 else 1011})
            elif status == 503:
                await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def on_host(self, make: Callable[[], Awaitable[T]]) -> T:
        """Await something of the host's on the host's loop and in the request's context there."""

        async def there() -> T:
            return await make()

        errand: Coroutine[Any, Any, T] = there()
        try:
            future = self._context.copy().run(asyncio.run_coroutine_threadsafe, errand, self._loop)
        except RuntimeError:
            errand.close()
            self.closed = True
            raise OSError("the host has stopped") from None
        return await asyncio.wrap_future(future)

    async def host_send(self, message: Message) -> None:
        """On the host's loop: send, unless a response was begun already."""
        if not self.started:
            with suppress(Exception):
                await self._send(message)


async def plain(scope: Message, send: Callable[[Message], Awaitable[None]], status: int) -> None:
    """A whole response of one sentence; a WebSocket is refused."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1011 if status == 500 else 1013})
        return
    body = _PLAIN[status]
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
