"""EXPLAIN of a statement, so that it is planned and nothing else happens: docs/decisions/0018.

Fences, each of which holds alone: the text is one SELECT; what it may call is PostgreSQL's own and not volatile; the
extended protocol takes one statement; the transaction is read-only and rolled back; and the connection, which is opened
for one statement and closed after it, is one of a role that may only read, where there is one.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import unquote, urlsplit

import asyncpg

from watchglass import sql
from watchglass.analysis import explainable
from watchglass.errors import DatabaseUnavailable
from watchglass.guard import as_own_work
from watchglass.store.connection import address_of, close, connect
from watchglass.store.explain_settings import Session, settings_of
from watchglass.store.explain_trust import refused_names

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

SECONDS: Final = 3.0
LOCK_SECONDS: Final = 0.2

How = Literal["parameters", "generic", "analyze"]
Around = Callable[["Connection"], AbstractAsyncContextManager[None]]

NEEDS_ROLE: Final = (
    "EXPLAIN ANALYZE runs the statement, so that it needs a role that may only read: make one with "
    "`watchglass migrate --explain-role NAME` and set WATCHGLASS_EXPLAIN_DATABASE_URL."
)
IS_SUPERUSER: Final = (
    "EXPLAIN ANALYZE is not done as a superuser: set WATCHGLASS_EXPLAIN_DATABASE_URL to a lesser role's."
)
NEEDS_PARAMETERS: Final = "EXPLAIN ANALYZE runs the statement, so that it needs its parameters, and they are not known."

_OPTIONS: Final = "FORMAT JSON, VERBOSE, SETTINGS"
_ANALYZE: Final = "ANALYZE, TIMING OFF, BUFFERS, FORMAT JSON, VERBOSE, SETTINGS"
_PARAMETER: Final = re.compile(r"\$([0-9]+)")
_MOST_PARAMETERS: Final = 1_000
_UNSENT: Final = "22000"
"""The SQLSTATE of what the driver itself refuses to send."""


@dataclass(frozen=True, slots=True)
class Explained:
    """A plan, as PostgreSQL's JSON has it, with the values of the statement in it; or why there is none.

    `sqlstate` is all that is told of an error: messages may hold what is in the tables.
    """

    how: How
    plan: dict[str, Any] | None = None
    refusal: str | None = None
    sqlstate: str | None = None
    server_version: str = ""


class Explainer:
    """Explains statements of one database, one at a time, as `role_dsn`'s role or else as the application's.

    Either way names are found, and plans made, by the settings of the application's role.
    """

    def __init__(self, dsn: str, role_dsn: str | None = None) -> None:
        self._dsn = role_dsn or dsn
        self._plans_as = unquote(urlsplit(dsn).username or "") if role_dsn else ""
        self.may_analyze = role_dsn is not None
        self._lock = asyncio.Lock()

    async def explain(
        self,
        text: str,
        arguments: Sequence[Any] | None = None,
        *,
        analyze: bool = False,
        seconds: float = SECONDS,
        around: Around | None = None,
        search_path: str | None = None,
    ) -> Explained:
        """Plan the text with these arguments; without them, or where they cannot be sent, for any.

        `search_path` is that of the session which sent it, where it is not its role's.

        With `analyze` it is run, and rolled back. `around` is entered on the connection while it is planned. Raises
        `DatabaseUnavailable`, and `ExtraMissing` without a parser.
        """
        needed = _parameters(text)
        arguments = () if not needed else arguments
        how: How = "analyze" if analyze else "generic" if arguments is None else "parameters"
        why = self._why_not(text, arguments, needed, analyze)
        if why is not None:
            return Explained(how, refusal=why)
        with as_own_work():
            async with self._lock, self._connected() as connection:
                as_sent = Session(self._plans_as, search_path)
                return await _explain(connection, text, arguments, how, seconds, around, as_sent)

    def _why_not(self, text: str, arguments: Sequence[Any] | None, needed: int, analyze: bool) -> str | None:
        if analyze and not self.may_analyze:
            return NEEDS_ROLE
        if analyze and arguments is None:
            return NEEDS_PARAMETERS
        if needed > _MOST_PARAMETERS:
            return f"It has more than {_MOST_PARAMETERS:,} parameters."
        return explainable.refusal(text)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        connection = await connect(self._dsn, application_name="watchglass explain", seconds=SECONDS)
        try:
            yield connection
        except (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError, asyncpg.InternalClientError):
            connection.terminate()
            reason = "the connection was lost"
            raise DatabaseUnavailable(address=address_of(self._dsn), reason=reason) from None
        finally:
            await close(connection)


async def _explain(
    connection: Connection,
    text: str,
    arguments: Sequence[Any] | None,
    how: How,
    seconds: float,
    around: Around | None,
    as_sent: Session,
) -> Explained:
    """All in one transaction, so that it is one server connection behind pgbouncer."""
    watchdog = asyncio.get_running_loop().call_later(seconds + 2.0, connection.terminate)
    queries = sql.load("explain")
    version = ""
    try:
        async with _rolled_back(connection):
            bounds = f"{int(seconds * 1000)}ms", f"{int(LOCK_SECONDS * 1000)}ms"
            row = await connection.fetchrow(queries["explain_bounds"], *bounds)
            assert row is not None
            version = row["server_version"].split()[0]
            if how == "analyze" and row["is_superuser"]:
                return Explained(how, refusal=IS_SUPERUSER, server_version=version)
            refused = await refused_names(connection, text)
            if refused is not None:
                return Explained(how, refusal=refused, server_version=version)
            try:
                settings = await settings_of(connection, row, as_sent)
                async with around(connection) if around else nullcontext():
                    await connection.execute(queries["explain_as_applied"], list(settings), list(settings.values()))
                    how, plan = await _plan(connection, text, arguments, how)
            finally:
                await connection.execute(queries["explain_unlock"])
            return Explained(how, plan, server_version=version)
    except asyncpg.PostgresError as error:
        if isinstance(error, asyncpg.PostgresConnectionError) or error.sqlstate is None:
            raise
        return Explained(how, sqlstate=error.sqlstate, server_version=version)
    finally:
        watchdog.cancel()


@asynccontextmanager
async def _rolled_back(connection: Connection) -> AsyncIterator[None]:
    """A read-only transaction that leaves nothing, whatever its end."""
    transaction = connection.transaction(readonly=True)
    await transaction.start()
    try:
        yield
    finally:
        if not connection.is_closed():
            await transaction.rollback()


async def _plan(
    connection: Connection, text: str, arguments: Sequence[Any] | None, how: How
) -> tuple[How, dict[str, Any]]:
    if arguments is None:
        return "generic", await _generic(connection, text)
    try:
        async with connection.transaction():
            options = _ANALYZE if how == "analyze" else _OPTIONS
            return how, _read(await connection.fetch(f"{_explaining(options)} {text}", *arguments))
    except (asyncpg.DataError, asyncpg.InterfaceError) as error:
        # What the driver cannot send: the application has taught its own connections other types.
        if how == "analyze" or connection.is_closed() or getattr(error, "sqlstate", _UNSENT) != _UNSENT:
            raise
    return "generic", await _generic(connection, text)


async def _generic(connection: Connection, text: str) -> dict[str, Any]:
    """The plan for any parameters.

    By PREPARE on every version: GENERIC_PLAN (from 16 on) takes placeholders in the simple protocol only, which would
    run a second statement that hides behind the first; in the extended protocol it plans for parameters that are NULL.
    """
    async with connection.transaction():
        await connection.fetch(f"PREPARE /* watchglass:explain */ watchglass_explained AS {text}")
    nulls = ", ".join(["NULL"] * _parameters(text))
    execute = f"EXECUTE watchglass_explained({nulls})" if nulls else "EXECUTE watchglass_explained"
    try:
        async with connection.transaction():
            await connection.execute(sql.load("explain")["explain_generic"])
            return _read(await connection.fetch(f"{_explaining(_OPTIONS)} {execute}"))
    finally:  # what is prepared outlives the transaction, and behind pgbouncer the connection
        await connection.execute("DEALLOCATE /* watchglass:explain */ watchglass_explained")


def _explaining(options: str) -> str:
    return f"EXPLAIN /* watchglass:explain */ ({options})"


def _read(rows: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(rows[0][0])[0]
    return found


def _parameters(text: str) -> int:
    """How many parameters the text has, by the highest number in it; those in strings count too, and do no harm."""
    return max((int(number[:9]) for number in _PARAMETER.findall(text)), default=0)
