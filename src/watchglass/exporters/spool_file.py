"""A file of records that this process appends to, under a lock that says that the process lives."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Self
from weakref import finalize

if sys.platform != "win32":  # no process can say there that it lives, so that none writes a spool
    from fcntl import LOCK_EX, LOCK_NB, flock

UNFINISHED = ".unfinished"


class SpoolFile:
    """Open until `close`, or until nobody refers to it. Where a method raises `OSError`, the file is as it was."""

    def __init__(self, path: Path, descriptor: int, size: int = 0) -> None:
        self.path = path
        self.size = size
        self._descriptor = descriptor
        self.close = finalize(self, os.close, descriptor)

    @classmethod
    def written(cls, path: Path, records: Iterable[bytes]) -> Self:
        """The file with these records, in place of one that is there already; both it and its name are on disk."""
        unfinished = path.with_name(path.name + UNFINISHED)
        made = cls(path, os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
        try:
            if not lock(made._descriptor):
                raise OSError("files cannot be locked there")
            made.append(records)
            unfinished.rename(path)
            _sync_folder(path.parent)
        except BaseException:
            made.close()
            unfinished.unlink(missing_ok=True)
            raise
        return made

    def append(self, records: Iterable[bytes]) -> None:
        """Add records; they are on disk when this returns."""
        size = self.size
        try:
            os.lseek(self._descriptor, size, os.SEEK_SET)
            for record in records:
                size += _write(self._descriptor, record)
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            raise
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        """A part of it."""
        return os.pread(self._descriptor, length, offset)

    def remove(self) -> None:
        """Have it gone."""
        try:
            self.path.unlink(missing_ok=True)
        finally:
            self.close()


def lock(descriptor: int) -> bool:
    """Take the lock of an open file for as long as it is open; False while another process, or this one, holds it."""
    if sys.platform == "win32":
        return False
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except OSError:
        return False
    return True


def _write(descriptor: int, record: bytes) -> int:
    rest = memoryview(record)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    return len(record)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
