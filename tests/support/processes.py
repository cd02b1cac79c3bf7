"""Processes that start servers, and whether they and their traces are gone."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

PARENT = """
import sys, time
from pathlib import Path
from watchglass.demo import servers
server = getattr(servers, sys.argv[1])(Path(sys.argv[2]) if sys.argv[2] else None)
server.start()
print(server.pid, server.folder, flush=True)
time.sleep(60)
"""


def started_by(server: str, folder: Path | None = None) -> tuple[subprocess.Popen[str], int, Path]:
    """A process that has started the server: the process, the server's id, its folder."""
    command = [sys.executable, "-c", PARENT, server, str(folder or "")]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        pid, path = parent.stdout.readline().split()
    return parent, int(pid), Path(path)


def gone(*things: int | Path, seconds: float = 10) -> bool:
    """Whether all these processes and files are gone within that time."""
    deadline = time.monotonic() + seconds
    while any(_is_there(thing) for thing in things):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _is_there(thing: int | Path) -> bool:
    if isinstance(thing, Path):
        return thing.exists()
    try:
        return psutil.Process(thing).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
