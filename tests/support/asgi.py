"""Calling an ASGI application as a server does, message by message, and reading what was observed of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from watchglass import meters
from watchglass.instrumentation.asgi import Observer, enter
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.server_timing import ServerTiming
from watchglass.records import Trace
from watchglass.settings import Settings

Message = dict[str, Any]
IDS = (b"x-trace-id", b"traceparent")


@dataclass
class Call:
    """One request and all that the application sent and raised."""

    sent: list[Message] = field(default_factory=list)
    error: BaseException | None = None

    @property
    def start(self) -> Message:
        return next((message for message in self.sent if message["type"].endswith("response.start")), {})

    @property
    def status(self) -> int | None:
        return self.start.get("status")

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return list(self.start.get("headers", ()))

    def header(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value.decode("latin-1") for key, value in self.headers if key.lower() == name.encode()]

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def plain(self) -> list[Message]:
        """What was sent, less the two headers that Watchglass adds."""
        return [
            {**message, "headers": [pair for pair in message["headers"] if pair[0].lower() not in IDS]}
            if "headers" in message
            else message
            for message in self.sent
        ]


def http_scope(path: str, method: str = "GET", **more: Any) -> Message:
    """A request's scope as uvicorn makes it; `query` and `headers` as text or bytes."""
    headers = [(b"host", b"service.test"), (b"user-agent", b"test"), *more.pop("headers", ())]
    query = more.pop("query", b"")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogateescape"),
        "query_string": query.encode() if isinstance(query, str) else query,
        "headers": headers,
        "client": ("192.0.2.7", 50_000),
        "server": ("127.0.0.1", 8000),
        "root_path": "",
        "state": {},
        **more,
    }


def websocket_scope(path: str, **more: Any) -> Message:
    """A handshake's scope as uvicorn makes it."""
    scope = http_scope(path, **more)
    del scope["method"]
    return {**scope, "type": "websocket", "scheme": "ws", "subprotocols": []}


async def exchange(
    app: Any,
    scope: Message,
    incoming: Iterable[Message] = (),
    after: Callable[[Message], Awaitable[None]] | None = None,
) -> Call:
    """Run a call to its end. After `incoming` the client waits; `after` runs once each message was sent."""
    call, queue = Call(), list(incoming)

    async def receive() -> Message:
        if queue:
            return queue.pop(0)
        await asyncio.Event().wait()
        raise AssertionError("not reached")

    async def send(message: Message) -> None:
        call.sent.append(message)
        if after is not None:
            await after(message)

    try:
        await app(scope, receive, send)
    except Exception as error:
        call.error = error
    return call


def body_of(content: bytes = b"") -> list[Message]:
    return [{"type": "http.request", "body": content, "more_body": False}]


async def get(app: Any, path: str, method: str = "GET", content: bytes = b"", **more: Any) -> Call:
    """One ordinary request."""
    return await exchange(app, http_scope(path, method, **more), body_of(content))


@dataclass
class Observed:
    """An application that was entered, and everything it reported."""

    app: Any
    recorder: Recorder
    traces: list[Trace] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def requests(self) -> Counter[tuple[str | None, ...]]:
        """Recorded requests by method, route, status and error."""
        counts: Counter[tuple[str | None, ...]] = Counter()
        for state in self.recorder.collect():
            if state.meter is meters.HTTP_SERVER_REQUEST_DURATION:
                counts[state.values[:4]] += state.count
        return counts

    def seconds(self, meter: meters.Meter = meters.HTTP_SERVER_REQUEST_DURATION) -> list[float]:
        """The sum of each histogram of a meter."""
        return [state.sum for state in self.recorder.collect() if state.meter is meter]

    def streams(self) -> Counter[tuple[str | None, ...]]:
        """Recorded streams by method, route and protocol."""
        return Counter(
            {
                state.values: state.count
                for state in self.recorder.collect()
                if state.meter is meters.HTTP_SERVER_STREAM_DURATION
            }
        )

    def active(self) -> float:
        """Requests under way."""
        return sum(s.sum for s in self.recorder.collect() if s.meter is meters.HTTP_SERVER_ACTIVE_REQUESTS)


def observe(
    app: Any,
    *,
    clock: Callable[[], float] | None = None,
    inside: bool = False,
    own_app: Any = None,
    own_exact: Iterable[str] = (),
    own_prefixes: tuple[str, ...] = (),
    timing: ServerTiming | None = None,
    **settings: Any,
) -> Observed:
    """Enter `app`; every trace is kept unless `settings` say otherwise."""
    recorder = Recorder() if clock is None else Recorder(clock=clock)
    observed = Observed(app, recorder)

    async def on_shutdown() -> None:
        observed.events.append("shutdown")

    observer = Observer(
        recorder=recorder,
        settings=Settings(**{"slow_request_seconds": 1e-9, "traces_per_minute": 10_000, **settings}),
        offer_trace=observed.traces.append,
        on_serving=lambda: observed.events.append("serving"),
        on_shutdown=on_shutdown,
        own_app=own_app,
        own_exact=frozenset(own_exact),
        own_prefixes=own_prefixes,
        timing=timing,
    )
    observed.app = enter(app, observer, inside=inside)
    return observed


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
