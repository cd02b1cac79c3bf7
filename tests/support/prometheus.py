"""A real Prometheus that scrapes what a test serves."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

from watchglass.demo.servers.process import Server


class Prometheus(Server):
    """Prometheus scraping `/metrics` of the given base URLs every `interval`."""

    program = "Prometheus"

    def __init__(self, binary: str, targets: Sequence[str], interval: str = "1s", token: str | None = None) -> None:
        super().__init__()
        self.binary = binary
        self.scrape: dict[str, Any] = {
            "job_name": "watchglass",
            "scrape_interval": interval,
            "scrape_timeout": interval,
            "static_configs": [{"targets": [urlsplit(target).netloc for target in targets]}],
        }
        if token:
            self.scrape["authorization"] = {"credentials": token}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def query(self, promql: str) -> list[dict[str, Any]]:
        """The result of an instant query: series with their `metric` labels and `value` [time, text]."""
        with urlopen(f"{self.url}/api/v1/query?{urlencode({'query': promql})}", timeout=10) as response:
            result: list[dict[str, Any]] = json.load(response)["data"]["result"]
        return result

    def wait_for(self, promql: str, seconds: float = 30) -> list[dict[str, Any]]:
        """The result of the query once it has one. Raises `TimeoutError`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if result := self.query(promql):
                return result
            time.sleep(0.2)
        raise TimeoutError(f"Prometheus has nothing for {promql} after {seconds:g} s; targets: {self.query('up')}")

    def _start(self) -> None:
        config = self.folder / "prometheus.yml"
        config.write_text(json.dumps({"scrape_configs": [self.scrape]}))  # JSON is YAML
        self._spawn(lambda port: self._command(config, port), self._answers)

    def _command(self, config: Path, port: int) -> list[str]:
        return [
            self.binary,
            f"--config.file={config}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/-/ready", timeout=1) as response:
                return bool(response.status == 200)
        except (URLError, OSError):
            return False
