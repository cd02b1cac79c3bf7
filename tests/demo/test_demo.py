"""`watchglass demo` as a process: it answers, it ends, and it leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest
import redis

from support.demo import Demo
from support.processes import gone


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    """One demo for the tests that only look at it."""
    with Demo() as started:
        yield started


def test_the_line_of_json_names_everything(demo: Demo) -> None:
    assert set(demo.urls) == {"service", "page", "login", "metrics", "database", "redis"}
    assert demo.urls["page"] == demo.urls["service"] + "/ui/monitoring/advanced"
    assert demo.urls["login"].startswith(demo.urls["service"] + "/ui/monitoring/login?token=")


def test_the_service_its_metrics_and_its_health_answer(demo: Demo) -> None:
    service = demo.urls["service"]
    found = httpx.get(f"{service}/v1/code/search/hybrid", params={"q": "parse invoice"})
    assert found.status_code == 200
    assert found.json()["results"]
    assert found.headers["x-trace-id"]
    assert "http_server_request_duration_seconds_count" in httpx.get(demo.urls["metrics"]).text
    assert httpx.get(f"{service}/health").status_code == 200


def test_the_login_link_opens_the_page(demo: Demo) -> None:
    """The link shows a form; only its button uses the link up."""
    address, _, token = demo.urls["login"].partition("?token=")
    with httpx.Client(follow_redirects=True, headers={"origin": demo.urls["service"]}) as browser:
        assert token in browser.get(demo.urls["login"]).text
        page = browser.post(address, data={"token": token})
        assert (page.status_code, page.url.path) == (200, "/ui/monitoring/advanced")
        assert "Watchglass" in page.text


async def test_the_database_has_code_and_soon_telemetry(demo: Demo) -> None:
    connection = await asyncpg.connect(demo.urls["database"])
    try:
        assert await connection.fetchval("SELECT count(*) FROM chunks") >= 20_000
        assert await connection.fetchval("SELECT pg_has_role(current_user, 'pg_monitor', 'USAGE')")
        deadline = time.monotonic() + 30
        while not await connection.fetchval("SELECT EXISTS (SELECT FROM watchglass.metrics_10s)"):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
    finally:
        await connection.close()


def test_redis_has_the_three_cache_types(demo: Demo) -> None:
    with redis.Redis.from_url(demo.urls["redis"]) as client:
        deadline = time.monotonic() + 20
        kinds: set[str] = set()
        while kinds != {"search_results", "embeddings", "graph_traversal"}:
            assert time.monotonic() < deadline, kinds
            kinds = {key.decode().partition(":")[0] for key in client.scan_iter()}
            time.sleep(0.2)


def test_progress_and_acts_are_told_on_standard_error(demo: Demo) -> None:
    deadline = time.monotonic() + 10
    while not any("  steady, 60 s: " in line for line in demo.said) and time.monotonic() < deadline:
        time.sleep(0.1)
    said = "\n".join(demo.said)
    for step in (
        "Starting PostgreSQL ...",
        "Starting Redis ...",
        "Filling the database ...",
        "Starting the code-search",
    ):
        assert step in said
    assert "  steady, 60 s: " in said


# How it ends


@pytest.fixture(scope="module")
def data() -> Iterator[str]:
    """A data folder that PostgreSQL's account may pass through, unlike pytest's own; the first demo fills it."""
    with tempfile.TemporaryDirectory(prefix="watchglass-test-") as folder:
        Path(folder).chmod(0o755)
        yield folder


def test_after_its_duration_it_ends_by_itself_and_nothing_is_left(data: str) -> None:
    demo = Demo("--data", data, "--duration", "1")
    urls = demo.ready()
    family = demo.family()
    assert len(family) >= 5
    assert demo.wait() == 0
    assert gone(*family, seconds=1)
    with pytest.raises(httpx.ConnectError):
        httpx.get(urls["service"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_stops_everything_in_order(data: str, number: signal.Signals) -> None:
    demo = Demo("--data", data)
    demo.ready()
    family = demo.family()
    demo.process.send_signal(number)
    assert demo.wait() == 0
    assert gone(*family, seconds=1)
    assert demo.said[-1] == "Stopped."


def test_a_signal_during_the_start_stops_it_too() -> None:
    demo = Demo()
    deadline = time.monotonic() + 30
    while not any("postgres" in name for name in demo.family_names()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    family = demo.family()
    demo.process.send_signal(signal.SIGTERM)
    assert demo.wait() == 0
    assert gone(*family, seconds=1)


def test_a_killed_demo_leaves_no_server_and_no_folder_behind() -> None:
    demo = Demo()
    demo.ready()
    family = demo.family()
    working = [Path(psutil.Process(pid).cwd()) for pid in family]
    folders = {path for folder in working for path in (folder, *folder.parents) if path.name.startswith("watchglass-")}
    assert {folder.name.split("-")[1] for folder in folders} == {"postgresql", "redis"}
    demo.process.kill()
    demo.wait()
    assert gone(*family, *folders, seconds=20)


def test_a_service_that_dies_ends_the_demo_with_its_last_words(data: str) -> None:
    demo = Demo("--data", data)
    demo.ready()
    family = demo.family()
    service = next(pid for pid in family if "watchglass.demo.child" in psutil.Process(pid).cmdline())
    os.kill(service, signal.SIGKILL)
    assert demo.wait() == 2
    assert gone(*family, seconds=1)
    assert any("The demo service ended by itself with exit code -9." in line for line in demo.said)


# For people


def test_the_lines_of_a_request_carry_the_trace_id_of_its_response(data: str) -> None:
    with Demo("--data", data) as demo:
        found = httpx.get(f"{demo.urls['service']}/v1/code/search/lexical", params={"q": "zebra crossing"})
        trace_id = found.headers["x-trace-id"]
    lines = [json.loads(line) for line in Path(data, "service.log").read_text().splitlines() if "zebra" in line]
    assert {line["logger"] for line in lines} == {"codesearch.search", "uvicorn.access"}
    assert {line["trace_id"] for line in lines} == {trace_id}
    assert all(len(line["span_id"]) == 16 for line in lines)


def test_without_json_it_tells_people_where_to_look_and_opens_the_browser(data: str, tmp_path: Path) -> None:
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    command = [sys.executable, "-m", "watchglass", "demo", "--port", "0", "--data", data, "--duration", "1"]
    environment = {**os.environ, "BROWSER": str(browser)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    link = next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("Open http://"))
    assert opened.read_text().strip() == link
    assert done.stdout.endswith("Stopped.\n")


# Trouble


def test_a_busy_port_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        command = [sys.executable, "-m", "watchglass", "demo", "--port", str(port), "--no-browser"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert (
        done.stderr == f"watchglass: Port {port} is in use. Choose another with --port, or --port 0 for a free one.\n"
    )


def test_a_folder_in_use_is_a_sentence_and_data_stays_for_the_next_start(data: str) -> None:
    with Demo("--data", data) as first:
        second = Demo("--data", data)
        assert second.wait() == 2
        assert f"is in use by another run (process {first.process.pid})" in second.said[-1]
    assert json.loads(Path(data, "service.log").read_text().splitlines()[0])
    third = Demo("--data", data, "--duration", "0.5")
    third.ready()
    filling = next(line for line in third.said if line.startswith("Filling the database"))
    assert float(filling.split()[-2]) < 1.0
    assert third.wait() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives PostgreSQL another account")
def test_as_root_a_folder_that_postgresql_cannot_reach_is_a_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    demo = Demo("--data", str(tmp_path / "data"))
    assert demo.wait() == 2
    assert "may not pass through" in demo.said[-1]
