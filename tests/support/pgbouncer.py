"""A real pgbouncer that pools transactions, in front of the tests' PostgreSQL."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Sequence
from urllib.parse import SplitResult, unquote, urlsplit

from watchglass.demo.servers.process import Server


class PgBouncer(Server):
    """Hands out `size` server connections to any number of clients, one transaction at a time.

    The clients' roles are that of `dsn` and those of `others`, URLs of the same server.
    """

    program = "pgbouncer"

    def __init__(self, binary: str, dsn: str, size: int = 2, others: Sequence[str] = ()) -> None:
        super().__init__()
        self.binary = binary
        self.target = urlsplit(dsn)
        self.others = [urlsplit(other) for other in others]
        self.size = size

    @property
    def url(self) -> str:
        return self.of(self.target)

    def of(self, target: SplitResult) -> str:
        """The same database by way of the pool."""
        return target._replace(netloc=f"{target.netloc.rpartition(':')[0]}:{self.port}").geturl()

    def _start(self) -> None:
        users = self.folder / "users.txt"
        known = {unquote(one.username or ""): unquote(one.password or "") for one in (self.target, *self.others)}
        users.write_text("".join(f'"{role}" "{password}"\n' for role, password in known.items()))
        self.folder.chmod(0o755)
        self._spawn(self._command, self._answers, self._account())

    def _account(self) -> tuple[int, int] | None:
        """It refuses to run as root."""
        nobody = pwd.getpwnam("nobody")
        return (nobody.pw_uid, nobody.pw_gid) if os.geteuid() == 0 else None

    def _command(self, port: int) -> list[str]:
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": self.folder / "users.txt",
            "pool_mode": "transaction",
            "default_pool_size": self.size,
            "server_idle_timeout": 1,
        }
        lines = ["[databases]", f"* = host={self.target.hostname} port={self.target.port}", "[pgbouncer]"]
        config = self.folder / "pgbouncer.ini"
        config.write_text("\n".join([*lines, *(f"{name} = {value}" for name, value in settings.items())]) + "\n")
        return [self.binary, str(config)]

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True
