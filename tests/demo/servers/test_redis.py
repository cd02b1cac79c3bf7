"""Redis or Valkey starts anywhere, evicts at its limit, and never outlives the process that started it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import redis

from support.processes import gone, started_by
from watchglass.demo.servers import Redis
from watchglass.errors import ServerNotFound, ServerStartFailed

LAUNCHER = "watchglass.demo.servers.redis"


def test_it_answers_on_this_machine_only(redis_url: str, redis_server: Redis) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.info("server")["process_id"] == redis_server.pid
        assert client.config_get("bind") == {"bind": "127.0.0.1"}


def test_it_evicts_at_its_limit_and_writes_nothing_to_disk() -> None:
    with Redis(maxmemory="3mb") as server, redis.Redis.from_url(server.url) as client:
        for number in range(4000):
            client.set(f"key:{number}", "x" * 1000)
        assert client.info("stats")["evicted_keys"] > 0
        assert client.config_get("save") == {"save": ""}
        files = {file.name for file in server.folder.iterdir()}
        assert files == {"redis.log"}


def test_valkey_s_wheel_stands_in_where_no_redis_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{LAUNCHER}.shutil.which", lambda name: None)
    with Redis() as server, redis.Redis.from_url(server.url) as client:
        assert client.info("server")["server_name"] == "valkey"


def test_without_any_redis_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{LAUNCHER}.shutil.which", lambda name: None)
    monkeypatch.setattr(f"{LAUNCHER}.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ServerNotFound, match="pip install"):
        Redis().start()


def test_a_server_that_cannot_start_says_why() -> None:
    with pytest.raises(ServerStartFailed, match="maxmemory-policy"):
        Redis(policy="no-such-policy").start()


def test_a_busy_port_is_left_for_another(monkeypatch: pytest.MonkeyPatch, redis_server: Redis, free_port: int) -> None:
    ports = iter([redis_server.port, free_port])
    monkeypatch.setattr("watchglass.demo.servers.process.free_port", lambda: next(ports))
    with Redis() as server:
        assert server.port == free_port


def test_a_killed_parent_leaves_no_server_and_no_files() -> None:
    parent, pid, folder = started_by("Redis")
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert gone(pid)
    assert gone(folder)


def test_a_folder_of_one_s_own_stays(tmp_path: Path) -> None:
    with Redis(tmp_path):
        pass
    assert (tmp_path / "redis.log").exists()
