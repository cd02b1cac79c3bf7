"""The application's process is killed in the middle of a flush: at most one flush interval is lost, nothing doubled.

A flush writes what was measured in the interval before it. Once it is done, or has been under way for a second, that
is in the store or on disk; a process that is killed takes with it what is not yet. Whoever starts next with the same
state folder writes what was left, once.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.aftermath import ROLLED_UP_SECONDS, WRITER, check, committed_unanswered, set_standby
from support.counting import stored_durations, stored_lines, stored_requests
from support.locks import held
from support.pipelines import fetch, until
from support.service import Service
from support.traffic import Traffic
from support.unruly import Unruly
from watchglass.exporters.flushing import SLOW_SECONDS

INTERVAL = 1.0
"""The service's flush interval."""

SLACK = SLOW_SECONDS + 0.5
"""Seconds that a flush may itself be under way before it is on disk, on a busy machine."""


class Life:
    """The same service, killed and started again under the same client; what each death may have cost."""

    def __init__(self, url: str, folder: Path) -> None:
        self.service = Service(url, folder)
        self.traffic = Traffic().to(self.service.url)
        self._url = url
        self._may_lack: Counter[object] = Counter()

    def kill(self) -> None:
        """Kill it. Requests of the last interval may be lost, older ones may not."""
        moment = time.monotonic() - INTERVAL - SLACK
        self.service.kill()
        self._may_lack += Counter(answer.key for answer in self.traffic.answered if answer.at >= moment)

    def end(self) -> None:
        """Start once more, have written what was left and what comes then, and compare: now, and a flush later."""
        self.service.start()
        self.traffic.send(2)
        self.service.flush()
        deadline = time.monotonic() + ROLLED_UP_SECONDS
        while self.problems and time.monotonic() < deadline:
            time.sleep(0.2)
        assert self.problems == []
        time.sleep(INTERVAL)
        self.traffic.send(1)
        self.service.flush()
        assert self.problems == []

    @property
    def problems(self) -> list[str]:
        """Where the store has more or less than it may."""
        sent = self.traffic.counts + Counter(self.traffic.unanswered)
        least = self.traffic.counts - self._may_lack
        stored = stored_requests(self._url)
        durations = sum(stored_durations(self._url).values())
        problems = [
            f"{key}: {stored[key]} of {sent[key]}" for key in sent if not least[key] <= stored[key] <= sent[key]
        ]
        if durations != stored.total():
            problems.append(f"{durations} durations of {stored.total()} requests")
        return problems + [f"line {n}: {times} times" for n, times in stored_lines(self._url).items() if times > 1]


@pytest.fixture
def life(url: str, tmp_path: Path) -> Iterator[Life]:
    life = Life(url, tmp_path)
    yield life
    life.service.kill()


def a_flush_waits(server: Unruly) -> bool:
    return bool(fetch(server.superuser_url, f"{WRITER} AND wait_event_type = 'Lock'"))


@pytest.mark.parametrize(
    ("table", "seconds"),
    [
        pytest.param("batches", 0.0, marks=pytest.mark.slow),
        ("metrics_10s", 2.5),
        pytest.param("logs", 0.0, marks=pytest.mark.slow),
    ],
)
def test_a_kill_while_a_flush_waits_for_a_lock(
    server: Unruly, url: str, life: Life, table: str, seconds: float
) -> None:
    """In the middle of its transaction: at the ledger, which comes first, among the metrics, among the lines."""
    life.service.start()
    with life.traffic:
        time.sleep(1.2)
        life.service.flush()
        with held(url, f"LOCK TABLE watchglass.{table} IN EXCLUSIVE MODE"):
            until(lambda: a_flush_waits(server))
            time.sleep(seconds + random.uniform(0, 0.3))
            life.kill()
    life.end()


def test_a_kill_after_the_commit_and_before_its_answer(server: Unruly, life: Life) -> None:
    """The commit is on disk, and waits for a standby that never comes; whoever is next must find it in the ledger."""
    life.service.start()
    with life.traffic:
        time.sleep(1.2)
        life.service.flush()
        set_standby(server, "nobody")
        until(lambda: committed_unanswered(server))
        life.kill()
    set_standby(server, "")
    life.end()


@pytest.mark.slow
def test_kills_at_any_moment_again_and_again(life: Life) -> None:
    for _ in range(6):
        life.service.start()
        with life.traffic:
            time.sleep(random.uniform(0.8, 2))
            life.kill()
    life.end()


@pytest.mark.slow
@pytest.mark.parametrize("first", ["database", "service"])
def test_a_kill_while_the_database_is_away(server: Unruly, url: str, life: Life, first: str) -> None:
    """Whichever comes back first."""
    life.service.start()
    with life.traffic:
        time.sleep(1.2)
        server.stop()
        time.sleep(3)
        life.kill()
    if first == "service":
        life.service.start()
        with life.traffic:
            until(lambda: life.service.status()["state"] == "unavailable")
            time.sleep(1.5)
            life.kill()
    server.start()
    life.end()


@pytest.mark.slow
def test_a_kill_while_what_another_left_is_being_written(server: Unruly, url: str, life: Life) -> None:
    life.service.start()
    with life.traffic:
        time.sleep(1.2)
        server.stop()
        time.sleep(2)
        life.kill()
    server.start()
    for _ in range(2):
        with held(url, "LOCK TABLE watchglass.batches IN EXCLUSIVE MODE"):
            life.service.start()
            until(lambda: a_flush_waits(server))
            life.kill()
    life.end()


def test_an_orderly_end_while_the_database_is_away_loses_nothing(server: Unruly, url: str, life: Life) -> None:
    life.service.start()
    with life.traffic:
        time.sleep(1.2)
        server.stop()
        time.sleep(2)
    life.service.stop()
    server.start()
    life.end()
    check(url, life.traffic)
