"""`watchglass login`: a fresh one-time link to the page."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from watchglass.cli.parsing import add_command

if TYPE_CHECKING:
    from watchglass.cli.parsing import Commands


def add(commands: Commands) -> None:
    add_command(commands, "login", _run, help="print a fresh one-time login link to the page")


def _run(options: argparse.Namespace) -> None:
    raise NotImplementedError


async def fresh_link(dsn: str, address: str) -> str:
    raise NotImplementedError
