"""Connections to the store, behind pgbouncer in any mode as well, and plain reasons when there is none."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from watchglass import sql
from watchglass.errors import (
    DatabaseBusy,
    DatabaseUnavailable,
    QueryTooSlow,
    SchemaForbidden,
    SchemaMissing,
    WatchglassError,
)

if TYPE_CHECKING:
    Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

CONNECT_SECONDS = 5.0

# Parameters that drivers keep to themselves; asyncpg would send them to the server, which refuses them.
_OF_OTHER_DRIVERS = {
    "async_fallback",
    "channel_binding",
    "command_timeout",
    "connect_timeout",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "pgbouncer",
    "pool_size",
    "prepared_statement_cache_size",
    "statement_cache_size",
    "tcp_user_timeout",
}

_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the driver, when the server ends the connection in the middle of its answer
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,
    asyncpg.InvalidTransactionStateError,
    asyncpg.PostgresIOError,
    OSError,
    TimeoutError,
)
"""What another attempt may not meet again."""

_BUSY: dict[type[asyncpg.PostgresError], str] = {
    asyncpg.LockNotAvailableError: "Its page shows who holds it, under Now: wait for that session, or end it there.",
    asyncpg.QueryCanceledError: "Its page shows what keeps it busy, under Now: end that, or ask for less.",
    asyncpg.DeadlockDetectedError: "What was rolled back is tried again.",
    asyncpg.TooManyConnectionsError: "End idle sessions, make the service's pools smaller, or raise max_connections.",
    asyncpg.DiskFullError: "Make room there.",
}
"""What a server says that does answer, with what helps. Its page is PostgreSQL's."""


async def connect(dsn: str, *, application_name: str = "watchglass", seconds: float = CONNECT_SECONDS) -> Connection:
    """A connection that prepares nothing and sets nothing for its session. Raises `DatabaseUnavailable`."""
    with reported(dsn):
        try:
            return await asyncpg.connect(
                for_asyncpg(dsn),
                timeout=seconds,
                statement_cache_size=0,
                server_settings={"application_name": application_name},
            )
        except ValueError as error:
            reason = f"its URL is not understood ({_first_line(error)})"
            raise DatabaseUnavailable(address=address_of(dsn), reason=reason) from error


@asynccontextmanager
async def transaction(
    connection: Connection, *, seconds: float, lock_seconds: float = 1.0, readonly: bool = False
) -> AsyncIterator[None]:
    """A transaction that is over after `seconds`, even if the server has stopped answering.

    The server ends a statement that takes that long; a second later the connection is given up, by us and, where
    nothing of us arrives any more, by the server.
    """
    given_up = seconds + 1.0
    watchdog = asyncio.get_running_loop().call_later(given_up, connection.terminate)
    try:
        async with connection.transaction(readonly=readonly):
            bounds = (f"{int(bound * 1000)}ms" for bound in (seconds, lock_seconds, given_up))
            await connection.execute(sql.load("sessions")["begin"], *bounds)
            yield
    finally:
        watchdog.cancel()


async def close(connection: Connection, seconds: float = 1.0) -> None:
    """Close within that time, or give up the connection."""
    try:
        await connection.close(timeout=seconds)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError):
        connection.terminate()


@contextmanager
def reported(dsn: str, *, seconds: float | None = None) -> Iterator[None]:
    """Turn what asyncpg and the network raise into errors of ours, with a reason anyone understands."""
    try:
        yield
    except asyncpg.QueryCanceledError as error:
        if seconds is None:
            raise unavailable(error, dsn) from error
        raise QueryTooSlow(seconds=f"{seconds:g}") from error
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.UndefinedFunctionError) as error:
        raise SchemaMissing(address=address_of(dsn), found=0, needed=max(sql.migrations())) from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise forbidden(dsn, urlsplit(dsn).username or "of the service") from error
    except _AWAY as error:
        raise unavailable(error, dsn) from error


def unavailable(error: BaseException, dsn: str) -> DatabaseUnavailable:
    """The error that says why PostgreSQL cannot be used now: whether it does not answer, or cannot do what is asked."""
    address, reason = address_of(dsn), reason_of(error, dsn)
    for kind, remedy in _BUSY.items():
        if isinstance(error, kind):
            return DatabaseBusy(address=address, reason=reason, remedy=remedy)
    return DatabaseUnavailable(address=address, reason=reason)


def forbidden(dsn: str, role: str, statement: str | None = None) -> WatchglassError:
    """The error of a role that lacks a privilege, with what gives it."""
    remedy = statement or f"watchglass migrate --role {role}"
    return SchemaForbidden(role=role, address=address_of(dsn), statement=remedy)


def for_asyncpg(dsn: str) -> str:
    """The URL without what only other drivers understand; SQLAlchemy's `ssl` becomes `sslmode`."""
    parts = urlsplit(dsn)
    pairs = [
        ("sslmode" if name == "ssl" else name, {"true": "require", "false": "disable"}.get(value, value))
        for name, value in parse_qsl(parts.query)
        if name not in _OF_OTHER_DRIVERS
    ]
    return urlunsplit(parts._replace(query=urlencode(pairs)))


def address_of(dsn: str) -> str:
    """host:port/database, without user and password."""
    parts = urlsplit(dsn)
    return f"{parts.netloc.rpartition('@')[2] or 'the local socket'}{parts.path}"


def reason_of(error: BaseException, dsn: str) -> str:
    """Why PostgreSQL cannot be used, without a full stop."""
    user = urlsplit(dsn).username or "of the service"
    match error:
        case asyncpg.InvalidPasswordError():
            return f"the password of the role {user} is wrong"
        case asyncpg.InvalidAuthorizationSpecificationError():
            return f"it refuses the role {user} ({_first_line(error)})"
        case asyncpg.InvalidCatalogNameError():
            return f"there is no database {urlsplit(dsn).path.lstrip('/') or user}"
        case asyncpg.TooManyConnectionsError():
            return "all its connections are taken"
        case asyncpg.DiskFullError():
            return "its disk is full"
        case asyncpg.CannotConnectNowError():
            return "it is starting up or shutting down"
        case asyncpg.AdminShutdownError() | asyncpg.CrashShutdownError():
            return "it is shutting down"
        case asyncpg.QueryCanceledError():
            return "a statement took too long and was cancelled"
        case asyncpg.LockNotAvailableError():
            return "a lock was not free in time"
        case asyncpg.DeadlockDetectedError():
            return "a transaction was rolled back to end a deadlock"
        case asyncpg.PostgresConnectionError() | asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return "the connection was lost"
        case ssl.SSLError():
            return f"the encrypted connection failed ({error.reason or 'unknown reason'})"
        case socket.gaierror():
            return f"the host name {urlsplit(dsn).hostname} is unknown"
        case TimeoutError():
            return "nothing was heard from it in time"
        case OSError() if isinstance(error, ConnectionRefusedError) or re.search(r"refused|Errno 111\b", str(error)):
            return "the connection is refused, nothing listens there"
    return _first_line(error)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
