"""`watchglass migrate`: make the schema, or bring it up to date, and let the service's role use it."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from watchglass import sql
from watchglass.cli.parsing import add_command
from watchglass.errors import DatabaseNotConfigured, RoleNotFound
from watchglass.settings import Settings

if TYPE_CHECKING:
    from watchglass.cli.parsing import Commands

_EPILOG = (
    "The database is the one of WATCHGLASS_DATABASE_URL, else of DATABASE_URL. A service does this by itself when its "
    "role may; run it with the URL of an owner of the database, and --role, for a service whose role owns nothing."
)


def add(commands: Commands) -> None:
    text = "make the schema watchglass in the database, or bring it up to date"
    parser = add_command(commands, "migrate", _run, help=text, epilog=_EPILOG)
    parser.add_argument("--role", metavar="ROLE", help="the service's role, which may use the schema from then on")
    parser.add_argument(
        "--print", action="store_true", help="print the SQL for a database that has none of it, and change nothing"
    )


def _run(options: argparse.Namespace) -> None:
    if options.print:
        print("\n".join(_script(options.role)))
        return
    dsn = Settings().store_dsn
    if dsn is None:
        raise DatabaseNotConfigured
    print("\n".join(asyncio.run(_migrate(dsn, options.role))))


async def _migrate(dsn: str, role: str | None) -> list[str]:
    """Do it, and return what was done. Raises `RoleNotFound`, `SchemaForbidden` or `DatabaseUnavailable`."""
    import asyncpg

    from watchglass.store.connection import address_of
    from watchglass.store.migrations import LATEST, migrate

    try:
        applied = await migrate(dsn, role)
    except asyncpg.UndefinedObjectError:
        raise RoleNotFound(role=role, address=address_of(dsn)) from None
    what = f"brought to version {applied[-1]}" if applied else f"at version {LATEST}, nothing to do"
    granted = [f"The role {role} may write and read it."] if role else []
    return [f"The schema watchglass in {address_of(dsn)} is {what}.", *granted]


def _script(role: str | None) -> Iterator[str]:
    """The statements in one transaction, to be run by an owner of the database."""
    yield "BEGIN;"
    yield f"{sql.load('migrations')['create_schema']};"
    yield from (text.strip() for text in sql.migrations().values())
    if role:
        quoted = role.replace("'", "''")
        yield f"SELECT watchglass.grant_to('{quoted}');"
    yield "COMMIT;"
