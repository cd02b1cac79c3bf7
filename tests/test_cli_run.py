"""`watchglass run`: an application that knows nothing of Watchglass is served and observed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from support.processes import gone

SHOP = """
from fastapi import FastAPI

def make():
    app = FastAPI()

    @app.get("/things/{thing_id}")
    async def thing(thing_id: int):
        return {"id": thing_id}

    return app

app = make()
"""


@contextmanager
def running(folder: Path, port: int, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`watchglass run` in the folder, once it answers."""
    (folder / "shop_to_run.py").write_text(SHOP)
    command = [sys.executable, "-m", "watchglass", "run", "--port", str(port), *arguments]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 30
        while not _answers(port):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").status_code < 500
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    "arguments",
    [["shop_to_run:app"], ["shop_to_run:make", "--factory"]],
    ids=["application", "factory"],
)
def test_the_application_is_observed(tmp_path: Path, free_port: int, arguments: list[str]) -> None:
    with running(tmp_path, free_port, *arguments):
        url = f"http://127.0.0.1:{free_port}"
        for number in range(5):
            found = httpx.get(f"{url}/things/{number}")
            assert found.json() == {"id": number}
        assert len(found.headers["x-trace-id"]) == 32
        metrics = httpx.get(f"{url}/metrics").text
    counted = [
        line
        for line in metrics.splitlines()
        if line.startswith("http_server_request_duration_seconds_count{") and 'http_route="/things/{thing_id}"' in line
    ]
    assert [float(line.split()[-1]) for line in counted] == [5.0]


def test_uvicorn_gets_what_comes_after_two_dashes(tmp_path: Path, free_port: int) -> None:
    with running(tmp_path, free_port, "shop_to_run:app", "--", "--workers", "2", "--no-server-header") as process:
        found = httpx.get(f"http://127.0.0.1:{free_port}/things/1")
        assert found.headers["x-trace-id"]
        assert "server" not in found.headers
        family = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        assert len(family) >= 2
    assert gone(*family)


def test_it_starts_again_when_a_file_changes(tmp_path: Path, free_port: int) -> None:
    with running(tmp_path, free_port, "shop_to_run:app", "--reload"):
        url = f"http://127.0.0.1:{free_port}/things/1"
        (tmp_path / "shop_to_run.py").write_text(SHOP.replace('{"id": thing_id}', '{"thing": thing_id}'))
        deadline = time.monotonic() + 20
        while httpx.get(url, timeout=10).json() != {"thing": 1}:
            assert time.monotonic() < deadline
            time.sleep(0.2)
