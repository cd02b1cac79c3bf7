"""A small service under a real server with several workers, and what its `/metrics` says."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

from watchglass.exporters.prometheus import OPENMETRICS

SHOP = """
import watchglass
from fastapi import FastAPI

app = FastAPI()

@app.get("/hello")
async def hello() -> str:
    return "here"

watchglass.observe(app)
"""

GUNICORN = ("gunicorn", "shop_of_workers:app", "-k", "uvicorn.workers.UvicornWorker", "--log-level", "warning")
UVICORN = ("uvicorn", "shop_of_workers:app", "--log-level", "warning")


class Service:
    """Runs a command of the environment in a folder with the shop, on a port of 127.0.0.1."""

    def __init__(self, folder: Path, port: int, *command: str) -> None:
        self.folder, self.port = folder, port
        self.url = f"http://127.0.0.1:{port}"
        self.file = folder / "shop_of_workers.py"
        if not self.file.exists():
            self.file.write_text(SHOP)
        where = ["-b", f"127.0.0.1:{port}"] if command[0] == "gunicorn" else ["--port", str(port)]
        # A new connection for each request, which any of the workers may take.
        self.client = httpx.Client(base_url=self.url, timeout=30, limits=httpx.Limits(max_keepalive_connections=0))
        program = str(Path(sys.executable).with_name(command[0]))
        self.log = folder / f"{port}.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([program, *command[1:], *where], cwd=folder, stdout=log, stderr=log)

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.client.close()
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def wait_for(self, workers: int, besides: set[int] = frozenset()) -> set[int]:  # type: ignore[assignment]
        """The ids of its workers, once there are so many, none of them among `besides`."""
        deadline = time.monotonic() + 60
        found: set[int] = set()
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self.log.read_text()
            try:
                found = self.workers()
            except httpx.TransportError:
                found = set()
            if len(found) == workers and not found & besides:
                return found
            time.sleep(0.05)
        raise TimeoutError(f"{found} are not {workers} workers; {self.log.read_text()}")

    def ask(self, times: int, path: str = "/hello") -> None:
        """So many requests, each on a connection of its own."""
        for _ in range(times):
            assert self._get(path).status_code == 200

    def scrape(self) -> dict[str, Metric]:
        """The families of one scrape, by whichever worker takes it."""
        answer = self._get("/metrics", accept=OPENMETRICS)
        assert answer.status_code == 200
        return {family.name: family for family in parse(answer.text)}

    def text(self) -> str:
        return self._get("/metrics").text

    def workers(self) -> set[int]:
        """Process ids, by the page's own label."""
        return {int(sample.labels["process_pid"]) for sample in self._samples("process_threads")}

    def requests(self, scraped: Mapping[str, Metric] | None = None) -> int:
        """Requests of the shop that a scrape counts."""
        samples = self._samples("http_server_request_duration_seconds", scraped)
        return int(sum(sample.value for sample in samples if sample.name.endswith("_count")))

    def target(self) -> str:
        """What the target calls itself."""
        [sample] = self._samples("target")
        return str(sample.labels["service_instance_id"])

    def _get(self, path: str, **headers: str) -> httpx.Response:
        """An answer; asked again where a worker that retires closed the connection before it read from it."""
        for _ in range(4):
            with contextlib.suppress(httpx.ReadError, httpx.RemoteProtocolError):
                return self.client.get(path, headers=headers)
        return self.client.get(path, headers=headers)

    def _samples(self, family: str, scraped: Mapping[str, Metric] | None = None) -> list:  # type: ignore[type-arg]
        found = scraped if scraped is not None else self.scrape()
        return found[family].samples if family in found else []
