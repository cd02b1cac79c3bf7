"""asyncpg's protocol, watched: it sees every round trip of a connection. `asyncpg_rounds` makes statements of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from asyncpg.protocol.protocol import Protocol as AsyncpgProtocol

from watchglass.guard import caught, own_work
from watchglass.instrumentation import asyncpg_sessions
from watchglass.instrumentation.asyncpg_rounds import (
    Execution,
    Executions,
    Fetch,
    Observer,
    Preparation,
    Rounds,
    Script,
    since,
)
from watchglass.instrumentation.operations import Operation
from watchglass.instrumentation.request import current_request

_PLACE = "instrumentation.asyncpg"

Call = Callable[..., Awaitable[Any]]
Round = Preparation | Execution | Fetch | Script

KINDS: dict[str, type[Round]] = {
    "prepare": Preparation,
    "bind": Execution,
    "bind_execute": Execution,
    "bind_execute_many": Executions,
    "execute": Fetch,
    "query": Script,
    "copy_in": Script,
    "copy_out": Script,
}
"""The methods that are watched; without one of them the protocol cannot be."""


class WatchedProtocol(AsyncpgProtocol, Rounds):
    """asyncpg's protocol, which tells `observer`, if there is one, what it did and how long it took."""

    def set_connection(self, connection: Any) -> None:
        super().set_connection(connection)
        try:
            if self.observer is not None and not own_work.get():
                self.observer.connected(connection)
                self.session = asyncpg_sessions.opened(connection)
        except Exception:
            caught(_PLACE)

    def connection_lost(self, exc: Exception | None) -> None:
        try:
            self.end_cursors()
        except Exception:
            caught(_PLACE)
        super().connection_lost(exc)


def _watched(name: str, kind: type[Round]) -> Call:
    """The method of asyncpg's protocol, with a `kind` made before and told of the end."""
    method: Call = getattr(AsyncpgProtocol, name)

    @functools.wraps(method)
    async def call(self: WatchedProtocol, *args: Any, **kwargs: Any) -> Any:
        observer = self.observer
        if observer is None or self.aside or own_work.get():
            return await method(self, *args, **kwargs)
        watch = None
        try:
            self.request = current_request()
            watch = kind(self, observer, (args, kwargs))
        except Exception:
            caught(_PLACE)
        try:
            result = await method(self, *args, **kwargs)
        except BaseException as error:
            _ended(self, watch, None, error)
            raise
        _ended(self, watch, result, None)
        return result

    return call


def _ended(protocol: WatchedProtocol, watch: Round | None, result: Any, error: BaseException | None) -> None:
    try:
        if watch is not None:
            watch.ended(protocol, result, error)
    except Exception:
        caught(_PLACE)


_bind_execute = _watched("bind_execute", Execution)
_EXECUTE: Call = getattr(AsyncpgProtocol, "bind_execute")  # noqa: B009 - the stubs know it by overloads only


@functools.wraps(_EXECUTE)
async def _fetch(
    self: WatchedProtocol,
    state: Any,
    args: Any,
    portal_name: str,
    limit: int,
    return_extra: bool,
    timeout: Any,  # noqa: ASYNC109 - asyncpg's
) -> Any:
    """What `_watched` makes for statements, unrolled: it is what nearly every statement is, and costs half as much."""
    observer = self.observer
    if observer is None or self.aside or portal_name or self.capture_parameters or own_work.get():
        return await _bind_execute(self, state, args, portal_name, limit, return_extra, timeout)
    operation, start = None, 0.0
    try:
        self.request = current_request()
        operation = observer.operation(state.query)
        start = observer.clock() if self.pending is None else since(self, observer, state)
    except Exception:
        caught(_PLACE)
    try:
        result = await _EXECUTE(self, state, args, portal_name, limit, return_extra, timeout)
    except BaseException as error:
        _executed(self, observer, operation, start, error, state, args)
        raise
    _executed(self, observer, operation, start, None, state, args)
    return result


def _executed(
    protocol: WatchedProtocol,
    observer: Observer,
    operation: Operation | None,
    start: float,
    error: BaseException | None,
    state: Any,
    args: Any,
) -> None:
    try:
        if operation is not None:
            took = operation.ended(start, error)
            if took >= observer.slow_seconds:
                observer.slow(operation, state.query, args, took, asyncpg_sessions.now(protocol.session, protocol))
    except Exception:
        caught(_PLACE)


def _takes(method: Call, *names: str) -> bool:
    """Whether the method is known to take exactly these parameters; before asyncpg 0.30 none of them say so."""
    try:
        return tuple(inspect.signature(method).parameters)[1:] == names
    except (TypeError, ValueError):
        return False


def can_be_watched() -> bool:
    """Whether this asyncpg's protocol has the methods that are watched."""
    return all(callable(getattr(AsyncpgProtocol, name, None)) for name in KINDS)


if can_be_watched():
    for _name, _kind in KINDS.items():
        setattr(WatchedProtocol, _name, _watched(_name, _kind))
    if _takes(_EXECUTE, "state", "args", "portal_name", "limit", "return_extra", "timeout"):
        WatchedProtocol.bind_execute = _fetch  # type: ignore[method-assign,assignment]
