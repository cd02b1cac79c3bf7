"""PostgreSQL stops, dies, freezes or crashes under a serving application: nobody notices, and every request is counted.

The application answers all the time. Once the database is back, the store has exactly what was sent.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from faults.aftermath import WRITER, check, committed_unanswered, set_standby
from support.databases import execute
from support.pipelines import fetch, until
from support.service import Service
from support.traffic import Traffic
from support.unruly import Unruly

A_WHILE = [pytest.param(3.0, id="3 s"), pytest.param(60.0, id="60 s", marks=pytest.mark.slow)]

Act = Callable[[Unruly], None]


def answered_since(traffic: Traffic, moment: float) -> int:
    return sum(answer.at > moment for answer in traffic.answered)


@pytest.mark.parametrize("seconds", A_WHILE)
@pytest.mark.parametrize(
    ("away", "back"),
    [
        pytest.param(Unruly.stop, Unruly.start, id="stopped"),
        pytest.param(Unruly.kill, Unruly.start, id="killed"),
        pytest.param(Unruly.freeze, Unruly.thaw, id="frozen"),
    ],
)
def test_a_database_that_is_away_for_a_while_costs_no_request(
    server: Unruly, url: str, service: Service, traffic: Traffic, away: Act, back: Act, seconds: float
) -> None:
    with traffic:
        time.sleep(1.2)
        away(server)
        began = time.monotonic()
        time.sleep(seconds)
        assert answered_since(traffic, began) > 10 * seconds
        back(server)
        time.sleep(1.2)
    service.flush()
    check(url, traffic)


def test_a_restart_costs_no_request(server: Unruly, url: str, service: Service, traffic: Traffic) -> None:
    with traffic:
        for number in (signal.SIGINT, signal.SIGQUIT):
            time.sleep(0.7)
            server.kill(number)
            server.start()
        time.sleep(1.2)
    service.flush()
    check(url, traffic)


def test_a_crash_that_postgresql_recovers_from_costs_no_request(
    server: Unruly, url: str, service: Service, traffic: Traffic
) -> None:
    with traffic:
        time.sleep(1.2)
        [row] = fetch(server.superuser_url, WRITER)
        os.kill(row["pid"], signal.SIGKILL)  # PostgreSQL then ends all others, and begins anew
        time.sleep(1.2)
    service.flush()
    check(url, traffic)


def test_a_service_that_starts_without_its_database_serves_and_stores_when_it_comes(
    server: Unruly, url: str, tmp_path: Path
) -> None:
    server.stop()
    with Service(url, tmp_path) as service:
        with Traffic().to(service.url) as traffic:
            until(lambda: service.status()["state"] == "unavailable")
            assert "nothing listens there" in service.status()["message"]
            server.start()
            until(lambda: service.status()["state"] == "ok")
        service.flush()
        check(url, traffic)


@pytest.mark.parametrize("times", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_a_commit_whose_answer_was_lost_is_not_counted_twice(
    server: Unruly, url: str, service: Service, traffic: Traffic, times: int
) -> None:
    """A commit is on disk, then waits for a standby that never comes; there its connection is cut, again and again."""
    with traffic:
        for _ in range(times):
            set_standby(server, "nobody")
            until(lambda: committed_unanswered(server))
            execute(server.superuser_url, f"SELECT pg_terminate_backend(pid) FROM ({WRITER}) AS writer")
            set_standby(server, "")
            time.sleep(0.5)
    service.flush()
    check(url, traffic)
