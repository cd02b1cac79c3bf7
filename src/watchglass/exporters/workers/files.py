"""The folder that the workers of a service share on a host: who is alive, whole writes, what is set aside.

`<life>.<id>.sheet`, `.lock` and `.sock` are a process's, `<life>.past` is the dead's, `lock` is for who changes what is
not its own. A lock ends with its process, however that ends; a child that was forked lets go of it at once.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

from watchglass import guard
from watchglass.exporters.folders import state_folder
from watchglass.exporters.workers.sheets import LARGEST, Sheet, SheetDamaged, decode
from watchglass.settings import Settings

try:
    import fcntl
except ImportError:  # Windows, where each process answers for itself
    fcntl = None  # type: ignore[assignment]

MOST_WORKERS = 512
"""Processes of one target that are looked at."""

_FORGOTTEN = 3600.0
"""Seconds after which what is left of a target without a live process is removed, and what was set aside."""

_LEFTOVERS = (".damaged", ".held", ".new")

_held: set[int] = set()


class Files:
    """The folder of a service on this host. Raises `FolderNotWritable` when it cannot be made."""

    def __init__(self, settings: Settings) -> None:
        self.folder = state_folder(settings, "workers") / _name_of(settings)
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def path(self, life: str, id: str, kind: str) -> Path:
        """A process's `sheet`, `lock` or `sock`."""
        return self.folder / f"{life[:8]}.{id}.{kind}"

    def path_of_past(self, life: str) -> Path:
        """The sheet of the dead of a target."""
        return self.folder / f"{life[:8]}.past"

    def processes(self, life: str = "*") -> tuple[list[str], list[str]]:
        """Ids of the processes of a target that live, and of those that are dead and whose sheet is there yet."""
        paths = sorted(self.folder.glob(f"{life[:8]}.*.sheet"))[:MOST_WORKERS]
        alive = [self._is_held(path.with_suffix(".lock")) for path in paths]
        ids = [path.name.split(".")[1] for path in paths]
        return [i for i, held in zip(ids, alive, strict=True) if held], [
            i for i, held in zip(ids, alive, strict=True) if not held
        ]

    def sheets(self) -> list[Path]:
        """The sheets of all targets, those of the past among them."""
        return sorted([*self.folder.glob("*.sheet"), *self.folder.glob("*.past")])

    def lives(self) -> list[str]:
        """The targets that have a live process, by the first letters of their names."""
        paths = self.folder.glob("*.sheet")
        return sorted({path.name.split(".")[0] for path in paths if self._is_held(path.with_suffix(".lock"))})

    def read(self, path: Path) -> Sheet | None:
        """The sheet, or None if it is gone, of another version, or damaged: then it is set aside and counted."""
        try:
            if path.stat().st_size > LARGEST:
                raise SheetDamaged("it is too large")
            return decode(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, SheetDamaged):
            with suppress(OSError):
                path.replace(path.with_suffix(".damaged"))
            guard.caught("workers.sheet")
            return None

    def write(self, path: Path, data: bytes) -> None:
        """Have the file read as before or as `data`, never in between. Raises `OSError`."""
        if len(data) > LARGEST:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
        new = path.with_suffix(f".{os.getpid()}.new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
        new.replace(path)

    def hold(self, path: Path) -> int:
        """Take a process's own lock, until `let_go` or the process's end."""
        new = path.with_suffix(".held")
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _held.add(descriptor)
        new.replace(path)
        return descriptor

    def touch(self, life: str, id: str, descriptor: int) -> bool:
        """Keep what clears temporary folders away from files that are old and in use; whether the lock is there yet."""
        for path in (self.path(life, id, "lock"), self.path(life, id, "sock"), self.path_of_past(life)):
            with suppress(OSError):
                os.utime(path)
        with suppress(OSError):
            return os.path.samestat(os.stat(self.path(life, id, "lock")), os.fstat(descriptor))
        return False

    def let_go(self, descriptor: int) -> None:
        """Give the lock back."""
        if descriptor in _held:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # also for a child that is being forked right now
            _held.discard(descriptor)
            os.close(descriptor)

    @contextmanager
    def alone(self, seconds: float = 0.0) -> Iterator[bool]:
        """Be the only one to change what is not one's own; False if another is, for all of `seconds`."""
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        _held.add(descriptor)
        try:
            yield _locked(descriptor, time.monotonic() + seconds)
        finally:
            self.let_go(descriptor)

    def remove(self, life: str, id: str) -> None:
        """Remove what is left of a process; the sheet first."""
        for kind in ("sheet", "sock", "lock"):
            self.path(life, id, kind).unlink(missing_ok=True)

    def sweep(self, ended: set[str]) -> None:
        """Remove what is left of the targets named, and of any that has had no live process for an hour."""
        kept = set(self.lives())
        for path in self.folder.glob("*.*"):
            life = path.name.split(".")[0]
            with suppress(OSError):
                old = path.stat().st_mtime < time.time() - _FORGOTTEN
                if (life not in kept and (old or life in ended)) or (old and path.suffix in _LEFTOVERS):
                    path.unlink()

    def _is_held(self, path: Path) -> bool:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False


def usable() -> bool:
    """Whether processes can share a folder on this system."""
    return fcntl is not None


def _name_of(settings: Settings) -> str:
    """One folder for each service, host and store: they have nothing to add up."""
    space = settings.resource.get("service.namespace", "")
    whose = "\n".join((settings.service, space, settings.host_name, settings.store_dsn or ""))
    return blake2b(whose.encode(), digest_size=5, person=b"workers").hexdigest()


def _locked(descriptor: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)


def _after_fork() -> None:
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
