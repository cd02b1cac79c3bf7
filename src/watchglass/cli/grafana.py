"""`watchglass grafana DIR`: the dashboards and their provisioning, as files for a Grafana."""

from __future__ import annotations

import argparse
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING

from watchglass.cli.parsing import add_command
from watchglass.errors import FolderNotWritable

if TYPE_CHECKING:
    from watchglass.cli.parsing import Commands

FOLDERS = ("dashboards", "provisioning")


def add(commands: Commands) -> None:
    parser = add_command(
        commands,
        "grafana",
        _run,
        help="write the Grafana dashboards and their provisioning into a folder",
        epilog="Import dashboards/*.json by hand, or mount dashboards/ and provisioning/ as Grafana's own.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="where to write; files of the same name are replaced")


def _run(options: argparse.Namespace) -> None:
    for written in write(options.folder):
        print(written)


def write(folder: Path) -> list[Path]:
    """Write the files below `folder` and return their paths. Raises `FolderNotWritable`."""
    try:
        return [path for name in FOLDERS for path in _copy(files("watchglass.grafana") / name, folder / name)]
    except OSError as error:
        raise FolderNotWritable(folder=folder, reason=error.strerror) from None


def _copy(source: Traversable, target: Path) -> list[Path]:
    if source.is_dir():
        inside = sorted(source.iterdir(), key=lambda entry: entry.name)
        return [path for entry in inside for path in _copy(entry, target / entry.name)]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())
    return [target]
