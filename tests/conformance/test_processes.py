"""A service and the processes around it: what imports it starts nothing, what it forks or spawns neither, and it is
observed alike on either event loop."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

import watchglass
from support.pipelines import until

SHOP = """
    import multiprocessing, os, sys, threading
    from concurrent.futures import ProcessPoolExecutor
    from fastapi import FastAPI
    import watchglass

    app = watchglass.observe(FastAPI(), watchglass.Settings(app_database_url=os.environ["SHOP_URL"]))

    def threads():
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("watchglass")]

    def sockets():
        names = (os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd"))
        return sum(os.path.exists(name) and os.readlink(name).startswith("socket:") for name in names)

    @app.get("/children/{method}")
    def children(method: str) -> dict:
        with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
            return {"child": pool.submit(threads).result(60), "here": threads()}
"""
SERVES = """
    import json, sys
    import httpx

    if __name__ == "__main__":
        import shop
        from support.serving import Served

        assert shop.threads() == [], "importing starts nothing"
        served = Served(shop.app)
        url = served.start()
        print(json.dumps(httpx.get(url + "/children/" + sys.argv[1], timeout=90).json()))
        assert shop.threads(), "the service goes on"
        served.stop()
"""


@pytest.fixture
def run(tmp_path: Path, store_url: str) -> Callable[..., str]:
    (tmp_path / "shop.py").write_text(textwrap.dedent(SHOP))
    (tmp_path / "serves.py").write_text(textwrap.dedent(SERVES))
    paths = [str(tmp_path), *sys.path]
    variables = {**os.environ, "SHOP_URL": store_url, "PYTHONPATH": os.pathsep.join(paths)}

    def call(*arguments: str) -> str:
        command = [sys.executable, "-W", "ignore::DeprecationWarning", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=variables, check=False, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_of_a_serving_process_starts_nothing(method: str, run: Callable[..., str]) -> None:
    told = run("serves.py", method)
    assert '"child": []' in told
    assert "watchglass-export" in told


def test_importing_the_service_starts_no_thread_and_opens_no_connection(run: Callable[..., str]) -> None:
    run("-c", "import shop; assert (shop.threads(), shop.sockets()) == ([], 0)")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_service_is_observed_alike_on_either_event_loop(loop: str, store_url: str, serve: Callable[..., str]) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    app = FastAPI()
    loops: set[str] = set()

    @app.get("/thing/{number}")
    async def thing(number: int) -> int:
        import asyncio

        loops.add(type(asyncio.get_running_loop()).__module__.partition(".")[0])
        return number

    watchglass.observe(app, watchglass.Settings(service_name="shop", app_database_url=store_url))
    try:
        url = serve(app, loop=loop)
        for number in range(5):
            assert len(httpx.get(f"{url}/thing/{number}").headers["x-trace-id"]) == 32
        until(lambda: requests(url) == {"/thing/{number}": 5.0}, 30)
        assert loops == {loop}
    finally:
        watchglass.unobserve(app)


def requests(url: str) -> dict[str, float]:
    """Requests by route, as Prometheus would be told."""
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    name = "http_server_request_duration_seconds_count"
    return {sample.labels["http_route"]: sample.value for sample in samples if sample.name == name}
