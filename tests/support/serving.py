"""An application served by uvicorn, lifespan included, in a thread of the test's process."""

from __future__ import annotations

import threading
import time
from typing import Any

import uvicorn

from watchglass.demo.servers.process import free_port


class Served:
    """`app` on a free port of 127.0.0.1; keywords go to `uvicorn.Config`."""

    def __init__(self, app: Any, **options: Any) -> None:
        self.port = free_port()
        defaults = {"host": "127.0.0.1", "port": self.port, "lifespan": "on", "ws": "none", "log_config": None}
        self.server = uvicorn.Server(uvicorn.Config(app, **{**defaults, **options}))
        self.thread = threading.Thread(target=self._run, name="served-by-test", daemon=True)
        self.error: BaseException | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _run(self) -> None:
        try:
            self.server.run()
        except BaseException as error:  # uvicorn exits with SystemExit when the lifespan fails
            self.error = error

    def start(self) -> str:
        """Return the base URL once the application serves. Raises `RuntimeError` if it does not."""
        self.thread.start()
        deadline = time.monotonic() + 30
        while not self.server.started:
            if not self.thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the application did not start") from self.error
            time.sleep(0.005)
        return self.url

    def stop(self) -> None:
        """Stop as on SIGTERM: requests under way end first, then the lifespan."""
        self.server.should_exit = True
        self.thread.join(20)
        if self.thread.is_alive():
            raise RuntimeError("the application did not stop within 20 s")
