"""Bring the schema `watchglass` up to date: once the process serves, or by `watchglass migrate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from watchglass import sql
from watchglass.errors import SchemaMissing, WatchglassError, WriterTooOld
from watchglass.store.connection import address_of, close, connect, forbidden, reported, transaction

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

Mode = Literal["auto", "check", "off"]

WRITER = 2
"""The version of what this package writes; the schema may ask for a newer one."""

LATEST = max(sql.migrations())

_WAIT_SECONDS = 60.0
_LOCK_SECONDS = 30.0
"""How long to wait for another process that migrates. Only objects of the schema are locked, never the host's."""


async def migrate(dsn: str, role: str | None = None) -> list[int]:
    """Apply what is missing, as the URL's role, and return the versions applied.

    `role` names an application's role that owns nothing: it may then write, and maintain partitions. Safe when several
    processes do it at once. Raises `SchemaForbidden` with the statement that helps, or `DatabaseUnavailable`.
    """
    connection = await connect(dsn, application_name="watchglass migrate")
    try:
        applied = await upgrade(connection, dsn)
        with reported(dsn):
            async with transaction(connection, seconds=_WAIT_SECONDS):
                queries = sql.load("migrations")
                await connection.execute(queries["grant_again"])
                if role:
                    await connection.execute(queries["grant"], role)
        return applied
    finally:
        await close(connection)


async def ensure(connection: Connection, dsn: str, mode: Mode = "auto") -> None:
    """Have the schema as this version needs it, or raise what stands in the way; "off" trusts it is there."""
    if mode == "auto":
        await upgrade(connection, dsn)
    if mode != "off":
        await check(connection, dsn)


async def check(connection: Connection, dsn: str) -> int:
    """The version of the schema. Raises `SchemaMissing`, `SchemaForbidden` or `WriterTooOld` if it does not serve."""
    with reported(dsn):
        async with transaction(connection, seconds=5.0, readonly=True):
            found, min_writer = await _version(connection, dsn)
    if found < LATEST:
        raise SchemaMissing(address=address_of(dsn), found=found, needed=LATEST)
    if min_writer > WRITER:
        raise WriterTooOld(needed=min_writer, found=WRITER)
    return found


async def upgrade(connection: Connection, dsn: str) -> list[int]:
    """Apply what is missing, each migration in a transaction of its own, and return the versions applied."""
    applied: list[int] = []
    while (version := await _apply_next(connection, dsn)) is not None:
        applied.append(version)
    return applied


async def _apply_next(connection: Connection, dsn: str) -> int | None:
    with reported(dsn):
        async with transaction(connection, seconds=5.0, readonly=True):
            if (await _version(connection, dsn))[0] >= LATEST:
                return None
        async with transaction(connection, seconds=_WAIT_SECONDS, lock_seconds=_LOCK_SECONDS):
            await connection.execute(sql.load("migrations")["migrating"])
            found = (await _version(connection, dsn))[0]
            if found >= LATEST:
                return None
            await _ready(connection, dsn)
            await connection.execute(sql.migrations()[found + 1])
            if found + 1 == LATEST:  # processes that write already need them as soon as this is committed
                await connection.execute(sql.load("batches")["create_partitions"])
                await connection.execute(sql.load("migrations")["grant_again"])
            return found + 1


async def _version(connection: Connection, dsn: str) -> tuple[int, int]:
    """The schema's version and the oldest writer it takes, zeros without a schema."""
    queries = sql.load("migrations")
    standing = await connection.fetchrow(queries["standing"])
    assert standing is not None
    if not standing["has_tables"]:
        return 0, 0
    if not standing["may_use"]:
        raise _not_granted(dsn, standing["role"], standing["owner"])
    applied = await connection.fetchrow(queries["applied"])
    assert applied is not None
    return applied["version"], applied["min_writer"]


async def _ready(connection: Connection, dsn: str) -> None:
    """Have a schema to work in. Raises `SchemaForbidden` where the role may not."""
    queries = sql.load("migrations")
    standing = await connection.fetchrow(queries["standing"])
    assert standing is not None
    if not standing["has_schema"] and not standing["may_create_schema"]:
        role, create = standing["role"], standing["create_for_role"]
        raise forbidden(
            dsn, role, f"{create} -- or, for a role that is to own nothing: watchglass migrate --role {role}"
        )
    if not standing["has_schema"]:
        await connection.execute(queries["create_schema"])
    elif not standing["may_create_tables"]:
        raise _not_granted(dsn, standing["role"], standing["owner"])


def _not_granted(dsn: str, role: str, owner: str) -> WatchglassError:
    return forbidden(dsn, role, f"watchglass migrate --role {role} -- with the URL of {owner}, who owns the schema")
