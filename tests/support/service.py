"""A real service in a process of its own, which a test may kill, freeze and start again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import httpx

from watchglass.demo.servers.process import free_port

TESTS = Path(__file__).parent.parent


class Service:
    """`faults.service`, or another `app`, under uvicorn at one port, with one state folder, however often it starts.

    It flushes every second. `settings` are variables of its environment, without their prefix.
    """

    def __init__(self, dsn: str, folder: Path, *, app: str = "faults.service:app", **settings: object) -> None:
        self._app = app
        self.port = free_port()
        self.log = folder / "service.log"
        self.pid = 0
        self._process: subprocess.Popen[bytes] | None = None
        own = {"state_dir": folder / "state", "flush_interval": 1, "excluded_urls": "/control/", **settings}
        self._environment = {
            "PATH": os.defpath,
            "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
            "OTEL_SERVICE_NAME": "shop",
            "DATABASE_URL": dsn,
            **{f"WATCHGLASS_{name.upper()}": str(value) for name, value in own.items()},
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, *arguments: str) -> None:
        """Start it, with further arguments of uvicorn; it serves when this returns, database or not."""
        command = [sys.executable, "-m", "uvicorn", self._app, "--port", str(self.port), *arguments]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--no-access-log", "--log-level", "warning"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self._environment,
            )
        self.pid = self._process.pid
        deadline = time.monotonic() + 60
        while not self._serves():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """End it as a supervisor does; it may write what it has."""
        self._end(signal.SIGTERM)

    def signal(self, number: int) -> None:
        """Send it a signal, and wait for nothing."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once, without a word."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(30)
            assert process.stdin is not None
            process.stdin.close()

    def status(self) -> dict[str, Any]:
        """The state of the way into the store, and its message."""
        status: dict[str, Any] = httpx.get(f"{self.url}/control/status", timeout=10).json()
        return status

    def flush(self, seconds: float = 60) -> None:
        """Return once everything recorded so far is in the store."""
        deadline = time.monotonic() + seconds
        while (answer := httpx.post(f"{self.url}/control/flush", timeout=30)).status_code != 200:
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.2)

    def _serves(self) -> bool:
        try:
            return bool(self.status())
        except httpx.TransportError:
            return False
