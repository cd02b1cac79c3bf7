"""The spool: what could not be written yet, on disk as well, so that a process that is killed loses little.

One file per process, in the private folder that its host's processes share: appended to and synced while the store is
away, gone when the store has everything. Whoever finds one whose process is gone replays it. A process may go on
without a spool: what goes wrong with it is said and counted, and tried again later.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from watchglass import guard
from watchglass.errors import FolderNotWritable
from watchglass.exporters.backlog import Frozen
from watchglass.exporters.folders import state_folder
from watchglass.exporters.spool_file import SpoolFile
from watchglass.exporters.spool_records import encode
from watchglass.records import Instance
from watchglass.settings import Settings
from watchglass.store.connection import address_of

FOLDER = "spool"
SUFFIX = ".spool"
RETRY_SECONDS = 60.0
"""How long after something went wrong it is tried again."""

Key = tuple[int, int]


def prefix(settings: Settings) -> str:
    """How the names begin of files that belong into the same store: what is of another must not get there."""
    store = f"{address_of(settings.store_dsn or '')} {settings.service}"
    return hashlib.blake2b(store.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


class Spool:
    """The file of this process. No method raises: `problem` says what is wrong, in a sentence, or is empty."""

    def __init__(self, settings: Settings, instance: Instance) -> None:
        self.problem = ""
        self._settings = settings
        self._instance = instance
        self._file: SpoolFile | None = None
        self._places: dict[Key, tuple[int, int]] = {}
        self._seen: set[Key] = set()
        self._in_part: set[Key] = set()
        self._not_before = 0.0

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._file.size if self._file else 0

    @property
    def left_out(self) -> int:
        """Batches that are not on disk in full, because the file may not be larger."""
        return len(self._in_part)

    def save(self, backlog: Iterable[Frozen]) -> None:
        """Have all of it on disk when this returns; beyond the bound metrics before the rest, and new before old."""
        waiting = list(backlog)
        new = [frozen for frozen in waiting if _key(frozen) not in self._seen]
        if not new or not self._settings.spool_bytes:
            return
        try:
            if time.monotonic() >= self._not_before:
                self._save(new, waiting)
                return
        except (OSError, FolderNotWritable) as error:
            self._failed(error)
        if any(frozen.first < frozen.sequence for frozen in new):
            self.clear()  # it has, one by one, what is now one batch: replayed beside that it would count twice

    def clear(self) -> None:
        """Have nothing on disk: the store has it all."""
        if self._file is not None:
            try:
                self._file.remove()
            except OSError as error:
                self._failed(error)
        self._file = None
        self._places.clear()
        self._seen.clear()
        self._in_part.clear()

    def abandon(self) -> None:
        """In a forked child: the file is the parent's, and so is its lock."""
        if self._file is not None:
            self._file.close()

    def _save(self, new: Sequence[Frozen], waiting: Sequence[Frozen]) -> None:
        records = {_key(frozen): encode(self._instance, frozen) for frozen in new}
        most = self._settings.spool_bytes
        if self._file is not None and self._file.size + sum(map(len, records.values())) <= most:
            offset = self._file.size
            self._file.append(records.values())
            self._note(records, offset)
        else:
            self._write_anew(waiting, records, most * 3 // 4)
        self.problem = (
            f"The spool may not grow beyond {most} bytes (spool_bytes); {self.left_out} batches that wait in memory "
            f"are not there in full."
            if self.left_out
            else ""
        )

    def _write_anew(self, waiting: Sequence[Frozen], records: dict[Key, bytes], room: int) -> None:
        """Leave out what has been written or merged meanwhile, and what is too much."""
        chosen = dict(self._choice(waiting, records, room))
        name = f"{prefix(self._settings)}-{self._instance.instance_id}{SUFFIX}"
        old = self._file
        self._file = SpoolFile.written(state_folder(self._settings, FOLDER) / name, chosen.values())
        if old is not None:
            old.close()
        self._places.clear()
        self._note(chosen, 0)
        self._seen = {_key(frozen) for frozen in waiting}
        self._in_part &= self._seen

    def _choice(self, waiting: Sequence[Frozen], records: dict[Key, bytes], room: int) -> Iterator[tuple[Key, bytes]]:
        """The records for a new file, in order: as much as there is room for, metrics first, of them the newest."""
        whole = {_key(frozen): records.get(_key(frozen)) or self._record(frozen) for frozen in waiting}
        chosen, used = (whole, 0) if sum(map(len, whole.values())) <= room else self._metrics(waiting, room)
        for key in reversed(chosen if chosen is not whole else ()):
            more = len(whole[key]) - len(chosen[key])
            if used + more <= room:
                chosen[key], used = whole[key], used + more
        self._in_part.update(key for key, record in whole.items() if chosen.get(key) != record)
        yield from chosen.items()

    def _metrics(self, waiting: Sequence[Frozen], room: int) -> tuple[dict[Key, bytes], int]:
        chosen: dict[Key, bytes] = {}
        used = 0
        for frozen in reversed(waiting):
            metrics = Frozen(replace(frozen.batch, logs=(), traces=()), frozen.first)
            record = encode(self._instance, metrics)
            if used + len(record) > room:
                break
            chosen[_key(frozen)], used = record, used + len(record)
        return dict(reversed(chosen.items())), used

    def _record(self, frozen: Frozen) -> bytes:
        """As it is on disk, or made."""
        place = self._places.get(_key(frozen))
        return self._file.read(*place) if place and self._file else encode(self._instance, frozen)

    def _note(self, records: dict[Key, bytes], offset: int) -> None:
        for key, record in records.items():
            self._places[key] = offset, len(record)
            offset += len(record)
        self._seen.update(records)

    def _failed(self, error: Exception) -> None:
        """Say it, once until it is well again."""
        if not isinstance(error, FolderNotWritable):
            reason = getattr(error, "strerror", None) or str(error)
            error = FolderNotWritable(folder=self._settings.state_folder / FOLDER, reason=reason)
        guard.errors["exporters.spool"] += 1
        self._not_before = time.monotonic() + RETRY_SECONDS
        problem = f"{error} What cannot be stored waits in memory only."
        if self.problem != problem:
            self.problem = problem
            guard.logger.warning("%s", problem)


def _key(frozen: Frozen) -> Key:
    return frozen.first, frozen.sequence
