"""PostgreSQL is there and takes nothing: a full disk, all connections taken, locks held, the host's own timeouts.

As in `test_database_away` the application answers all the time, and in the end nothing is missing.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from faults.aftermath import WRITER, check
from support.databases import execute, fresh_database
from support.locks import held
from support.pipelines import fetch, until
from support.service import Service
from support.smalldisk import SmallDisk, small_disk
from support.traffic import Traffic
from support.unruly import Unruly


@pytest.fixture
def disk(server: Unruly) -> Iterator[SmallDisk]:
    """A small one for a tablespace."""
    with small_disk(server.folder / "disk", megabytes=48) as disk:
        execute(server.superuser_url, f"CREATE TABLESPACE small LOCATION '{disk.folder}'")
        yield disk
        execute(server.superuser_url, "DROP TABLESPACE small")


def test_a_full_disk_costs_no_request(server: Unruly, disk: SmallDisk, tmp_path: Path) -> None:
    with fresh_database(server) as url:
        execute(server.superuser_url, f"ALTER DATABASE {url.rpartition('/')[2]} SET TABLESPACE small")
        with Service(url, tmp_path) as service:
            with Traffic().to(service.url) as traffic:
                time.sleep(1.2)
                disk.fill()
                until(lambda: "its disk is full" in service.status()["message"])
                time.sleep(2)
                assert service.status()["state"] == "unavailable"
                disk.empty()
                time.sleep(1.2)
            service.flush()
            check(url, traffic)


@pytest.fixture
def log_disk(server: Unruly) -> Iterator[SmallDisk]:
    """A small one that has the write-ahead log, without which PostgreSQL cannot go on."""
    log = server.data / "pg_wal"
    with small_disk(server.folder / "log", megabytes=512) as disk:
        server.stop()
        move(log, disk.folder / "pg_wal")
        log.symlink_to(disk.folder / "pg_wal")
        server.start()
        yield disk
        disk.empty()
        server.stop()
        log.unlink()
        move(disk.folder / "pg_wal", log)
        server.start()


def move(folder: Path, to: Path) -> None:
    """To another disk, with the owner of everything in it."""
    subprocess.run(["cp", "-a", str(folder), str(to)], check=True)
    shutil.rmtree(folder)


@pytest.mark.slow
def test_a_full_disk_of_the_write_ahead_log_costs_no_request(
    server: Unruly, log_disk: SmallDisk, url: str, service: Service, traffic: Traffic
) -> None:
    """PostgreSQL panics, recovers, and panics again, or ends."""
    with traffic:
        time.sleep(1.2)
        log_disk.fill()
        until(lambda: not switched(server))
        until(lambda: service.status()["state"] == "unavailable")
        time.sleep(3)
        assert "No space left on device" in server.log.read_text()
        log_disk.empty()
        server.recover()
        time.sleep(1.2)
    service.flush()
    check(url, traffic)


def switched(server: Unruly) -> bool:
    """Whether the next segment of the log could be begun."""
    try:
        fetch(server.superuser_url, "SELECT pg_logical_emit_message(true, 'filler', 'x'), pg_switch_wal()")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
        return False
    return True


class Crowd:
    """Others who take every connection that the role of the service may have."""

    def __init__(self, server: Unruly) -> None:
        self._server = server
        self._runner = asyncio.Runner()
        self._taken: list[asyncpg.Connection[asyncpg.Record]] = []

    def press(self) -> None:
        """Push out who writes for Watchglass and take its place too."""
        execute(self._server.superuser_url, f"SELECT pg_terminate_backend(pid) FROM ({WRITER}) AS writer")
        self._runner.run(self._take())

    async def _take(self) -> None:
        with suppress(asyncpg.TooManyConnectionsError):
            while True:
                self._taken.append(await asyncpg.connect(self._server.url))

    def leave(self) -> None:
        for connection in self._taken:
            self._runner.run(connection.close())
        self._runner.close()


def test_when_all_connections_are_taken_no_request_is_lost(
    server: Unruly, url: str, service: Service, traffic: Traffic
) -> None:
    crowd = Crowd(server)
    with traffic:
        time.sleep(1.2)
        try:
            until(lambda: crowd.press() or "all its connections are taken" in service.status()["message"])
            time.sleep(2)
            assert "all its connections are taken" in service.status()["message"]
        finally:
            crowd.leave()
        time.sleep(1.2)
    service.flush()
    check(url, traffic)


LEDGER = "LOCK TABLE watchglass.batches IN EXCLUSIVE MODE"
TIMEOUTS = {"statement_timeout": "100ms", "lock_timeout": "10ms", "transaction_timeout": "500ms"}


def test_timeouts_that_the_host_gave_its_role_are_not_ours(server: Unruly, url: str, tmp_path: Path) -> None:
    """They are for its own statements. Ours wait longer for a lock, and bound themselves."""
    known = {row["name"] for row in fetch(url, "SELECT name FROM pg_settings")}
    name = url.rpartition("/")[2]
    for timeout in TIMEOUTS.keys() & known:
        execute(server.superuser_url, f"ALTER ROLE app IN DATABASE {name} SET {timeout} = '{TIMEOUTS[timeout]}'")
    with Service(url, tmp_path) as service:
        with Traffic().to(service.url) as traffic:
            until(lambda: service.status()["state"] == "ok")
            with held(server.superuser_url.removesuffix("/postgres") + f"/{name}", LEDGER):
                time.sleep(2.5)
                assert service.status()["state"] == "ok", service.status()
            time.sleep(0.5)
        service.flush()
        check(url, traffic)
        assert service.status()["state"] == "ok"


@pytest.mark.slow
def test_a_lock_held_for_longer_than_we_wait_costs_no_request(
    server: Unruly, url: str, service: Service, traffic: Traffic
) -> None:
    with traffic:
        service.flush()
        with held(url, LEDGER):
            until(lambda: "a lock was not free in time" in service.status()["message"])
        time.sleep(0.5)
    service.flush()
    check(url, traffic)
