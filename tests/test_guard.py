"""An error of Watchglass is counted, logged once a minute per place, and kept from the host."""

from __future__ import annotations

import logging

import pytest

from watchglass import guard


@pytest.fixture(autouse=True)
def _as_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "strict", False)
    monkeypatch.setattr(guard, "_last_logged", {})
    guard.errors.clear()


def test_an_error_is_counted_and_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "watchglass"):
        for _ in range(3):
            with guard.protected("somewhere"):
                raise RuntimeError("broken")
        with guard.protected("elsewhere"):
            raise RuntimeError("broken too")
    assert guard.errors == {"somewhere": 3, "elsewhere": 1}
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        "watchglass failed in somewhere",
        "watchglass failed in elsewhere",
    ]


class Breaks(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise OSError("the log is full")


def test_a_handler_of_the_host_that_raises_does_not_make_it_the_hosts_error() -> None:
    handler = Breaks()
    guard.logger.addHandler(handler)
    try:
        with guard.protected("somewhere"):
            raise RuntimeError("broken")
    finally:
        guard.logger.removeHandler(handler)
    assert guard.errors == {"somewhere": 1}


def test_a_strict_guard_raises_what_it_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "strict", True)
    with pytest.raises(RuntimeError, match="broken"), guard.protected("somewhere"):
        raise RuntimeError("broken")
    assert guard.errors["somewhere"] == 1


def test_cancellation_is_not_an_error_of_ours() -> None:
    with pytest.raises(KeyboardInterrupt), guard.protected("somewhere"):
        raise KeyboardInterrupt
    assert not guard.errors


def test_own_work_is_marked_inside_the_block_only() -> None:
    assert not guard.own_work.get()
    with guard.as_own_work():
        assert guard.own_work.get()
    assert not guard.own_work.get()
