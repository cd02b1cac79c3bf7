"""Real processes elect one of them; when it is killed, frozen or cut off, another takes over, and it does no more.

With PostgreSQL itself, and through a real pgbouncer that pools transactions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from support.electorate import Work, Worker, prepare, work_done
from support.pgbouncer import PgBouncer
from support.pipelines import until
from support.programs import need
from support.proxy import Proxy

Start = Callable[..., Worker]


@pytest.fixture(params=["directly", "through pgbouncer"])
def address(request: pytest.FixtureRequest, store_url: str) -> Iterator[str]:
    """Where the processes find the store."""
    prepare(store_url)
    if request.param == "directly":
        yield store_url
    else:
        with PgBouncer(need("pgbouncer", package="pgbouncer"), store_url, size=3) as pgbouncer:
            yield pgbouncer.url


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start(dsn)` starts a process of the service."""
    with ExitStack() as stack:
        yield lambda dsn: stack.enter_context(Worker(dsn, tmp_path))


def workers_since(url: str, number: int) -> set[int]:
    """Who has worked since there were so many notes."""
    return {work.pid for work in work_done(url)[number:]}


def elected(url: str, among: list[Worker]) -> Worker:
    """Whoever of these works now, once one does."""
    begun = len(work_done(url))
    pids = {worker.pid for worker in among}
    until(lambda: bool(workers_since(url, begun) & pids), 60)
    [pid] = workers_since(url, begun) & pids
    return next(worker for worker in among if worker.pid == pid)


def epochs_of(url: str, worker: Worker, number: int = 0) -> set[int]:
    """In which epochs it has worked since there were so many notes."""
    return {work.epoch for work in work_done(url)[number:] if work.pid == worker.pid}


def check(work: list[Work]) -> None:
    """All of it was done by whoever held the lease; an epoch has one holder, and they follow each other."""
    assert all(one.rightful for one in work)
    assert len({(one.pid, one.epoch) for one in work}) == len({one.epoch for one in work})
    assert all(earlier.epoch <= later.epoch for earlier, later in pairwise(work))


def test_when_the_holder_is_killed_another_takes_over(address: str, store_url: str, start: Start) -> None:
    left = [start(address) for _ in range(3)]
    for epoch in (1, 2):
        holder = elected(store_url, left)
        assert work_done(store_url)[-1].epoch == epoch
        holder.kill()
        left.remove(holder)
    assert elected(store_url, left) is left[0]
    check(work_done(store_url))


def test_a_holder_that_was_frozen_does_nothing_more_on_its_old_epoch(
    address: str, store_url: str, start: Start
) -> None:
    workers = [start(address) for _ in range(2)]
    for freeze in (Worker.freeze, Worker.freeze_at_work):
        frozen = elected(store_url, workers)
        freeze(frozen)
        held = epochs_of(store_url, frozen)
        [other] = [worker for worker in workers if worker is not frozen]
        elected(store_url, [other])
        begun = len(work_done(store_url))
        frozen.thaw()
        time.sleep(0.8)
        # On a busy machine the other may lose its lease by itself; then this one may work again, in a new epoch.
        assert not epochs_of(store_url, frozen, begun) & held
    check(work_done(store_url))


def test_a_holder_that_is_cut_off_is_replaced_and_what_it_sent_late_does_not_count(
    address: str, store_url: str, start: Start
) -> None:
    with Proxy(address) as proxy:
        holder = elected(store_url, [start(proxy.url)])
        other = start(address)
        held = epochs_of(store_url, holder)
        proxy.cut()
        elected(store_url, [other])
        begun = len(work_done(store_url))
        proxy.mend()
        time.sleep(1.5)
        assert not epochs_of(store_url, holder, begun) & held
        other.kill()
        assert elected(store_url, [holder]) is holder, "it is there to take over again"
    check(work_done(store_url))
