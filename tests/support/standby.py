"""A real hot standby: a replica that follows a running PostgreSQL and answers what only reads."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from support.databases import execute, run
from support.pipelines import fetch, until
from watchglass.demo.servers import PostgreSQL

_KEPT = "64MB"
_OF_THE_PRIMARY = ("postmaster.pid", "postmaster.opts", "pg_internal.init*", "pgsql_tmp*")


class Standby(PostgreSQL):
    """Made of a backup of `primary` that is taken while it runs; roles and passwords are the primary's."""

    program = "Standby"

    def __init__(self, primary: PostgreSQL) -> None:
        parts = urlsplit(primary.superuser_url)
        upstream = f"host=127.0.0.1 port={parts.port} user={parts.username} password={parts.password}"
        super().__init__(installation=primary.installation, settings={"primary_conninfo": upstream})
        self.primary = primary

    def of(self, url: str) -> str:
        """The same database of the primary's, here."""
        return url.replace(f":{self.primary.port}/", f":{self.port}/")

    def catch_up(self) -> None:
        """Wait until what the primary has is here too."""
        [row] = fetch(self.primary.superuser_url, "SELECT pg_current_wal_lsn()::text AS lsn")
        replayed = f"SELECT coalesce(pg_last_wal_replay_lsn() >= '{row['lsn']}', false) AS here"
        until(lambda: bool(fetch(self.superuser_url, replayed)[0]["here"]))

    def _make_data(self) -> None:
        access = self.primary.data / "pg_hba.conf"
        access.write_text(access.read_text() + "host replication postgres 127.0.0.1/32 scram-sha-256\n")
        keep = f"ALTER SYSTEM SET wal_keep_size = '{_KEPT}'"
        execute(self.primary.superuser_url, keep, "SELECT pg_reload_conf()")
        label = run(_backed_up(self.primary.superuser_url, self.primary.data, self.data))
        (self.data / "backup_label").write_text(label)
        (self.data / "standby.signal").touch()
        for password in self.primary.home.glob("*.password"):
            shutil.copy(password, self.home)
        self.data.chmod(0o700)
        if self.account:
            for path in [self.data, *self.data.rglob("*")]:
                os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)


async def _backed_up(dsn: str, data: Path, copy: Path) -> str:
    """Copy the folder as PostgreSQL wants it to be copied; the text of the copy's backup_label."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(dsn)
    try:
        if connection.get_server_version().major >= 15:
            begin, end = "pg_backup_start('standby', true)", "pg_backup_stop(false)"
        else:
            begin, end = "pg_start_backup('standby', true, false)", "pg_stop_backup(false, false)"
        await connection.fetch(f"SELECT {begin}")
        shutil.copytree(data, copy, symlinks=True, ignore=_left_out)
        return str(await connection.fetchval(f"SELECT labelfile FROM {end}"))
    finally:
        await connection.close()


def _left_out(folder: str, names: list[str]) -> set[str]:
    """The write-ahead log comes from the primary."""
    return {*names} if Path(folder).name == "pg_wal" else shutil.ignore_patterns(*_OF_THE_PRIMARY)(folder, names)
