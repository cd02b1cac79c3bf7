"""What the subcommands share in reading their arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int | None], **texts: Any
) -> argparse.ArgumentParser:
    """A subcommand that calls `run`; its help is also its description, ended as a sentence."""
    parser = commands.add_parser(name, description=f"{texts['help'][:1].upper()}{texts['help'][1:]}.", **texts)
    parser.set_defaults(run=run)
    return parser


def port(text: str) -> int:
    """A TCP port, 0 for a free one."""
    number = int(text)
    if not 0 <= number <= 65_535:
        raise argparse.ArgumentTypeError(f"{number} is not a port; ports are 0 to 65535")
    return number


def seconds(text: str) -> float:
    """A positive number of seconds."""
    number = float(text)
    if not 0 < number < 1e9:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return number
