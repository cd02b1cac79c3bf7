"""What goes to and fro on a connection of asyncpg, put together to statements as the application sees them.

- The preparation that asyncpg does for `fetch`, `execute` with arguments, COPY of records and cursors, and its look-up
  of unknown types, belong to the statement that follows. `Connection.prepare` is an operation of its own, `PREPARE`.
- A cursor is one operation, however many rows are fetched how often; its duration is the time spent fetching. It ends
  when it is exhausted, with its transaction, or with its connection.
- What resets a connection, as a pool does on release, is no operation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from watchglass.instrumentation import asyncpg_sessions
from watchglass.instrumentation.asyncpg_sessions import Session
from watchglass.instrumentation.budget import note
from watchglass.instrumentation.operations import Operation
from watchglass.instrumentation.request import Request
from watchglass.redaction import fields

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""What a method was called with."""


class Observer(Protocol):
    """Knows the clock and the operation of a text, and hears of connections."""

    clock: Callable[[], float]
    slow_seconds: float

    def operation(self, query: str, prepared: bool = False) -> Operation: ...

    def connected(self, connection: Any) -> None: ...

    def slow(self, operation: Operation, query: str, values: Any, took: float, session: Session) -> None: ...


class Rounds:
    """What is under way on one connection."""

    observer: ClassVar[Observer | None] = None
    """Told of everything, if there is one."""

    capture_parameters: ClassVar[bool] = False

    session: Session = Session()
    """The connection's, as it was opened."""

    request: Request | None = None
    """That whose statement was the last, until the connection is given back to its pool; see `backends`."""

    opened: tuple[int, float] = 0, 0.0
    """The process that opened it, and when: a reading of the recorder's clock."""

    aside = 0
    """Above 0 while asyncpg works for itself."""

    preparing = False
    """Whether the application itself prepares a statement."""

    copying = False
    """Whether records are copied, for which asyncpg prepares a query of the table."""

    pending: tuple[Any, float] | None = None
    """The statement that asyncpg prepared last, and when it began to."""

    cursors: dict[str, Cursor] | None = None
    """Open cursors by the name of their portal."""

    def end_cursors(self) -> None:
        """Close the books of all cursors: they do not survive what happened."""
        cursors, self.cursors = self.cursors, None
        for cursor in cursors.values() if cursors else ():
            cursor.ended()

    def give_up(self, error: BaseException) -> None:
        """A statement that was prepared will not be executed: looking up its types failed."""
        pending, self.pending = self.pending, None
        if pending is not None and self.observer is not None:
            self.observer.operation(pending[0].query).ended(pending[1], error)

    def is_in_transaction(self) -> bool:
        """Answered by asyncpg's protocol."""
        return False


class Cursor:
    """A cursor between two fetches. Times in seconds of the recorder's clock; `took` is what was waited for it."""

    __slots__ = ("end", "error", "operation", "start", "took")

    def __init__(self, operation: Operation, start: float, end: float) -> None:
        self.operation = operation
        self.start = start
        self.end = end
        self.took = end - start
        self.error: BaseException | None = None
        note(operation.part, start, end)

    def fetched(self, start: float, end: float, error: BaseException | None) -> None:
        self.took += end - start
        self.end = end
        note(self.operation.part, start, end)
        self.error = error

    def ended(self) -> None:
        self.operation.ended(self.start, self.error, None, self.end, self.took)


def _argument(arguments: Arguments, index: int, name: str) -> Any:
    args, kwargs = arguments
    return args[index] if len(args) > index else kwargs.get(name)


def since(protocol: Rounds, observer: Observer, state: Any) -> float:
    """When the statement began: with its preparation, if that was the last thing done."""
    pending, protocol.pending = protocol.pending, None
    return pending[1] if pending is not None and pending[0] is state else observer.clock()


class Preparation:
    """`Connection.prepare`, or the first half of a statement."""

    __slots__ = ("observer", "query", "start", "wanted")

    def __init__(self, protocol: Rounds, observer: Observer, arguments: Arguments) -> None:
        self.observer = observer
        self.query = _argument(arguments, 1, "query")
        self.wanted = protocol.preparing and not protocol.copying
        self.start = observer.clock()

    def ended(self, protocol: Rounds, result: Any, error: BaseException | None) -> None:
        if self.wanted or error is not None:
            self.observer.operation(self.query, self.wanted).ended(self.start, error)
        else:
            protocol.pending = (result, self.start)


