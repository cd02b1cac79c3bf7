"""`watchglass run MODULE:APP`: any FastAPI service, observed, with no change to its code."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from typing import TYPE_CHECKING

from watchglass.cli import observed
from watchglass.cli.parsing import add_command, port
from watchglass.errors import ExtraMissing
from watchglass.settings import Settings

if TYPE_CHECKING:
    from watchglass.cli.parsing import Commands

_EPILOG = (
    "What comes after -- goes to uvicorn, for example: watchglass run shop.main:app -- --workers 4 --proxy-headers"
)


def add(commands: Commands) -> None:
    text = "serve an application with uvicorn, observed, with no change to its code"
    parser = add_command(
        commands,
        "run",
        _run,
        help=text,
        epilog=_EPILOG,
        usage="watchglass run MODULE:APP [options] [-- uvicorn options]",
    )
    parser.add_argument("application", metavar="MODULE:APP", help="for example shop.main:app")
    parser.add_argument("--factory", action="store_true", help="APP is a function that makes the application")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=port, default=8000, help="the port to listen on (default 8000)")
    parser.add_argument("--reload", action="store_true", help="start again when a file changes")
    parser.add_argument("--app-dir", default=".", metavar="DIR", help="where MODULE is looked for first (default .)")


def _run(options: argparse.Namespace) -> None:
    if importlib.util.find_spec("uvicorn") is None:
        raise ExtraMissing(feature="watchglass run", package="uvicorn", extra="server")
    Settings()  # raises SettingsError here and not in a worker that uvicorn would start again and again
    sys.path.insert(0, options.app_dir)
    observed.find(options.application)
    _serve([observed.import_string(options.application, factory=options.factory), "--factory", *_for_uvicorn(options)])


def _for_uvicorn(options: argparse.Namespace) -> list[str]:
    reload = ["--reload"] if options.reload else []
    fixed = ["--host", options.host, "--port", str(options.port), "--app-dir", options.app_dir]
    return [*fixed, *reload, *options.passed_on]


def _serve(arguments: list[str]) -> None:
    import click
    from uvicorn.main import main

    try:
        main.main(arguments, prog_name="watchglass run", standalone_mode=False)
    except click.ClickException as error:
        print(f"watchglass: uvicorn does not take this: {error.format_message()}", file=sys.stderr)
        sys.exit(2)
