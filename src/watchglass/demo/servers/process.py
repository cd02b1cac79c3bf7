"""One kept server process: started, watched until it is ready, stopped, its log at hand."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from watchglass.demo.servers import keeper
from watchglass.errors import ServerStartFailed

PATIENCE = 10.0
"""Seconds a server has to end after a signal, before the next, harder one."""

PREFIX = "watchglass-"

START_TIMEOUT = 60.0
"""Seconds a server has to become ready: slow disks and busy machines included."""


class Server:
    """A server on a free port of 127.0.0.1, with its files below `folder`.

    Without a folder it has a temporary one, removed when it ends. It ends with `stop()`, with the `with` block, or
    with this process, however that ends.
    """

    program = "server"
    stop_signals: tuple[int, ...] = (signal.SIGTERM,)

    def __init__(self, folder: Path | None = None) -> None:
        self.temporary = folder is None
        self.folder = folder or Path(tempfile.gettempdir())
        self.port = 0
        self.pid = 0
        self._keeper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether the server's process is alive."""
        return self._keeper is not None and self._keeper.poll() is None

    @property
    def log(self) -> Path:
        """The file that has the server's log."""
        return self.folder / f"{self.program.lower()}.log"

    def start(self) -> None:
        """Start the server and return once it answers.

        Raises `ServerNotFound`, `ServerStartFailed`, or `DataFolderInUse`.
        """
        if self.running:
            return
        self._make_folder()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server and wait until it has ended; do nothing if it does not run."""
        self._dismiss_keeper()
        if self.temporary and self.folder.name.startswith(PREFIX):
            shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        raise NotImplementedError

    def _make_folder(self) -> None:
        if self.temporary:
            self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{self.program.lower()}-"))
        self.folder.mkdir(parents=True, exist_ok=True)

    def _spawn(
        self, command: Callable[[int], Sequence[str]], ready: Callable[[], bool], account: tuple[int, int] | None = None
    ) -> None:
        """Run `command(port)` on a free port until `ready()`; another port if somebody else was faster."""
        for _ in range(3):
            self.port = free_port()
            self._keep(command(self.port), account)
            if self._wait(ready):
                return
            self._dismiss_keeper()
            if "in use" not in self.last_log_lines():
                break
        raise ServerStartFailed(program=self.program, reason=self.last_log_lines() or "it ended without a word")

    def _dismiss_keeper(self) -> None:
        """Close the keeper's pipe, at which it stops the server and ends."""
        if self._keeper is not None:
            for pipe in (self._keeper.stdin, self._keeper.stdout):
                if pipe is not None:
                    pipe.close()
            self._keeper.wait()
        self._keeper, self.pid = None, 0

    def _keep(self, argv: Sequence[str], account: tuple[int, int] | None) -> None:
        order = {
            "argv": list(argv),
            "signals": self.stop_signals,
            "patience": PATIENCE,
            "account": account,
            "remove": str(self.folder) if self.temporary else None,
        }
        with self.log.open("wb") as log:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", keeper.__file__, json.dumps(order)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.folder,
                env=environment(),
                start_new_session=True,  # Ctrl-C is for the parent, which stops its servers in its own order
            )
        assert self._keeper.stdout is not None
        self.pid = int(self._keeper.stdout.readline() or 0)

    def _wait(self, ready: Callable[[], bool]) -> bool:
        """Whether the server became ready; False once it has ended. Raises `ServerStartFailed` after too long."""
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if not self.running:
                return False
            if ready():
                return True
            time.sleep(0.02)
        raise ServerStartFailed(
            program=self.program, reason=f"not ready after {START_TIMEOUT:g} s. {self.last_log_lines()}"
        )

    def last_log_lines(self, count: int = 5) -> str:
        """The end of the server's log, for a message."""
        with contextlib.suppress(OSError):
            return " / ".join(self.log.read_text(errors="replace").strip().splitlines()[-count:])
        return ""


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nobody listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def environment() -> dict[str, str]:
    """What a server sees of the environment: English messages, times in UTC, nothing of the parent's."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
