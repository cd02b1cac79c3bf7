"""`watchglass migrate`: make the schema, or bring it up to date, and let the service's role use it."""

from __future__ import annotations

import argparse
import asyncio
import secrets
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
        "--explain-role",
        metavar="NAME",
        help="instead, make a role in the service's own database (DATABASE_URL) that may only read: plans of slow "
        "statements are then asked for as this role. Prints its URL, once",
    )
    parser.add_argument(
        "--print", action="store_true", help="print the SQL, and change nothing: for a database that has none of it"
    )


def _run(options: argparse.Namespace) -> None:
    if options.explain_role:
        print("\n".join(asyncio.run(_make_explain_role(Settings(), options.explain_role, not options.print))))
        return
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


async def _make_explain_role(settings: Settings, name: str, do: bool) -> list[str]:
    """Make the role and return what was done; or the SQL, where the URL's role may not, or where it is to be shown."""
    from watchglass.store.explain_role import make, url_of, written

    dsn = settings.application_dsn
    if dsn is None:
        raise DatabaseNotConfigured
    password = secrets.token_urlsafe(24)
    setting = f"WATCHGLASS_EXPLAIN_DATABASE_URL={url_of(dsn, name, password)}"
    if not do:
        return [*await written(dsn, name, password), f"-- Then set {setting}"]
    made = await make(dsn, name, password)
    if made.forbidden:
        why = f"-- The role {made.by} may not make roles. Have a superuser run this in the service's database:"
        return [why, *made.statements, f"-- Then set {setting}"]
    lacking = [f"-- A superuser bounds it further with: {statement}" for statement in made.left_out]
    return [
        f"The role {name} is made; it may read, and nothing else. Its password is shown only now:",
        setting,
        *lacking,
    ]


def _script(role: str | None) -> Iterator[str]:
    """The statements in one transaction, to be run by an owner of the database."""
    yield "BEGIN;"
    yield f"{sql.load('migrations')['create_schema']};"
    yield from (text.strip() for text in sql.migrations().values())
    if role:
        quoted = role.replace("'", "''")
        yield f"SELECT watchglass.grant_to('{quoted}');"
    yield "COMMIT;"
