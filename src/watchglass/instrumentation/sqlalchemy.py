"""Connection pools of SQLAlchemy's engines, of both its kinds; statements are measured where their driver is.

SQLAlchemy is never imported for this: its engines are met once the service has imported it. How full a pool is comes
from what it says itself, so that it is right of an engine that was at work before, too. Only how long somebody waits
for a connection is told by no event: `Engine.raw_connection`, by which every connection comes, is measured.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Collection
from typing import Any
from weakref import WeakSet, WeakValueDictionary, ref

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from watchglass.guard import caught, own_work, protected
from watchglass.instrumentation.patching import Patches
from watchglass.instrumentation.pools import Numbers, ObservedPool, Pools, address
from watchglass.instrumentation.recorder import Recorder

_PLACE = "instrumentation.sqlalchemy"
_STATE = "_watchglass"
_POSTGRESQL_PORT = 5432

Method = Callable[..., Any]


class SQLAlchemyInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Measures SQLAlchemy's pools: `instrument(recorder=...)`, `uninstrument()`. One object for a process.

    Where the service imports SQLAlchemy later, its engines are met by `meet`, which each collection asks as well.
    """

    _patches: Patches | None = None
    _engines: EnginePools | None = None
    _met = False

    def instrumentation_dependencies(self) -> Collection[str]:
        return ("sqlalchemy >= 1.4",)

    def meet(self) -> None:
        """Measure the pools from now on, if the service has imported SQLAlchemy by now."""
        with protected(_PLACE):
            engine = getattr(sys.modules.get("sqlalchemy.engine"), "Engine", None)
            if engine is not None and self._patches and self._engines and not self._met:
                self._met = True
                self._patches.replace(engine, "raw_connection", self._engines.watched)

    def _check_dependency_conflicts(self) -> None:
        """A service without SQLAlchemy is nothing to complain of."""

    def _instrument(self, recorder: Recorder | None = None, pools: Pools | None = None, **_: Any) -> None:
        recorder = Recorder() if recorder is None else recorder
        self._patches, self._engines = Patches(), EnginePools(pools or Pools(recorder))
        self.meet()
        recorder.before_collect(self.meet)

    def _uninstrument(self, **_: Any) -> None:
        if self._patches and self._engines:
            self._patches.restore()
            self._engines.close()
        self._patches, self._engines, self._met = None, None, False


class EnginePool(ObservedPool):
    """The pool of an engine, which holds this and is not held by it."""

    __slots__ = ("_engine", "_name", "_opened", "pool")

    def __init__(self, engine: Any) -> None:
        super().__init__()
        self.pool = ref(engine.pool)
        self._engine = ref(engine)
        self._name = engine_name(engine)
        self._opened: WeakValueDictionary[int, Any] = WeakValueDictionary()

    def address(self) -> str:
        return self._name

    def acquired(self, connection: Any) -> None:
        """Remember a connection of a pool that does not count its own."""
        if not _counts(self.pool()):
            entry = connection._connection_record
            self._opened[id(entry)] = entry

    def numbers(self) -> Numbers | None:
        pool, engine = self.pool(), self._engine()
        if pool is None or (engine is not None and engine.pool is not pool):  # disposed of
            return None
        if _counts(pool):
            most = None if pool._max_overflow < 0 else pool.size() + pool._max_overflow
            return Numbers(pool.checkedin(), max(0, pool.checkedout()), most, self.pending)
        entries = [entry for reference in self._opened.valuerefs() if (entry := reference()) is not None]
        used = [entry.in_use for entry in entries if entry.dbapi_connection is not None]
        return Numbers(len(used) - sum(used), sum(used), None, self.pending)

    def timed_out(self, error: BaseException) -> bool:
        """Whether the pool gave up, or its driver."""
        given_up = sys.modules["sqlalchemy.exc"].TimeoutError
        return isinstance(error, given_up | TimeoutError)


class EnginePools:
    """Measures `Engine.raw_connection`, by which a connection is taken out of an engine's pool."""

    def __init__(self, pools: Pools) -> None:
        self._all = pools
        self._known: WeakSet[EnginePool] = WeakSet()
        self.active = True

    def close(self) -> None:
        """Forget the pools and leave them as they were."""
        self.active = False
        for observed in list(self._known):
            if (pool := observed.pool()) is not None:
                vars(pool).pop(_STATE, None)
            self._all.forget(observed)
        self._known.clear()

    def watched(self, method: Method) -> Method:
        """`Engine.raw_connection`, measured."""

        @functools.wraps(method)
        def raw_connection(engine: Any, *args: Any, **kwargs: Any) -> Any:
            observed = self._observed(engine) if self.active and not own_work.get() else None
            if observed is None:
                return method(engine, *args, **kwargs)
            start = self._all.clock()
            observed.pending += 1
            try:
                connection = method(engine, *args, **kwargs)
            except BaseException as error:
                self._ended(observed, start, error, None)
                raise
            finally:
                observed.pending -= 1
            self._ended(observed, start, None, connection)
            return connection

        return raw_connection

    def _observed(self, engine: Any) -> EnginePool | None:
        try:
            known: EnginePool | None = vars(engine.pool).get(_STATE)
            return known if known is not None else self._know(engine)
        except Exception:
            caught(_PLACE)
            return None

    def _know(self, engine: Any) -> EnginePool:
        observed: EnginePool = vars(engine.pool).setdefault(_STATE, EnginePool(engine))
        self._known.add(observed)
        self._all.add(observed)
        return observed

    def _ended(self, observed: EnginePool, start: float, error: BaseException | None, connection: Any) -> None:
        try:
            if error is None:
                observed.acquired(connection)
            self._all.ended(observed, start, error)
        except Exception:
            caught(_PLACE)


def engine_name(engine: Any) -> str:
    """`pool_logging_name` where the service gave one, else the address as asyncpg's own pools have it."""
    url, name = engine.url, getattr(engine.pool, "logging_name", None)
    if name:
        return str(name)
    backend = url.get_backend_name()
    if url.host:
        return address(url.host, url.port or (_POSTGRESQL_PORT if backend == "postgresql" else None), url.database)
    hosts = url.query.get("host") or backend  # the backend: the driver or a function of the service's knows where
    place = hosts if isinstance(hosts, str) else ",".join(hosts)
    return f"{place}/{url.database}" if url.database else place


def _counts(pool: Any) -> bool:
    """Whether a pool counts its connections: one that is a queue does."""
    return hasattr(pool, "checkedout")
