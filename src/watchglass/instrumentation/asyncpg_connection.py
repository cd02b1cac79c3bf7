"""What asyncpg's connections do for themselves, told apart from what the application asks of them."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg.utils

from watchglass.guard import caught, own_work
from watchglass.instrumentation import asyncpg_sessions
from watchglass.instrumentation.asyncpg_rounds import Observer, Rounds
from watchglass.instrumentation.patching import Patches

_PLACE = "instrumentation.asyncpg"
_JIT = ("current_setting('jit')", "set_config('jit'")

Call = Callable[..., Awaitable[Any]]


def mark_own_statements(patches: Patches, connection_class: type) -> None:
    """Have connections say what is their own: a reset, a look-up of types, the quoting of what COPY cannot bind.

    And have them say when the application itself prepares a statement.
    """
    patches.replace(connection_class, "reset", _reset)
    patches.replace(connection_class, "_introspect_types", _look_up)
    patches.replace(connection_class, "_introspect_type", _look_up)
    patches.replace(connection_class, "prepare", _during("preparing"))
    patches.replace(connection_class, "copy_records_to_table", _during("copying"))
    patches.replace(asyncpg.utils, "_mogrify", _look_up)


def _reset(method: Call) -> Call:
    @functools.wraps(method)
    async def reset(self: Any, *args: Any, **kwargs: Any) -> Any:
        protocol = self._protocol
        if not isinstance(protocol, Rounds):
            return await method(self, *args, **kwargs)
        protocol.aside += 1
        try:
            return await method(self, *args, **kwargs)
        finally:
            protocol.aside -= 1
            protocol.request = None
            _safely(protocol.end_cursors)

    return reset


def _look_up(method: Call) -> Call:
    @functools.wraps(method)
    async def look_up(self: Any, *args: Any, **kwargs: Any) -> Any:
        protocol = self._protocol
        if not isinstance(protocol, Rounds):
            return await method(self, *args, **kwargs)
        protocol.aside += 1
        try:
            return await method(self, *args, **kwargs)
        except BaseException as error:
            _safely(protocol.give_up, error)
            raise
        finally:
            protocol.aside -= 1

    return look_up


def _during(attribute: str) -> Callable[[Call], Call]:
    """Set the attribute of the protocol while the method runs."""

    def make(method: Call) -> Call:
        @functools.wraps(method)
        async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            protocol = self._protocol
            if not isinstance(protocol, Rounds):
                return await method(self, *args, **kwargs)
            setattr(protocol, attribute, True)
            try:
                return await method(self, *args, **kwargs)
            finally:
                setattr(protocol, attribute, False)

        return call

    return make


def _safely(function: Callable[..., None], *args: Any) -> None:
    try:
        function(*args)
    except Exception:
        caught(_PLACE)


class QueryLogger:
    """Sees the statements of connections whose protocol is not watched, by asyncpg's own query loggers.

    Those were open before, or belong to a version of asyncpg that cannot be watched. Prepared statements, cursors and
    COPY pass unseen.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._connections: weakref.WeakKeyDictionary[Any, Callable[[Any], None]] = weakref.WeakKeyDictionary()

    def attach(self, connection: Any) -> None:
        """Listen to a connection, or that behind a pool's proxy; once, and only if its protocol is not watched."""
        connection = getattr(connection, "_con", connection)
        if isinstance(connection._protocol, Rounds) or own_work.get() or connection in self._connections:
            return
        callback = functools.partial(self._heard, weakref.ref(connection))
        connection.add_query_logger(callback)
        self._connections[connection] = callback

    def attached(self, initialise: Callable[..., None]) -> Callable[..., None]:
        """`Connection.__init__`, whose connection is listened to."""

        @functools.wraps(initialise)
        def __init__(connection: Any, *args: Any, **kwargs: Any) -> None:
            initialise(connection, *args, **kwargs)
            _safely(self.attach, connection)

        return __init__

    def detach(self) -> None:
        """Listen to none any more."""
        for connection, callback in list(self._connections.items()):
            connection.remove_query_logger(callback)
        self._connections.clear()

    def _heard(self, reference: Callable[[], Any], record: Any) -> None:
        try:
            connection = reference()
            if connection is None or own_work.get() or _is_own(connection, record.query):
                return
            start = self._observer.clock() - record.elapsed
            operation = self._observer.operation(record.query)
            took = operation.ended(start, record.exception)
            if took >= self._observer.slow_seconds:
                session = asyncpg_sessions.now(asyncpg_sessions.opened(connection), connection)
                self._observer.slow(operation, record.query, record.args, took, session)
        except Exception:
            caught(_PLACE)


def _is_own(connection: Any, query: str) -> bool:
    """Whether asyncpg sent it for itself: the reset of a pool, or the look-up of types."""
    if query in (getattr(connection, "_reset_query", None), getattr(connection, "_intro_query", None)):
        return True
    return any(part in query for part in _JIT)
