"""One HTTP request and its response, seen from outside the application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, NamedTuple

from watchglass import guard, meters
from watchglass.instrumentation import attributes
from watchglass.instrumentation.attributes import error_type
from watchglass.instrumentation.budget import Budget, Spent
from watchglass.instrumentation.outbound import Outbound
from watchglass.instrumentation.propagation import response_headers
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.roots import Root, Roots
from watchglass.instrumentation.server_timing import ServerTiming, timing
from watchglass.instrumentation.tail import CLIENT_DISCONNECT, Tail

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

INCOMPLETE = "incomplete_response"
"""The `error.type` of a response that the application left without its end."""

_BODIES = frozenset({"http.response.body", "http.response.pathsend", "http.response.zerocopysend"})
_TEXT = {status: str(status) for status in range(100, 600)}


class Instruments(NamedTuple):
    """What an exchange reports to."""

    roots: Roots
    recorder: Recorder
    tail: Tail
    budget: Budget
    outbound: Outbound
    timing: ServerTiming | None = None


class Exchange:
    """Stands between the server and the application for one request.

    The request's duration ends with the last body message, that of a stream with its first byte. It is recorded once,
    whatever ends the call; a response of 500 and above when the call ends, with the exception that caused it.
    """

    __slots__ = (
        "_active",
        "_clock",
        "_disconnected",
        "_first",
        "_forward",
        "_instruments",
        "_receive",
        "_recorded",
        "_root",
        "_scheme",
        "_seconds",
        "_spent",
        "_streaming",
    )

    def __init__(self, root: Root, instruments: Instruments, receive: Receive, send: Send) -> None:
        self._root = root
        self._instruments = instruments
        self._receive = receive
        self._forward = send
        self._clock = instruments.recorder.clock
        self._disconnected = self._recorded = False
        self._first = self._seconds = 0.0
        self._spent: Spent | None = None
        self._streaming: bool | None = None
        self._scheme = scheme_of(root.scope)
        self._active = instruments.recorder.counter(
            meters.HTTP_SERVER_ACTIVE_REQUESTS, (root.request.method, self._scheme)
        )
        self._active.add(1)
        instruments.outbound.meet()
        instruments.tail.open[root.request] = self
        root.attach()

    async def receive(self) -> Message:
        """The server's next message, unchanged."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._disconnected = True
        return message

    async def send(self, message: Message) -> None:
        """Pass on a message of the application; the response's start with the ids of its trace."""
        if message["type"] == "http.response.start":
            try:
                message = {**message, "headers": list(message.get("headers") or ())}  # an iterator is read only once
                self._start(message)
            except Exception:
                guard.caught("response start")
            await self._forward(message)
            return
        await self._forward(message)
        try:
            self._sent(message)
        except Exception:
            guard.caught("response body")

    def _start(self, message: Message) -> None:
        """Note the status, and add headers of ours to those of a message that is ours alone."""
        request = self._root.request
        request.status = message["status"]
        headers = message["headers"]
        names = {name.lower(): value for name, value in headers}
        self._streaming = _is_stream(names)
        response_headers(headers, names, request)
        instruments = self._instruments
        if instruments.timing is not None and instruments.timing.wanted(self._root.scope["headers"]):
            headers.append((b"server-timing", timing(instruments.budget, request, self._clock())))

    def _sent(self, message: Message) -> None:
        """Note the first byte and the end of the response."""
        request = self._root.request
        kind = message["type"]
        if request.end or kind not in _BODIES:
            return
        last = not message.get("more_body", False)
        if self._streaming is None:
            self._streaming = not last
        if self._streaming and not self._first and (last or message.get("body", True)):
            self._first = self._clock()
            self._spent = self._instruments.budget.settle(request, self._first)
        if last:
            request.end = self._clock()
            if not self._first:
                self._spent = self._instruments.budget.settle(request, request.end)
            if request.status is None or request.status < 500:
                self._record()

    def fail(self, error: BaseException) -> None:
        """Take note of what the application raised."""
        request = self._root.request
        if type(error).__name__ == "ClientDisconnect":
            request.error = CLIENT_DISCONNECT
            return
        request.error = error_type(error)
        if request.status is None and isinstance(error, Exception):
            request.status = 500
        self._instruments.tail.failed(request, error)

    def close(self) -> None:
        """End what is not ended, decide on the trace, and leave."""
        try:
            if not self._recorded:
                self._settle()
                self._record()
            self._instruments.tail.ended(self._root.request, self._seconds, self._root.scope)
        except Exception:
            guard.caught("request end")
        finally:
            self._instruments.tail.open.pop(self._root.request, None)
            self._root.close()

    def known(self) -> dict[str, Any]:
        """What is known of the request before its end, as attributes of its span; from any thread."""
        request = self._root.request
        if request.route is None:
            request.route = self._instruments.roots.route(self._root)
        return attributes.of_scope(self._root.scope)

    def _settle(self) -> None:
        request = self._root.request
        if request.end:
            return
        request.end = self._clock()
        if not self._first:
            self._spent = self._instruments.budget.settle(request, request.end)
        if request.error is None:
            request.error = CLIENT_DISCONNECT if self._disconnected else INCOMPLETE

    def _record(self) -> None:
        self._recorded = True
        self._active.add(-1)
        request, recorder = self._root.request, self._instruments.recorder
        if request.error is None and request.status is not None and request.status >= 500:
            request.error = _TEXT.get(request.status)
        until = self._first or request.end if self._streaming else request.end
        self._seconds = seconds = until - request.start
        self._instruments.roots.end(self._root, seconds)
        status = None if request.status is None else _TEXT.get(request.status)
        values = (request.method, request.route, status, request.error, self._scheme)
        recorder.histogram(meters.HTTP_SERVER_REQUEST_DURATION, values).record(seconds)
        self._instruments.budget.record(request, seconds, self._spent)
        if self._streaming:
            stream = (request.method, request.route, "http")
            recorder.histogram(meters.HTTP_SERVER_STREAM_DURATION, stream).record(request.end - request.start)


def scheme_of(scope: Mapping[str, Any]) -> str:
    """The scheme of a request, one of the four that there are."""
    scheme = scope.get("scheme", "http")
    return scheme if scheme in ("http", "https", "ws", "wss") else "http"


def _is_stream(headers: Mapping[bytes, bytes]) -> bool | None:
    """Whether a response with these headers is a stream; None where its first body message tells."""
    if headers.get(b"content-type", b"").startswith(b"text/event-stream"):
        return True
    return False if b"content-length" in headers else None
