"""Series that nobody recorded to for a while leave memory, but none that somebody could still record to.

A series that did not change for `idle_seconds` first goes aside, where it is read like the others and comes back as
soon as it changes or is asked for. It is gone the next time, if nothing but the recorder refers to it: no thread
can add to it then, and what was read of it before is all there is. Weak references would not do, because what a
caller adds right before it drops the last reference would die unread.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakSet

from watchglass.meters import Meter
from watchglass.records import Values

Key = tuple[Meter, Values]


class Idling(Protocol):
    """A series that says how it is, and remembers since when it has been so."""

    mark: object
    since: float

    def signature(self) -> object:
        """What is different after each measurement."""


S = TypeVar("S", bound=Idling)


class Family(Generic[S]):
    """All series of one kind. `active` may be read without a word; everything else changes under the lock."""

    def __init__(self, make: Callable[[], S]) -> None:
        self.active: dict[Key, S] = {}
        self.idle: dict[Key, S] = {}
        self._make = make
        self._begin()
        _all.add(self)

    def _begin(self) -> None:
        self._lock = threading.RLock()  # of the same thread, since a signal's handler may interrupt and record

    def __len__(self) -> int:
        return len(self.active) + len(self.idle)

    def series(self) -> list[tuple[Key, S]]:
        """Every series, those aside too, each once."""
        with self._lock:
            return list(({**self.idle, **self.active} if self.idle else self.active).items())

    def find(self, key: Key) -> S:
        """The series, brought back or made where it is not active."""
        with self._lock:
            series = self.idle.get(key)
            if series is not None:
                return self._bring_back(key, series)
            return self.active.setdefault(key, self._make())

    def leave(self, may_leave: Callable[[Key, S], bool]) -> list[tuple[Key, S]]:
        """Let go of what has been put aside earlier and is held by nobody."""
        return [(key, left) for key in list(self.idle) if (left := self._let_go(key, may_leave)) is not None]

    def put_aside(self, now: float, seconds: float) -> None:
        """Put aside what did not change for so long."""
        for key, series in list(self.active.items()):
            signature = series.signature()
            if series.mark != signature:
                series.mark, series.since = signature, now
            elif now - series.since >= seconds:
                self._put_aside(key, series)

    def _put_aside(self, key: Key, series: S) -> None:
        with self._lock:
            self.idle[key] = series
            del self.active[key]

    def _bring_back(self, key: Key, series: S) -> S:
        series.mark = None
        self.active[key] = series
        del self.idle[key]
        return series

    def _let_go(self, key: Key, may_leave: Callable[[Key, S], bool]) -> S | None:
        with self._lock:
            if key not in self.idle:
                return None
            held = references(self.idle, key) > UNSHARED  # first: what nobody holds does not change any more
            series = self.idle[key]
            if series.mark != series.signature():
                self._bring_back(key, series)
                return None
            return None if held or not may_leave(key, series) else self.idle.pop(key)


def references(series: dict[Any, Any], key: object) -> int:
    """How many references there are to a value, as CPython counts them."""
    return sys.getrefcount(series[key])


UNSHARED = references({0: object()}, 0)
"""The count when nothing but the dictionary refers to a value."""

_all: WeakSet[Family[Any]] = WeakSet()


def _after_fork_in_child() -> None:
    for family in list(_all):
        family._begin()  # another thread of the parent may have held the lock


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
