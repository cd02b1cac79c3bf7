"""The role as which statements are explained: it may read and do nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from watchglass import sql
from watchglass.errors import RoleExists
from watchglass.store.connection import address_of, close, connect, reported, transaction

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Made:
    """What became of a role: by whom; whether that role may not make any, and the statements for one who may.

    `left_out` are the statements that only a superuser may run; the role serves without them.
    """

    by: str
    forbidden: bool
    statements: tuple[str, ...]
    left_out: tuple[str, ...] = ()


async def make(dsn: str, name: str, password: str) -> Made:
    """Make the role in the database of the URL, all of it or nothing. Raises `RoleExists` or `DatabaseUnavailable`."""
    connection = await connect(dsn, application_name="watchglass migrate")
    try:
        with reported(dsn):
            by = str(await connection.fetchval(sql.load("explain")["explain_made_by"]))
            found = await _statements(connection, name, password)
            statements = tuple(f"{statement};" for statement, _ in found)
            try:
                async with transaction(connection, seconds=_SECONDS):
                    left_out = [
                        statement for statement, is_needed in found if not await _done(connection, statement, is_needed)
                    ]
            except asyncpg.InsufficientPrivilegeError:
                return Made(by, True, statements)
            except asyncpg.DuplicateObjectError:
                raise RoleExists(role=name, address=address_of(dsn)) from None
            return Made(by, False, statements, tuple(f"{statement};" for statement in left_out))
    finally:
        await close(connection)


async def written(dsn: str, name: str, password: str) -> list[str]:
    """The statements that make it, for the server of the URL; nothing is changed. Raises `DatabaseUnavailable`."""
    connection = await connect(dsn, application_name="watchglass migrate")
    try:
        with reported(dsn):
            return [f"{statement};" for statement, _ in await _statements(connection, name, password)]
    finally:
        await close(connection)


def url_of(dsn: str, name: str, password: str) -> str:
    """The URL with another role."""
    parts = urlsplit(dsn)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(name, safe='')}:{quote(password, safe='')}@{place}"))


async def _statements(connection: Connection, name: str, password: str) -> list[tuple[str, bool]]:
    rows = await connection.fetch(sql.load("explain")["explain_role"], name, _verifier(password))
    return [(row["statement"], row["is_needed"]) for row in rows]


async def _done(connection: Connection, statement: str, is_needed: bool) -> bool:
    """Run one. Raises where it may not and is needed."""
    try:
        async with connection.transaction():
            await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        if is_needed:
            raise
        return False
    return True


def _verifier(password: str) -> str:
    """The password as PostgreSQL keeps it, so that it is in no log and no statistics of statements: RFC 5803."""
    salt, rounds = secrets.token_bytes(16), 4096
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    client, server = (hmac.digest(salted, key, "sha256") for key in (b"Client Key", b"Server Key"))
    encoded = (base64.b64encode(part).decode() for part in (salt, hashlib.sha256(client).digest(), server))
    return "SCRAM-SHA-256${}:{}${}:{}".format(rounds, *encoded)
