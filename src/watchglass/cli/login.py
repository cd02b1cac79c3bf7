"""`watchglass login`: a fresh one-time link to the page."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

from watchglass.cli.parsing import add_command
from watchglass.errors import DatabaseNotConfigured
from watchglass.settings import Settings

if TYPE_CHECKING:
    from watchglass.cli.parsing import Commands

_USUAL = "http://127.0.0.1:8000"
_GUESSED = f"The address {_USUAL} is a guess. Where it is another, name it with --url or WATCHGLASS_PUBLIC_URL."
_EPILOG = "The address is WATCHGLASS_PUBLIC_URL, unless --url names another. The link is good for 15 minutes, once."


def add(commands: Commands) -> None:
    text = "print a fresh one-time login link to the page"
    parser = add_command(commands, "login", _run, help=text, epilog=_EPILOG)
    parser.add_argument("--url", help=f"where the service is reached (default {_USUAL})")
    parser.add_argument("--viewer", action="store_true", help="for someone who may look and change nothing")


def _run(options: argparse.Namespace) -> None:
    settings = Settings()
    if settings.store_dsn is None:
        raise DatabaseNotConfigured
    address = (options.url or settings.public_url or _USUAL).rstrip("/")
    print(asyncio.run(fresh_link(settings.store_dsn, address + settings.path_prefix, viewer=options.viewer)))
    if not options.url and not settings.public_url:
        print(_GUESSED, file=sys.stderr)


async def fresh_link(dsn: str, address: str, *, viewer: bool = False) -> str:
    """A link that lets one browser in, once. Raises `SchemaMissing` or `DatabaseUnavailable`."""
    from watchglass.api.paths import LOGIN
    from watchglass.store.access import Access, Role

    role: Role = "viewer" if viewer else "admin"
    access = Access(dsn)
    try:
        token = await access.new_login_token(username=role, role=role)
    finally:
        await access.close()
    return f"{address.rstrip('/')}{LOGIN}?token={quote(token)}"
