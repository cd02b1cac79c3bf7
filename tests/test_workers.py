"""Services with several workers, under the servers people use: every scrape is exact, and no counter goes backwards."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from support.pipelines import until
from support.processes import gone
from support.prometheus import Prometheus
from support.workers_of import GUNICORN, UVICORN, Service
from watchglass.demo.servers.process import free_port as another_port

Start = Callable[..., Service]
SERVERS = {
    "uvicorn": (*UVICORN, "--workers", "2"),
    "gunicorn": (*GUNICORN, "-w", "2"),
    "gunicorn with preload": (*GUNICORN, "-w", "2", "--preload"),
}


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start(*command)` runs the shop under a server until the test ends."""
    with ExitStack() as stack:
        yield lambda *command, port=None: stack.enter_context(Service(tmp_path, port or another_port(), *command))


@pytest.mark.parametrize("server", SERVERS)
def test_every_scrape_is_exact_and_a_worker_that_is_killed_takes_nothing_back(start: Start, server: str) -> None:
    service = start(*SERVERS[server])
    workers = service.wait_for(2)
    service.ask(40)
    until(lambda: service.requests() == 40, 30)  # a request ends after its answer was read
    assert [service.requests() for _ in range(12)] == [40] * 12

    killed = min(workers)
    os.kill(killed, signal.SIGKILL)
    assert gone(killed)
    assert [service.requests() for _ in range(6)] == [40] * 6
    workers = service.wait_for(2, besides={killed})
    service.ask(25)
    until(lambda: service.requests() == 65, 30)
    assert [service.requests() for _ in range(12)] == [65] * 12


def test_the_exposition_of_several_workers_is_valid(
    start: Start, promtool: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    service = start(*SERVERS["uvicorn"])
    service.wait_for(2)
    service.ask(10)
    checked = promtool("check", "metrics", input=service.text())
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    scraped = service.scrape()
    [info] = scraped["target"].samples
    assert info.labels["service_name"] == "shop"
    assert {service.target() for _ in range(6)} == {info.labels["service_instance_id"]}
    assert len(scraped["system_memory_limit_bytes"].samples) == 1
    assert len(scraped["process_memory_usage_bytes"].samples) == 2


def test_what_the_elected_worker_reads_of_postgresql_is_shown_by_all_and_once(
    start: Start, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", store_url)
    service = start(*SERVERS["uvicorn"])
    service.wait_for(2)
    until(lambda: "postgresql_db_size_bytes" in service.scrape(), 60)
    for _ in range(8):
        [size] = service.scrape()["postgresql_db_size_bytes"].samples
        assert size.value > 1_000_000
    service.ask(10)
    until(lambda: service.requests() == 10, 30)
    assert [service.requests() for _ in range(6)] == [10] * 6


def test_a_worker_that_is_frozen_delays_a_scrape_by_half_a_second_and_changes_nothing(start: Start) -> None:
    service = start(*SERVERS["gunicorn"])
    workers = service.wait_for(2)
    service.ask(20)
    until(lambda: service.requests() == 20, 30)
    frozen = min(workers)
    os.kill(frozen, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert service.requests() == 20
        assert time.monotonic() - began < 10
        assert frozen in service.workers()
    finally:
        os.kill(frozen, signal.SIGCONT)
    service.ask(3)
    until(lambda: service.requests() == 23, 30)


def test_the_only_worker_of_a_supervisor_may_die_too(start: Start) -> None:
    """To whoever scrapes the service has never ended."""
    service = start(*GUNICORN, "-w", "1")
    [worker] = service.wait_for(1)
    service.ask(5)
    until(lambda: service.requests() == 5, 30)
    target = service.target()
    os.kill(worker, signal.SIGKILL)
    assert gone(worker)
    service.wait_for(1, besides={worker})
    assert (service.requests(), service.target()) == (5, target)


def test_a_worker_that_is_replaced_after_so_many_requests_leaves_its_counts(start: Start) -> None:
    service = start(*GUNICORN, "-w", "2", "--max-requests", "30")
    service.wait_for(2)
    for count in range(0, 120, 20):
        until(lambda count=count: service.requests() == count, 15)  # type: ignore[misc]
        service.ask(20)
    until(lambda: service.requests() == 120, 30)


def test_a_service_that_was_stopped_begins_anew(start: Start) -> None:
    first = start(*SERVERS["uvicorn"])
    first.wait_for(2)
    first.ask(5)
    until(lambda: first.requests() == 5, 30)
    target = first.target()
    first.stop()
    second = start(*SERVERS["uvicorn"], port=first.port)
    second.wait_for(2)
    assert (second.requests(), second.target() != target) == (0, True)


def test_one_service_on_two_ports_is_two_targets(start: Start) -> None:
    services = [start(*SERVERS["uvicorn"]), start(*UVICORN)]
    for number, service in enumerate(services):
        service.wait_for(2 - number)
        service.ask(3 + number)
    for number, service in enumerate(services):
        until(lambda service=service, number=number: service.requests() == 3 + number, 30)  # type: ignore[misc]
    assert services[0].target() != services[1].target()


def test_counts_outlive_a_reload(start: Start) -> None:
    service = start(*UVICORN, "--reload", "--reload-delay", "0.1")
    old = service.wait_for(1)
    service.ask(4)
    until(lambda: service.requests() == 4, 30)
    service.file.write_text(service.file.read_text() + "\n# changed\n")
    service.wait_for(1, besides=old)
    assert service.requests() == 4


@contextmanager
def traffic(service: Service) -> Iterator[list[int]]:
    """Requests one after another meanwhile; their number, in the list."""
    sent, ended = [0], threading.Event()

    def ask() -> None:
        while not ended.wait(0.01):
            try:
                sent[0] += service.client.get("/hello").status_code == 200
            except httpx.TransportError:
                continue  # the worker that had it was killed

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield sent
    finally:
        ended.set()
        thread.join()


def test_prometheus_sees_no_reset_while_workers_are_killed(start: Start, prometheus: Callable[..., Prometheus]) -> None:
    service = start(*SERVERS["gunicorn"])
    known = service.wait_for(2)
    scraper = prometheus(service.url)
    name = 'http_server_request_duration_seconds_count{http_route="/hello"}'
    with traffic(service) as sent:
        scraper.wait_for(name)
        for _ in range(3):
            time.sleep(2.5)
            killed = min(known)
            os.kill(killed, signal.SIGKILL)
            known = service.wait_for(2, besides={killed})
        time.sleep(2.5)
    total = service.requests()
    assert total <= sent[0] + 3, "more than was asked, but for answers cut off by a kill"
    until(lambda: float(scraper.query(name)[0]["value"][1]) == total, 30)
    for family in ("count", "sum"):
        series = f"http_server_request_duration_seconds_{family}"
        [resets] = scraper.query(f"sum(resets({series}[5m]))")
        assert float(resets["value"][1]) == 0
    [fastest] = scraper.query(f"max_over_time(sum(rate({name}[4s]))[1m:1s])")
    assert float(fastest["value"][1]) <= 100, "one request every 10 ms at the most: a reset would show as a peak"
