"""A PostgreSQL that is stopped, killed and frozen, and comes back at the same address with its data."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import psutil

from support.databases import execute
from watchglass.demo.servers import PostgreSQL


class Unruly(PostgreSQL):
    """Stop and start are the server's own; the rest is what happens to servers."""

    _address = 0

    def _command(self, port: int) -> list[str]:
        self.port = self._address = self._address or port
        return super()._command(self.port)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send the postmaster a signal that ends it, and return once its children are gone too."""
        family = self._family()
        os.kill(self.pid, number)
        psutil.wait_procs(family, timeout=30)
        self.stop()

    def recover(self) -> None:
        """Have it running and answering, whatever has happened to it."""
        if self.running:
            self.thaw()
        else:
            self.stop()
            self.start()
        deadline = time.monotonic() + 30
        while not self._answers():
            assert time.monotonic() < deadline, self.last_log_lines()
            time.sleep(0.05)

    def _answers(self) -> bool:
        """Whether it takes connections; it waits for no standby any more."""
        try:
            execute(self.superuser_url, "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError):
            return False
        return True

    def freeze(self) -> None:
        """Let every process of it stand still: the network accepts, nobody answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        for one in self._family():
            with suppress(psutil.NoSuchProcess):
                one.send_signal(number)

    def _family(self) -> Sequence[psutil.Process]:
        """The postmaster first, so that it starts no further child."""
        postmaster = psutil.Process(self.pid)
        return [postmaster, *postmaster.children(recursive=True)]


@contextmanager
def unruly_postgresql(**settings: str) -> Iterator[Unruly]:
    """One in a folder that the account which runs it for root may enter; thawed and stopped at the end."""
    with TemporaryDirectory() as folder:  # pytest's own are closed to that account
        Path(folder).chmod(0o755)
        server = Unruly(Path(folder), settings=settings)
        server.start()
        try:
            yield server
        finally:
            if server.running:
                server.thaw()
            server.stop()
