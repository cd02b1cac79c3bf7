"""A cluster of one node, for the API of its clients."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from watchglass.demo.servers.process import free_port
from watchglass.demo.servers.redis import find_redis


@contextmanager
def cluster_of_one(folder: Path) -> Iterator[int]:
    """Runs it; its port on 127.0.0.1."""
    port = next(port for port in iter(free_port, 0) if port < 55_000)  # its bus listens at 10,000 more
    options = [
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--dir",
        str(folder),
        "--save",
        "",
        "--cluster-enabled",
        "yes",
    ]
    process = subprocess.Popen([str(find_redis()), *options], stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port) as node:
            while not _answers(node):
                time.sleep(0.05)
            node.execute_command("CLUSTER ADDSLOTS", *range(16_384))
            while node.execute_command("CLUSTER INFO").get("cluster_state") != "ok":
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _answers(node: redis.Redis) -> bool:
    try:
        return bool(node.ping())
    except redis.ConnectionError:
        return False
