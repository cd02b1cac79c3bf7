"""Which connections to PostgreSQL are in use, and for which request: who holds a lock is found by that.

A connection remembers the request whose statement it sent last, which costs a statement some fifty nanoseconds. What
PostgreSQL calls the connection, the number of its server process, is asked of the driver when somebody wants to know.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from watchglass.instrumentation.request import Request


class Use(NamedTuple):
    """A connection in use. `pid` is its server process's; behind a pooler it is a number of the pooler's own making.

    `connected` is a reading of the recorder's clock. `request` is that whose statement was the last on it, None outside
    of any; one that has ended left the connection in a transaction.
    """

    pid: int
    database: str
    connected: float
    request: Request | None


class Backends:
    """The connections of this process; those of a forked child's parent are not its own."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._open: WeakValueDictionary[int, Any] = WeakValueDictionary()

    def connected(self, protocol: Any) -> None:
        """Know the connection of a watched protocol from now on."""
        protocol.opened = os.getpid(), self._clock()
        self._open[id(protocol)] = protocol

    def in_use(self) -> list[Use]:
        """Those in a transaction, and those that a request used last that has not ended. From any thread."""
        known = (reference() for reference in self._open.valuerefs())
        return [use for protocol in known if protocol is not None and (use := _use(protocol)) is not None]


def _use(protocol: Any) -> Use | None:
    request: Request | None = protocol.request
    process, connected = protocol.opened
    if process != os.getpid() or not protocol.is_connected():
        return None
    if (request is None or request.closed) and not protocol.is_in_transaction():
        return None
    return Use(protocol.get_server_pid(), protocol.session.database or "", connected, request)
