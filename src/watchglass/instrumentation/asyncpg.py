"""Statements and connection pools of asyncpg, measured as the application sees them.

In place of `opentelemetry-instrumentation-asyncpg`, with its option, at a tenth of its price.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import inf
from typing import Any, Final

import asyncpg
import asyncpg.pool
import asyncpg.protocol
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from watchglass.instrumentation.asyncpg_connection import QueryLogger, mark_own_statements
from watchglass.instrumentation.asyncpg_pools import AsyncPGPools
from watchglass.instrumentation.asyncpg_rounds import Rounds
from watchglass.instrumentation.asyncpg_sessions import Session
from watchglass.instrumentation.backends import Backends
from watchglass.instrumentation.operations import Operation
from watchglass.instrumentation.patching import Patches
from watchglass.instrumentation.pools import Pools
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.slow_captures import SlowCaptures
from watchglass.instrumentation.statements import Statement, Statements

WATCHED: Final = ((0, 29), (1, 0))
"""Versions of asyncpg, from and below, whose protocol is watched; others are heard by their query loggers."""

_MAX_DATABASES = 50
_LOOKING = frozenset(("SELECT", "UPDATE", "DELETE"))


@dataclass(frozen=True, slots=True)
class ObservedDatabase:
    """A database that the service is connected to; never its password."""

    host: str
    port: int | None
    database: str | None
    user: str | None


class AsyncPGObserver:
    """What is known of the statements of a process."""

    def __init__(self, recorder: Recorder, captures: SlowCaptures | None = None) -> None:
        self.clock = recorder.clock
        self.slow_seconds = inf if captures is None else captures.threshold
        self._captures = captures
        self.databases: dict[ObservedDatabase, None] = {}
        self.backends = Backends(recorder.clock)
        self._recorder = recorder
        self._statements: Statements[Operation] = Statements(self._operation)
        self._prepared: Statements[Operation] = Statements(self._preparation)

    def operation(self, query: str, prepared: bool = False) -> Operation:
        """The operation of a text, or that of preparing it."""
        return self._prepared.get(query) if prepared else self._statements.get(query)

    @property
    def overflowed(self) -> int:
        """Statements that were measured without their text because there were too many different ones."""
        return self._statements.overflowed + self._prepared.overflowed

    def connected(self, connection: Any) -> None:
        """Remember it, and where to."""
        self.backends.connected(connection._protocol)
        place, parameters = connection._addr, connection._params
        host, port = (place, None) if isinstance(place, str) else place[:2]
        if len(self.databases) < _MAX_DATABASES:
            self.databases[ObservedDatabase(host, port, parameters.database, parameters.user)] = None

    def slow(self, operation: Operation, query: str, values: Any, took: float, session: Session) -> None:
        """Have the plan of a statement asked for that took long; only what looks for rows may have one."""
        if self._captures is not None and operation.attributes["db.operation.name"] in _LOOKING:
            self._captures.offer(query, operation.attributes.get("db.query.text"), values, took, *session)

    def _operation(self, statement: Statement) -> Operation:
        return Operation(self._recorder, "postgresql", statement.operation, statement.summary, statement.text)

    def _preparation(self, statement: Statement) -> Operation:
        return Operation(self._recorder, "postgresql", "PREPARE", f"PREPARE {statement.summary}", statement.text)


class AsyncPGInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Measures asyncpg: `instrument(recorder=...)`, `uninstrument()`. One object, however often it is made.

    `captures` is offered the statements that took long, with their parameters; `pools` has other libraries' too.

    `capture_parameters` keeps the values of parameters, redacted, in traces. Of connections that are open already,
    those of pools are heard from their next acquisition on, by their query loggers.
    """

    _patches: Patches | None = None
    _observer: AsyncPGObserver | None = None
    _logger: QueryLogger | None = None
    _pools: AsyncPGPools | None = None

    def __init__(self, capture_parameters: bool = False) -> None:
        self._capture_parameters = capture_parameters

    def instrumentation_dependencies(self) -> Collection[str]:
        return ("asyncpg >= 0.29.0",)

    @property
    def observer(self) -> AsyncPGObserver | None:
        """What is known of the statements, while instrumented."""
        return self._observer

    def _instrument(
        self,
        recorder: Recorder | None = None,
        captures: SlowCaptures | None = None,
        pools: Pools | None = None,
        **_: Any,
    ) -> None:
        recorder = Recorder() if recorder is None else recorder
        self._patches = Patches()
        self._observer = AsyncPGObserver(recorder, captures)
        self._logger = QueryLogger(self._observer)
        self._pools = AsyncPGPools(pools or Pools(recorder), self._logger.attach)
        if _can_be_watched():
            self._watch(self._patches)
        else:
            self._patches.replace(asyncpg.Connection, "__init__", self._logger.attached)
        self._patches.replace(asyncpg.pool.Pool, "_acquire", self._pools.watched)

    def _uninstrument(self, **_: Any) -> None:
        Rounds.observer = None
        if self._patches and self._logger and self._pools:
            self._patches.restore()
            self._logger.detach()
            self._pools.close()
        self._patches = self._observer = self._logger = self._pools = None

    def _watch(self, patches: Patches) -> None:
        """Replace the protocol of new connections."""
        from watchglass.instrumentation.asyncpg_protocol import WatchedProtocol

        Rounds.observer = self._observer
        Rounds.capture_parameters = self._capture_parameters
        mark_own_statements(patches, asyncpg.Connection)
        patches.replace(asyncpg.protocol, "Protocol", lambda _: WatchedProtocol)


def observed_databases() -> tuple[ObservedDatabase, ...]:
    """The databases that the service connected to since it is instrumented, in that order."""
    observer = AsyncPGInstrumentor().observer
    return tuple(observer.databases) if observer else ()


def _can_be_watched() -> bool:
    from watchglass.instrumentation.asyncpg_protocol import can_be_watched

    return WATCHED[0] <= _version(asyncpg.__version__) < WATCHED[1] and can_be_watched()


def _version(text: str) -> tuple[int, ...]:
    """The numbers a version begins with: `0.31.0rc1` is (0, 31)."""
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
