"""The demo service in a process of its own: `python -m watchglass.demo.child`, with its order on standard input.

The order is a line of JSON: `settings` for the service and `socket`, the number of an inherited listening socket. It
names passwords, and so is neither an argument nor in the environment. When standard input closes, the parent is gone,
and so is this process, whatever ended the parent.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time

import uvicorn

import watchglass
from watchglass.demo.service import create_app

_PATIENCE = 10.0
_STREAMS_SECONDS = 3


def main() -> None:
    """Serve until stopped, or until the parent ends."""
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()
    app = create_app(watchglass.Settings(**order["settings"]))
    config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=_STREAMS_SECONDS)
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=order["socket"])])


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE)
    os._exit(1)


if __name__ == "__main__":
    main()
