"""How a worker asks the others: each listens on a Unix socket in the private folder and sends its sheet to callers."""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from watchglass.exporters.workers.sheets import LARGEST

SECONDS = 0.5
"""How long all others together are waited for."""

USABLE = hasattr(socket, "AF_UNIX")
"""Whether this system has Unix sockets."""

_LONGEST_PATH = 103
"""Bytes of a Unix socket's path that every system takes."""

_A_READ = 1 << 18


def ask(paths: Mapping[str, Path], seconds: float = SECONDS) -> dict[str, bytes]:
    """What those who answered in time have sent, by the name they have in `paths`. All are asked at once."""
    answers: dict[str, bytearray] = {}
    whole: dict[str, bytes] = {}
    deadline = time.monotonic() + seconds
    with selectors.PollSelector() as waiting:
        for name, path in paths.items() if USABLE else ():
            if (called := _call(path)) is not None:
                answers[name] = bytearray()
                waiting.register(called, selectors.EVENT_READ, name)
        while waiting.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in waiting.select(left):
                if _read(key.fileobj, answers[key.data]):  # type: ignore[arg-type]
                    whole[key.data] = bytes(answers[key.data])
                if key.data in whole or len(answers[key.data]) > LARGEST:
                    _hang_up(waiting, key.fileobj)  # type: ignore[arg-type]
        for key in list(waiting.get_map().values()):
            _hang_up(waiting, key.fileobj)  # type: ignore[arg-type]
    return whole


class Door:
    """The socket on which a worker answers. None of its methods but `wake` is for several threads."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError`, where the system has no Unix sockets or the path is too long for one."""
        if not USABLE:
            raise OSError("this system has no Unix sockets")
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _named(path) as name:
                self._socket.bind(name)
            self._socket.listen(64)
            self._socket.setblocking(False)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def answer(self, sheet: Callable[[], bytes]) -> None:
        """Send the sheet to one who calls; who has hung up, or does not read, is let go."""
        with suppress(OSError):
            caller, _ = self._socket.accept()
            with caller:
                caller.settimeout(SECONDS)
                caller.sendall(sheet())

    def close(self) -> None:
        """Answer nobody any more."""
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def abandon(self) -> None:
        """In a forked child: leave the parent's socket to the parent."""
        self._socket.close()


def watch(waiting: selectors.BaseSelector, wake: socket.socket, door: Door | None) -> None:
    """Besides `wake`, wait for calls at this door and at no other."""
    known = [key.fileobj for key in waiting.get_map().values()]
    for old in known:
        if old is not wake and old is not door:
            waiting.unregister(old)
    if door is not None and door not in known:
        waiting.register(door, selectors.EVENT_READ)


@contextmanager
def _named(path: Path) -> Iterator[str]:
    """A name of the path that fits into a socket's address; of a long one on Linux only."""
    if len(bytes(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _call(path: Path) -> socket.socket | None:
    called = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        called.setblocking(False)
        with _named(path) as name:
            called.connect(name)
        return called
    except OSError:  # nobody is there, or too many call
        called.close()
        return None


def _read(called: socket.socket, into: bytearray) -> bool:
    """Read what is there; whether that was all."""
    try:
        got = called.recv(_A_READ)
    except BlockingIOError:
        return False
    except OSError:
        return True
    into += got
    return not got


def _hang_up(waiting: selectors.BaseSelector, called: socket.socket) -> None:
    waiting.unregister(called)
    called.close()
