"""A disk of a few megabytes, and what fills it to the last byte."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.programs import need
from watchglass.demo.servers.installations import unprivileged_account


class SmallDisk:
    """A mounted disk; full while there is a filler on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Take what is left."""
        with self._filler.open("ab", buffering=0) as filler:
            for size in (65_536, 4_096, 1):
                try:
                    while True:
                        filler.write(b"\0" * size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def empty(self) -> None:
        """Give it back."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """A tmpfs of that size at a new folder, for the account that runs PostgreSQL. Skips where it is forbidden."""
    folder.mkdir(exist_ok=True)
    options = f"size={megabytes}m,mode=0700"
    command = [need("mount", package="mount"), "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small disk takes the right to mount one, and here: {done.stderr.strip()}")
    try:
        if account := unprivileged_account():
            os.chown(folder, account.uid, account.gid)
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
