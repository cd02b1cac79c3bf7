"""What processes left behind that ended before they could write it: into the store, as theirs, exactly once."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from watchglass import guard
from watchglass.errors import FolderNotWritable, WatchglassError
from watchglass.exporters.delivery import deliver
from watchglass.exporters.folders import state_folder
from watchglass.exporters.own import OwnMeters
from watchglass.exporters.spool import FOLDER, SUFFIX, prefix
from watchglass.exporters.spool_file import UNFINISHED, lock
from watchglass.exporters.spool_records import Damaged, Place, current, decode, places
from watchglass.records import Instance
from watchglass.settings import Settings
from watchglass.store.writer import Writer

DAMAGED = ".damaged"
LOOK_SECONDS = 30.0
PROCESSES = 4
"""How many times `spool_bytes` the files of ended processes may take."""

OLDEST_SECONDS = 47 * 3600.0
"""The ledger remembers two days; what is older than this could be counted twice."""

_PAUSE = 1.0
_BEGINNING_SECONDS = 60.0
"""How long a file may be unfinished before it is taken for one that never will be."""


class Replay:
    """Looks for files whose process is gone. `set_aside` counts those that could not be read to their end."""

    def __init__(self, settings: Settings, open_writer: Callable[[Instance], Writer], own: OwnMeters) -> None:
        self.set_aside = 0
        self.replayed = 0
        """Files that were written into the store and removed."""
        self._settings = settings
        self._open_writer = open_writer
        self._own = own

    async def run(self, ready: Callable[[], bool]) -> None:
        """Look again and again, while the store answers."""
        while True:
            if ready():
                await self.look()
            self.prune()
            await asyncio.sleep(LOOK_SECONDS * random.uniform(0.8, 1.2) if ready() else _PAUSE)

    async def look(self) -> None:
        """Replay each file that nobody holds. Raises `WatchglassError` when the store cannot be written."""
        for path, file in self._orphans(SUFFIX):
            try:
                await self._replay(path, file)
            except WatchglassError:
                raise
            except Exception:
                guard.caught("exporters.replay")

    def prune(self) -> None:
        """Of what ended processes left, set aside or not, keep the newest, within a bound: they may end ever again."""
        found = [(os.fstat(file.fileno()), path) for path, file in self._orphans(SUFFIX, DAMAGED)]
        room, kept = PROCESSES * self._settings.spool_bytes, set()
        for stat, path in sorted(found, key=lambda one: one[0].st_mtime, reverse=True):
            room -= stat.st_size
            if room >= 0:
                kept.add(path)
        for path, _ in self._orphans(SUFFIX, DAMAGED) if len(kept) < len(found) else ():
            if path not in kept:
                path.unlink()
                self.set_aside -= path.suffix == DAMAGED
                self._own.dropped["spool", "spool_full"] += 1
                guard.logger.warning("%s is removed: ended processes left more than may be kept (spool_bytes)", path)

    def _orphans(self, *suffixes: str) -> Iterator[tuple[Path, BinaryIO]]:
        """Each such file of a process that is gone, open and under our lock until the next one is asked for."""
        try:
            folder = state_folder(self._settings, FOLDER)
            names = sorted(folder.glob(f"{prefix(self._settings)}-*"))
        except (FolderNotWritable, OSError):
            return  # the spool says it
        self.set_aside = sum(path.suffix == DAMAGED for path in names)
        for path in names:
            if path.suffix in (*suffixes, UNFINISHED):
                yield from self._orphan(path)

    def _orphan(self, path: Path) -> Iterator[tuple[Path, BinaryIO]]:
        try:
            file = path.open("r+b")
        except FileNotFoundError:  # replayed by another process
            return
        with file:
            if not lock(file.fileno()) or not _is_there(path, file):
                return
            if path.suffix == UNFINISHED:
                if _age(file) > _BEGINNING_SECONDS:  # its process ended before it counted
                    path.unlink()
            else:
                yield path, file

    async def _replay(self, path: Path, file: BinaryIO) -> None:
        found, damage = _readable(file)
        writer = None
        try:
            for place in found:
                file.seek(place.offset)
                instance, batch = decode(file.read(place.length))
                writer = writer or self._open_writer(instance)
                await deliver(writer, batch, self._own)
                await asyncio.sleep(0)  # whoever borrows a connection of ours goes first
        except Damaged as error:
            damage = str(error)
        finally:
            if writer is not None:
                await writer.close()
        self._put_away(path, damage)

    def _put_away(self, path: Path, damage: str) -> None:
        """Remove the file; one that is damaged is kept under another name, for a person to look at."""
        if not damage:
            path.unlink()
            self.replayed += 1
            return
        path.rename(path.with_name(path.name + DAMAGED))
        self.set_aside += 1
        guard.logger.warning("%s was set aside as %s: %s", path, path.name + DAMAGED, damage)


def _readable(file: BinaryIO) -> tuple[list[Place], str]:
    """The records to be written, and what is wrong with the file, or nothing."""
    if _age(file) > OLDEST_SECONDS:
        return [], "it is too old to know which of it the store has already"
    found: list[Place] = []
    try:
        for place in places(file):
            found.append(place)
    except Damaged as error:
        return current(found), str(error)
    return current(found), ""


def _age(file: BinaryIO) -> float:
    """Seconds since it was written to."""
    return time.time() - os.fstat(file.fileno()).st_mtime


def _is_there(path: Path, file: BinaryIO) -> bool:
    """Whether the name still is the file's: another process may have replayed and removed it, or written it anew."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
