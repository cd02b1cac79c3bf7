"""Keep one server: start it, and stop it when the pipe on standard input closes.

The pipe closes when the parent closes it or dies, whatever killed it and whichever of its threads started the server;
on Linux the server ends with its keeper too. Run by path, with the standard library only:

    keeper.py '{"argv": [...], "signals": [...], "patience": 10, "account": [uid, gid] or null, "remove": path or null}'

The first line on standard output is the server's process id. Exits with the server's own code.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import sys
import time
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1


def become_server(order: dict[str, Any], keeper: int) -> NoReturn:
    """Turn this fresh child into the server, under the order's account if it names one."""
    argv, account = order["argv"], order["account"]
    try:
        if account:
            os.setgroups([])
            os.setgid(account[1])
            os.setuid(account[0])
        # After the change of account, which clears it.
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, order["signals"][0])
        if os.getppid() == keeper:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 0)
            os.dup2(2, 1)
            os.execv(argv[0], argv)
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
    os._exit(127)


def stop(server: int, signals: list[int], patience: float) -> int:
    """Send each signal in turn until the server ends, `patience` seconds apart, SIGKILL last; return its exit code."""
    for number in [*signals, signal.SIGKILL]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(server, number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if (code := exit_code(server)) is not None:
                return code
            time.sleep(0.01)
    return -1


def exit_code(server: int) -> int | None:
    """The server's exit code; None while it runs, or stands still."""
    done, status = os.waitpid(server, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def watch(server: int, ended: int) -> tuple[bool, int | None]:
    """Wait until standard input closes, or the server ends; whether it closed, and the exit code if it ended.

    The system also wakes us when the server is frozen or goes on.
    """
    closed, code = False, None
    while not closed and code is None:
        ready = select.select([0, ended], [], [])[0]
        if ended in ready:
            os.read(ended, 64)
        closed, code = 0 in ready, exit_code(server)
    return closed, code


def keep(order: dict[str, Any]) -> int:
    """Run the server described by `order` until it or the parent ends; return its exit code."""
    keeper = os.getpid()
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    server = os.fork()
    if server == 0:
        become_server(order, keeper)
    with contextlib.suppress(BrokenPipeError):
        os.write(1, f"{server}\n".encode())
    closed, code = watch(server, ended)
    if code is None:
        code = stop(server, order["signals"], order["patience"])
    # A server that ended by itself has left a log, which the parent reads.
    if closed and order["remove"]:
        shutil.rmtree(order["remove"], ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(abs(keep(json.loads(sys.argv[1]))))
