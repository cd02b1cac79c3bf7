"""`watchglass demo`: everything embedded, nothing to install."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from watchglass.cli.login import fresh_link
from watchglass.cli.parsing import add_command, port, seconds
from watchglass.errors import ExtraMissing, FolderNotWritable, SchemaMissing

if TYPE_CHECKING:
    from watchglass.cli.parsing import Commands

_SCHEMA_SECONDS = 30.0
_EPILOG = "Ctrl-C stops everything. With --data the next start finds the same telemetry."


def add(commands: Commands) -> None:
    text = "start PostgreSQL, Redis, a code-search service and traffic, and show the page on it"
    parser = add_command(commands, "demo", _run, help=text, epilog=_EPILOG)
    parser.add_argument("--port", type=port, default=8000, help="of the service; 0 for a free one (default 8000)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep the data here (default: a temporary folder)")
    parser.add_argument("--duration", type=seconds, metavar="SECONDS", help="stop by itself after this time")
    parser.add_argument("--no-browser", action="store_false", dest="browser", help="do not open the browser")
    parser.add_argument("--json", action="store_true", help="one line of JSON with the URLs once ready; no browser")


def _run(options: argparse.Namespace) -> None:
    for package in ("httpx", "redis", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            raise ExtraMissing(feature="watchglass demo", package=package, extra="demo")
    if options.data is not None:
        _check(options.data)
    from watchglass.demo import stage

    chosen = {name: getattr(options, name) for name in ("port", "data", "duration", "browser", "json")}
    stage.play(stage.Options(**chosen), _login_link)


def _check(folder: Path) -> None:
    """Raise `FolderNotWritable` where no folder can be."""
    nearest = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
    if not nearest.is_dir():
        raise FolderNotWritable(folder=folder, reason=f"{nearest} is a file")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise FolderNotWritable(folder=folder, reason=f"this account may not write into {nearest}")


async def _login_link(dsn: str, address: str) -> str:
    """A login link as soon as the service, which has just begun to serve, has made the schema."""
    deadline = time.monotonic() + _SCHEMA_SECONDS
    while True:
        try:
            return await fresh_link(dsn, address)
        except SchemaMissing:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.1)
