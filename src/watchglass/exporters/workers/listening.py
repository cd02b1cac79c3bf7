"""Which processes are one target to Prometheus: those that listen on one address.

The address is read from the process's own sockets. A worker of uvicorn, gunicorn, hypercorn or granian has the socket
of its siblings, or one beside theirs on the same port (SO_REUSEPORT), and knows it before the first request, which a
worker may wait for a long time. A parent process would not do as a mark: a shell or an init system starts services
that have nothing in common, and workers may have been started one by one on a socket they inherit.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import stat
import sys
from contextlib import suppress
from pathlib import Path

import psutil

_MOST = 64
"""Addresses of one process that are looked at."""


def addresses(besides: Path) -> tuple[str, ...]:
    """Where this process listens, sorted; Unix sockets in the folder `besides` are not meant."""
    found = set()
    for descriptor in _descriptors():
        with suppress(OSError):
            address = _listens_on(descriptor)
            if address and not address.startswith(str(besides)):
                found.add(address)
    return tuple(sorted(found)[:_MOST])


def supervisor() -> str:
    """The process that starts this one again when it dies, by its id and start; "" if none is known to.

    uvicorn, hypercorn and granian start workers with multiprocessing, gunicorn forks them.
    """
    parent = multiprocessing.parent_process()
    pid = parent.pid if parent is not None else os.getppid() if "gunicorn.arbiter" in sys.modules else None
    with suppress(psutil.Error):
        return f"{pid} {psutil.Process(pid).create_time():.2f}" if pid else ""
    return ""


def _descriptors() -> list[int]:
    for folder in ("/dev/fd", "/proc/self/fd"):
        with suppress(OSError):
            return [int(name) for name in os.listdir(folder)]
    return []


def _listens_on(descriptor: int) -> str:
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return ""
    found = socket.socket(fileno=descriptor)
    try:
        if not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return ""
        name = found.getsockname()
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else os.fsdecode(name)
    finally:
        found.detach()  # it is the service's to close
