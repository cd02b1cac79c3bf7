"""A private Prometheus on blocks that promtool made; nothing is scraped."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from watchglass.demo.servers.process import Server

PATIENCE = 900.0
"""Seconds a query may take."""


def program(name: str) -> str:
    found = shutil.which(name)
    if not found:
        raise SystemExit(f"{name} is not installed; on Debian: apt-get install prometheus")
    return found


def version() -> str:
    said = subprocess.run([program("prometheus"), "--version"], capture_output=True, text=True, check=True)
    return (said.stdout or said.stderr).split()[2]


class Prometheus(Server):
    """Prometheus with the blocks in `folder / "data"`, which stay when it stops."""

    program = "Prometheus"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def instant(self, promql: str, at: float) -> list[dict[str, Any]]:
        """The result of a query at one time."""
        return self._ask("query", query=promql, time=f"{at:.3f}")

    def range(self, promql: str, start: float, end: float, step: int) -> list[dict[str, Any]]:
        """The result of a query at every step between two times, both included."""
        return self._ask("query_range", query=promql, start=f"{start:.3f}", end=f"{end:.3f}", step=str(step))

    def bytes(self) -> int:
        """The size of the blocks, index and chunks."""
        return sum(file.stat().st_size for file in self.data.glob("*/**/*") if _is_of_block(file))

    def settle(self) -> None:
        """Wait until no more blocks are compacted into larger ones."""
        quiet = 0
        while quiet < 14:  # looks for work once a minute
            before = self.blocks()
            time.sleep(5)
            quiet = quiet + 1 if self.blocks() == before else 0

    def blocks(self) -> set[str]:
        return {path.name for path in self.data.iterdir() if (path / "meta.json").exists()}

    def _ask(self, route: str, **parameters: str) -> list[dict[str, Any]]:
        with urlopen(f"{self.url}/api/v1/{route}?{urlencode(parameters)}", timeout=PATIENCE) as response:
            result: list[dict[str, Any]] = json.load(response)["data"]["result"]
        return result

    def _start(self) -> None:
        config = self.folder / "prometheus.yml"
        config.write_text("{}\n")
        self._spawn(lambda port: self._command(config, port), self._answers)

    def _command(self, config: Path, port: int) -> list[str]:
        return [
            program("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={self.data}",
            "--storage.tsdb.retention.time=400d",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--query.timeout={PATIENCE:.0f}s",
            "--query.max-samples=500000000",
            "--log.level=warn",
        ]

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/-/ready", timeout=1) as response:
                return bool(response.status == 200)
        except (URLError, OSError):
            return False


class Backfill:
    """Makes blocks of OpenMetrics files, one at a time, while the next file is being written."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._running: tuple[subprocess.Popen[str], Path] | None = None

    def add(self, file: Path) -> None:
        """Have the file's samples in blocks; it is removed then."""
        self.wait()
        command = [
            program("promtool"),
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            "--quiet",
            str(file),
            str(self._data),
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._running = process, file

    def wait(self) -> None:
        """Wait for the file that was added last."""
        if self._running is None:
            return
        (process, file), self._running = self._running, None
        said, _ = process.communicate()
        file.unlink()
        if process.returncode:
            raise SystemExit(f"promtool could not make blocks: {said.strip()}")


@contextmanager
def backfill(data: Path) -> Iterator[Backfill]:
    """A backfill that is over when the block is left, and ended when it fails."""
    data.mkdir(exist_ok=True)
    filling = Backfill(data)
    try:
        yield filling
        filling.wait()
    finally:
        if filling._running is not None:
            filling._running[0].kill()
            filling._running[0].wait()


def _is_of_block(file: Path) -> bool:
    return file.is_file() and not {"wal", "chunks_head"} & set(file.parts)
