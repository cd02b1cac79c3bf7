"""One WebSocket connection, seen from outside the application."""

from __future__ import annotations

from watchglass import guard, meters
from watchglass.instrumentation.attributes import error_type
from watchglass.instrumentation.exchange import Instruments, Message, Receive, Send
from watchglass.instrumentation.propagation import response_headers
from watchglass.instrumentation.roots import Root
from watchglass.instrumentation.tail import CLIENT_DISCONNECT

_NORMAL = (1000, 1001)
_HTTP_SCHEME = {"ws": "http", "wss": "https"}


class Connection:
    """Stands between the server and the application for one WebSocket.

    Accepted, its lifetime is recorded and no request; refused, it is an HTTP request with the status of the refusal.
    """

    __slots__ = ("_accepted", "_forward", "_instruments", "_receive", "_root")

    def __init__(self, root: Root, instruments: Instruments, receive: Receive, send: Send) -> None:
        self._root = root
        self._instruments = instruments
        self._receive = receive
        self._forward = send
        self._accepted = False
        root.attach()

    async def receive(self) -> Message:
        """The server's next message, unchanged."""
        message = await self._receive()
        try:
            if message["type"] == "websocket.disconnect":
                self._stop()
        except Exception:
            guard.caught("websocket message")
        return message

    async def send(self, message: Message) -> None:
        """Pass on a message of the application; the answer to the handshake with the ids of its trace."""
        try:
            if message.get("headers") is not None:
                message = {**message, "headers": list(message["headers"])}  # an iterator is read only once
            message = self._noted(message)
        except Exception:
            guard.caught("websocket message")
        await self._forward(message)

    def _noted(self, message: Message) -> Message:
        kind, request = message["type"], self._root.request
        if kind == "websocket.send":
            return message
        if kind == "websocket.close":
            if not self._accepted and request.status is None:
                request.status = 403
            self._stop()
            return message
        if kind == "websocket.accept":
            self._accepted, request.status, request.work = True, 101, None
        elif kind == "websocket.http.response.start":
            request.status = message["status"]
        else:
            return message
        headers = list(message.get("headers") or ())
        response_headers(headers, {name.lower() for name, _ in headers}, request)
        return {**message, "headers": headers}

    def _stop(self) -> None:
        self._root.request.end = self._root.request.end or self._instruments.recorder.clock()

    def fail(self, error: BaseException) -> None:
        """Take note of what the application raised; a client that left normally is no error."""
        request = self._root.request
        if type(error).__name__ == "WebSocketDisconnect":
            request.error = None if getattr(error, "code", None) in _NORMAL else CLIENT_DISCONNECT
            return
        request.error = error_type(error)
        if not self._accepted and request.status is None and isinstance(error, Exception):
            request.status = 500
        self._instruments.tail.failed(request, error)

    def close(self) -> None:
        """Record the connection, decide on its trace, and leave."""
        try:
            self._stop()
            self._record()
        except Exception:
            guard.caught("websocket end")
        finally:
            self._root.close()

    def _record(self) -> None:
        roots, recorder, tail, budget, *_ = self._instruments
        request = self._root.request
        if request.error is None and request.status is not None and request.status >= 500:
            request.error = str(request.status)
        seconds = request.end - request.start
        roots.end(self._root, seconds)
        if self._accepted:
            lifetime = (request.method, request.route, "websocket")
            recorder.histogram(meters.HTTP_SERVER_STREAM_DURATION, lifetime).record(seconds)
        else:
            status = None if request.status is None else str(request.status)
            scheme = _HTTP_SCHEME.get(self._root.scope.get("scheme", "ws"), "http")
            values = (request.method, request.route, status, request.error, scheme)
            recorder.histogram(meters.HTTP_SERVER_REQUEST_DURATION, values).record(seconds)
            budget.record(request, seconds, budget.settle(request, request.end))
        tail.ended(request, None if self._accepted else seconds, self._root.scope)