class Execution:
    """A statement; with a portal's name, the opening of a cursor."""

    __slots__ = ("attributes", "observer", "operation", "portal", "query", "start", "values")

    def __init__(self, protocol: Rounds, observer: Observer, arguments: Arguments) -> None:
        state = _argument(arguments, 0, "state")
        self.query, self.values = state.query, _argument(arguments, 1, "args")
        self.observer = observer
        self.start = since(protocol, observer, state)
        self.operation = observer.operation(state.query)
        self.portal = _argument(arguments, 2, "portal_name")
        parameters = _parameters(self.values) if protocol.capture_parameters else None
        self.attributes = {**self.operation.attributes, **parameters} if parameters else None

    def ended(self, protocol: Rounds, result: Any, error: BaseException | None) -> None:
        if not self.portal or error is not None or _is_exhausted(result):
            took = self.operation.ended(self.start, error, self.attributes)
            if took >= self.observer.slow_seconds:
                session = asyncpg_sessions.now(protocol.session, protocol)
                self.observer.slow(self.operation, self.query, self.values, took, session)
        else:
            if protocol.cursors is None:
                protocol.cursors = {}
            protocol.cursors[self.portal] = Cursor(self.operation, self.start, self.observer.clock())


class Executions(Execution):
    """A statement for many rows of parameters (`executemany`): those of one of them are not its own."""

    __slots__ = ()

    def __init__(self, protocol: Rounds, observer: Observer, arguments: Arguments) -> None:
        super().__init__(protocol, observer, arguments)
        self.values = None


class Fetch:
    """More rows of an open cursor."""

    __slots__ = ("cursor", "observer", "portal", "start")

    def __init__(self, protocol: Rounds, observer: Observer, arguments: Arguments) -> None:
        self.observer = observer
        self.portal = _argument(arguments, 1, "portal_name")
        self.cursor = protocol.cursors.get(self.portal) if protocol.cursors else None
        self.start = observer.clock()

    def ended(self, protocol: Rounds, result: Any, error: BaseException | None) -> None:
        if self.cursor is None:
            return
        self.cursor.fetched(self.start, self.observer.clock(), error)
        if (error is not None or _is_exhausted(result)) and protocol.cursors:
            protocol.cursors.pop(self.portal, None)
            self.cursor.ended()


class Script:
    """A text without parameters, COPY among them; a step of a transaction may end cursors."""

    __slots__ = ("cursor", "observer", "operation", "query", "start")

    def __init__(self, protocol: Rounds, observer: Observer, arguments: Arguments) -> None:
        self.query = query = _argument(arguments, 0, "query") or _argument(arguments, 0, "copy_stmt")
        self.observer = observer
        self.start = since(protocol, observer, _argument(arguments, 4, "record_stmt"))
        self.cursor = _moved(protocol.cursors, query) if protocol.cursors else None
        self.operation = observer.operation(query)

    def ended(self, protocol: Rounds, result: Any, error: BaseException | None) -> None:
        if self.cursor is not None:
            self.cursor.fetched(self.start, self.observer.clock(), error)
            return
        took = self.operation.ended(self.start, error)
        if took >= self.observer.slow_seconds:
            self.observer.slow(self.operation, self.query, (), took, asyncpg_sessions.now(protocol.session, protocol))
        if protocol.cursors and not protocol.is_in_transaction():
            protocol.end_cursors()


def _moved(cursors: dict[str, Cursor], query: str) -> Cursor | None:
    """The cursor that `Cursor.forward` moves."""
    return cursors.get(query.rpartition(" ")[2]) if query.startswith("MOVE FORWARD ") else None


def _is_exhausted(result: Any) -> bool:
    """Of `(rows, status, whether there are no more)`."""
    return isinstance(result, tuple) and len(result) == 3 and bool(result[2])


def _parameters(values: Any) -> dict[str, Any] | None:
    if not isinstance(values, tuple | list):
        return None
    return fields({f"db.query.parameter.{index}": value for index, value in enumerate(values)})
