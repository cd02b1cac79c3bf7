"""The request that is being handled: its ids, what is known of it, and the client work done for it.

It is the local root of a trace. Client instrumentations append what they did as plain tuples; spans are made of them
only if the trace is kept.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Mapping
from contextvars import ContextVar
from itertools import chain
from typing import Any, Literal, NamedTuple

from opentelemetry.context import Context

MAX_CHILDREN = 1_000
"""Children kept of one request; more are only counted."""

_random = random.Random()
"""Our own generator: `random.seed()` in the service must not repeat trace ids."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)


def new_trace_id() -> int:
    """A random, valid 128-bit trace id."""
    return _random.getrandbits(128) or 1


def new_span_id() -> int:
    """A random, valid 64-bit span id."""
    return _random.getrandbits(64) or 1


Kind = Literal["server", "client", "internal", "producer", "consumer"]


class Child(NamedTuple):
    """Client work that ended. `start` and `end` are readings of the recorder's clock, in seconds.

    `span_id` 0: not yet given; `parent_id` 0: the request itself.
    """

    name: str
    start: float
    end: float
    attributes: dict[str, Any]
    error: str | None = None
    span_id: int = 0
    parent_id: int = 0
    kind: Kind = "client"


Flat = tuple[Any, ...]
"""Attributes as they are held: each name, and behind it its value."""

ChildFields = tuple[str, float, float, Flat, str | None, int, int, Kind]
"""A `Child` as it is held: plain tuples of plain values, at which the garbage collector looks once and never again."""


def flat(attributes: Mapping[str, Any]) -> Flat:
    """Attributes, to be held."""
    return tuple(chain.from_iterable(attributes.items()))


def attributes_of(held: Flat) -> dict[str, Any]:
    """The attributes that `flat` was given."""
    return dict(zip(held[::2], held[1::2], strict=True))


Work = tuple[float, float, tuple[str | None, ...], int]
"""What was waited for: start, end, the part of the budget that it is, and the task that waited; see `budget`."""

Folded = tuple[float, dict[tuple[str | None, ...], float], int]
"""What was waited for until a moment, by part, and how often the event loop came back."""


class Request:
    """One request, message exchange or connection that this process serves: the local root of its trace.

    `start` and `end` are readings of the recorder's clock in seconds, `start_ns` is Unix time. `end` is 0 until the
    response is complete. `trace_hex` and `span_hex` are the ids as logs and headers spell them. `span` is the host's
    own span of this request, where the host has a tracer provider; `context` is OpenTelemetry's, with its span and none
    of the application's in it, while it is handled. `work` is what was waited for, None once that
    does not count any more; `folded` what of it is added up already. `path` is set when it ended. `client_work` is what
    `children` are made of.
    """

    __slots__ = (
        "client_work",
        "closed",
        "context",
        "dropped_children",
        "end",
        "error",
        "error_group",
        "folded",
        "method",
        "parent_id",
        "path",
        "protocol",
        "route",
        "sampled",
        "span",
        "span_hex",
        "span_id",
        "start",
        "start_ns",
        "status",
        "trace_hex",
        "trace_id",
        "work",
    )

    path: str

    def __init__(
        self,
        trace_id: int,
        span_id: int,
        parent_id: int | None,
        sampled: bool,
        start: float,
        method: str,
        protocol: Literal["http", "websocket"] = "http",
    ) -> None:
        self.identify(trace_id, span_id, sampled)
        self.parent_id = parent_id
        self.start_ns = time.time_ns()
        self.start = start
        self.end = 0.0
        self.method = method
        self.protocol = protocol
        self.route: str | None = None
        self.status: int | None = None
        self.error: str | None = None
        self.error_group: str | None = None
        self.span: Any = None
        self.client_work: list[ChildFields] = []
        self.dropped_children = 0
        self.closed = False
        self.context: Context | None = None
        self.work: list[Work] | None = []
        self.folded: Folded | None = None

    def identify(self, trace_id: int, span_id: int, sampled: bool) -> None:
        """Set the ids."""
        self.trace_id = trace_id
        self.span_id = span_id
        self.sampled = sampled
        self.trace_hex = trace_id.to_bytes(16, "big").hex()  # a format takes twice as long
        self.span_hex = span_id.to_bytes(8, "big").hex()

    def add_child(
        self,
        name: str,
        start: float,
        end: float,
        attributes: Mapping[str, Any] | Flat,
        error: str | None = None,
        span_id: int = 0,
        parent_id: int = 0,
        kind: Kind = "client",
    ) -> None:
        """Append client work that ended; see `Child`. Beyond `MAX_CHILDREN`, and once closed, it is only counted.

        Attributes that many have in common are best given as they are held.
        """
        if self.closed or len(self.client_work) >= MAX_CHILDREN:
            self.dropped_children += 1
        else:
            held = attributes if isinstance(attributes, tuple) else flat(attributes)
            self.client_work.append((name, start, end, held, error, span_id, parent_id, kind))

    @property
    def children(self) -> list[Child]:
        """The client work done for it so far, in the order in which it ended."""
        return [_child(*fields) for fields in self.client_work.copy()]

    def time_ns(self, reading: float) -> int:
        """A reading of the recorder's clock as Unix time in nanoseconds."""
        return self.start_ns + round((reading - self.start) * 1e9)


def _child(name: str, start: float, end: float, attributes: Flat, *rest: Any) -> Child:
    return Child(name, start, end, attributes_of(attributes), *rest)


_current: ContextVar[Request | None] = ContextVar("watchglass_request", default=None)

current_request = _current.get
"""The request being handled here, or None outside of any: `current_request() -> Request | None`."""

set_current_request = _current.set
reset_current_request = _current.reset
