"""The CPU time of Watchglass's own threads is counted, each second once, and nobody else's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from watchglass.instrumentation.own_threads import OwnThreads
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import WATCHGLASS_CPU_TIME


@contextmanager
def thread(name: str, work: Callable[[], None]) -> Iterator[None]:
    """A thread that has done its work, and lives on until the block ends."""
    done, end = threading.Event(), threading.Event()

    def run() -> None:
        work()
        done.set()
        end.wait(30)

    one = threading.Thread(target=run, name=name)
    one.start()
    assert done.wait(30)
    yield
    end.set()
    one.join()


def burn() -> None:
    until = time.thread_time() + 0.15
    while time.thread_time() < until:
        pass


def counted(recorder: Recorder) -> dict[str | None, float]:
    return {state.values[0]: state.sum for state in recorder.collect() if state.meter is WATCHGLASS_CPU_TIME}


def test_each_second_is_counted_once_however_often_it_is_read() -> None:
    recorder = Recorder()
    OwnThreads(recorder)
    with thread("watchglass-export", burn), thread("somebody", burn):
        first = counted(recorder)
        assert set(first) == {"export"}
        assert 0.1 <= first["export"] < 1
        assert counted(recorder)["export"] - first["export"] <= 0.02


def test_a_thread_that_begins_anew_adds_to_what_the_last_one_used() -> None:
    recorder = Recorder()
    OwnThreads(recorder)
    for _ in range(2):
        with thread("watchglass-serve", burn):
            counted(recorder)
    assert counted(recorder)["serve"] >= 0.25


def test_without_own_threads_nothing_is_recorded() -> None:
    recorder = Recorder()
    OwnThreads(recorder)
    assert counted(recorder) == {}
