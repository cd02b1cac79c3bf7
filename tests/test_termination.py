"""What is told that the process ends hears it before the server has waited for anything, and the server as before."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from watchglass import guard, termination


class Told:
    def __init__(self) -> None:
        self.times = 0

    def hear(self) -> None:
        self.times += 1

    def fail(self) -> None:
        raise RuntimeError("no")


@pytest.fixture
def server() -> Iterator[list[int]]:
    """The signals that a server's own handler has had."""
    heard: list[int] = []
    before = {number: signal.signal(number, lambda n, _: heard.append(n)) for number in termination.SIGNALS}
    yield heard
    termination.forget()
    for number, handler in before.items():
        signal.signal(number, handler)


def test_both_hear_the_signal(server: list[int]) -> None:
    told = Told()
    termination.tell(told.hear)
    termination.watch()
    termination.watch()
    signal.raise_signal(signal.SIGTERM)
    assert (told.times, server) == (1, [signal.SIGTERM])


def test_what_fails_or_is_gone_keeps_nobody_from_hearing_it(server: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "strict", False)
    told, gone = Told(), Told()
    for method in (gone.hear, told.fail, told.hear):
        termination.tell(method)
    del gone, method
    termination.watch()
    signal.raise_signal(signal.SIGINT)
    assert (told.times, server) == (1, [signal.SIGINT])


def test_handlers_are_as_they_were_afterwards(server: list[int]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    termination.watch()
    assert signal.getsignal(signal.SIGTERM) is not before
    termination.forget()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_thread_changes_no_handler(server: list[int]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=termination.watch)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before
