"""PostgreSQL: whether it answers, what the role may do and see, and which extensions are there."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import asyncpg

from watchglass import sql
from watchglass.errors import DatabaseUnavailable, WatchglassError
from watchglass.jobs.doctor import explain_role, schema
from watchglass.jobs.doctor.findings import Finding
from watchglass.settings import Settings
from watchglass.store.connection import address_of, close, connect, reported, transaction

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

    Server = Mapping[str, Any]
    Installed = Mapping[str, str | None]
    Check = Callable[[Connection, str], Awaitable[list[Finding]]]

SUBJECT = "PostgreSQL"
_SECONDS, _CONNECT_SECONDS = 4.0, 2.0
_OLDEST = 140_000
_TELEMETRY = "The telemetry's PostgreSQL"


async def findings(settings: Settings) -> list[Finding]:
    """What there is to say of the service's database, and of the telemetry's where that is another one."""
    application, store = settings.application_dsn, settings.store_dsn
    if application is None or store is None:
        return [_unset()]
    variable = "DATABASE_URL" if settings.app_database_url else "WATCHGLASS_DATABASE_URL"

    async def look_at_schema(connection: Connection, dsn: str) -> list[Finding]:
        return [await schema.finding(connection, dsn, settings)]

    if application == store:
        return [
            *await _ask(SUBJECT, variable, store, _server, look_at_schema),
            *await _explaining(settings, application),
        ]
    return [
        *await _ask(SUBJECT, variable, application, _observed),
        *await _explaining(settings, application),
        *await _ask(_TELEMETRY, "WATCHGLASS_DATABASE_URL", store, _keeper, look_at_schema),
    ]


async def _explaining(settings: Settings, application: str) -> list[Finding]:
    """Of the role as which statements are explained, by its own URL."""
    if settings.explain_dsn is None:
        return [explain_role.UNSET]

    async def look(connection: Connection, dsn: str) -> list[Finding]:
        parts = urlsplit(application)
        return [await explain_role.finding(connection, unquote(parts.path.lstrip("/") or parts.username or ""))]

    return await _ask(explain_role.SUBJECT, explain_role.VARIABLE, settings.explain_dsn, look)


async def of_statements(connection: Connection) -> Finding:
    """Whether pg_stat_statements counts the statements of this database, and if not, what makes it do so."""
    return _statements(*await _look(connection))


async def _ask(subject: str, variable: str, dsn: str, *checks: Check) -> list[Finding]:
    """Run the checks on one connection; what keeps them from running is the finding."""
    try:
        async with asyncio.timeout(_SECONDS * 2):
            connection = await connect(dsn, application_name="watchglass doctor", seconds=_CONNECT_SECONDS)
            try:
                with reported(dsn, seconds=_SECONDS):
                    return [finding for check in checks for finding in await check(connection, dsn)]
            finally:
                await close(connection)
    except WatchglassError as error:
        return [_unusable(subject, variable, dsn, error)]
    except TimeoutError:
        return [Finding(subject, "error", f"PostgreSQL at {address_of(dsn)} did not answer within {_SECONDS * 2:g} s.")]


async def _keeper(connection: Connection, dsn: str) -> list[Finding]:
    row, _ = await _look(connection)
    return [_version(row, dsn, _TELEMETRY)]


async def _server(connection: Connection, dsn: str, *, keeps: bool = True) -> list[Finding]:
    """`keeps` says whether the telemetry is to be in it too."""
    row, installed = await _look(connection)
    found = [
        _monitor(row),
        _statements(row, installed),
        *_io_timing(row),
        _optional(row, installed, "hypopg", "suggested indexes cannot be tried out before they are made"),
        _optional(row, installed, "pg_trgm", "no index for LIKE '%text%' can be suggested"),
    ]
    return [_version(row, dsn, SUBJECT, keeps=keeps), *(map(_on_primary, found) if row["is_replica"] else found)]


async def _observed(connection: Connection, dsn: str) -> list[Finding]:
    return await _server(connection, dsn, keeps=False)


async def _look(connection: Connection) -> tuple[Server, Installed]:
    """What the server is, and the version of each extension that it has: None where the database has it not."""
    queries = sql.load("doctor")
    async with transaction(connection, seconds=_SECONDS, readonly=True):
        row = await connection.fetchrow(queries["server"])
        extensions = await connection.fetch(queries["extensions"], ["pg_stat_statements", "hypopg", "pg_trgm"])
    assert row is not None
    return dict(row), {extension["name"]: extension["installed_version"] for extension in extensions}


def _version(row: Server, dsn: str, subject: str, *, keeps: bool = True) -> Finding:
    name = f"PostgreSQL {_short(row)} at {address_of(dsn)}"
    if row["is_replica"] and keeps:
        remedy = "Let DATABASE_URL, or WATCHGLASS_DATABASE_URL, name the primary."
        return Finding(subject, "error", f"{name} is a replica, which takes no writes.", remedy)
    if row["version_number"] < _OLDEST:
        return Finding(subject, "warning", f"{name} is older than 14, the oldest that is supported.", "Upgrade it.")
    if row["is_replica"]:
        return Finding(subject, "ok", f"{name}, a replica: what is to be changed in it is changed on its primary.")
    return Finding(subject, "ok", f"{name}.")


def _on_primary(finding: Finding) -> Finding:
    """What a replica is given by replication is made where it comes from."""
    if finding.command is None or not finding.command.startswith(("CREATE", "GRANT")):
        return finding
    return replace(finding, remedy=f"On the primary. {finding.remedy}")


def _monitor(row: Server) -> Finding:
    if row["monitors"]:
        return Finding("pg_monitor", "ok", f"The role {row['role']} sees the statements and waits of every role.")
    return Finding(
        "pg_monitor",
        "missing",
        f"The role {row['role']} sees its own statements and waits only.",
        "As a superuser, let it see those of other roles.",
        f"GRANT pg_monitor TO {row['role']};",
    )


def _io_timing(row: Server) -> Iterator[Finding]:
    if not row["times_io"]:
        yield Finding(
            "track_io_timing",
            "missing",
            "PostgreSQL does not measure how long statements wait for the disk.",
            "As a superuser, switch it on.",
            "ALTER SYSTEM SET track_io_timing = on; SELECT pg_reload_conf();",
        )


def _statements(row: Server, installed: Installed) -> Finding:
    """pg_stat_statements has to be there, loaded at start, and created in this database."""
    name, loss = "pg_stat_statements", "statements of other clients are not seen; those of this service are measured."
    if name not in installed:
        remedy = "Install PostgreSQL's contrib package on the database's machine; then run this again."
        return Finding(name, "warning", f"pg_stat_statements is not on the server: {loss}", remedy)
    if not row["loads_statements"]:
        return Finding(
            name,
            "warning",
            f"pg_stat_statements is not loaded when the server starts: {loss}",
            "As a superuser, add it to what is loaded, and restart PostgreSQL.",
            f"ALTER SYSTEM SET shared_preload_libraries = {_preload(row['preloaded'])};",
        )
    if installed[name] is None:
        return Finding(
            name,
            "warning",
            f"pg_stat_statements is loaded, but not created in the database {row['database']}: {loss}",
            f"As a superuser, in the database {row['database']}:",
            "CREATE EXTENSION pg_stat_statements;",
        )
    return Finding(name, "ok", f"pg_stat_statements {installed[name]} counts the statements.")


def _preload(current: str | None) -> str:
    """The libraries to load, as ALTER SYSTEM wants them: unquoted, or the list is taken for one name."""
    if current is None:
        return "pg_stat_statements /* and what is there already: SHOW shared_preload_libraries */"
    return ", ".join([*(name.strip() for name in current.split(",") if name.strip()), "pg_stat_statements"])


def _optional(row: Server, installed: Installed, name: str, loss: str) -> Finding:
    if installed.get(name):
        return Finding(name, "ok", f"{name} {installed[name]} is there.")
    if name not in installed:
        return Finding(name, "missing", f"{name} is not on the server: {loss}.", f"Install {name} there, if you can.")
    # pg_trgm is a trusted extension: the owner of a database may create it.
    who = "the owner" if name == "pg_trgm" else "a superuser"
    remedy = f"As {who}, in the database {row['database']}:"
    return Finding(name, "missing", f"{name} is not created: {loss}.", remedy, f"CREATE EXTENSION {name};")


def _unset() -> Finding:
    return Finding(
        SUBJECT,
        "error",
        "No database is set: the service runs, and nothing is kept.",
        "Name the service's database, or another one for the telemetry in WATCHGLASS_DATABASE_URL.",
        "DATABASE_URL=postgresql://user:password@host:5432/database",
    )


def _unusable(subject: str, variable: str, dsn: str, error: WatchglassError) -> Finding:
    match error.__cause__ if isinstance(error, DatabaseUnavailable) else None:
        case asyncpg.InvalidPasswordError():
            remedy = f"Correct the password in {variable}."
        case asyncpg.InvalidCatalogNameError():
            remedy = f"Create the database, or correct its name in {variable}."
        case socket.gaierror():
            remedy = f"Correct the host in {variable}."
        case TimeoutError():
            remedy = f"See whether it hangs, or what keeps the network from it; or correct host and port in {variable}."
        case OSError():
            remedy = f"Start PostgreSQL there, or correct host and port in {variable}."
        case _:
            remedy = f"Look at PostgreSQL's log, and at {variable}."
    return Finding(subject, "error", str(error), remedy)


def _short(row: Server) -> str:
    """18.6 of `18.6 (Debian 18.6-1)`."""
    return str(row["version"]).split()[0]
