"""The others are asked at once, and one who is slow, silent or gone costs half a second at the most."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from watchglass.exporters.workers.asking import Door, ask

Open = Callable[[str], Door]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def open_door(folder: Path) -> Iterator[Open]:
    with ExitStack() as stack:

        def make(name: str) -> Door:
            door = Door(folder / name)
            stack.callback(door.close)
            return door

        yield make


def answering(door: Door, sheet: bytes, times: int = 1) -> threading.Thread:
    def serve() -> None:
        for _ in range(times):
            while not answered(door, sheet):
                time.sleep(0.001)

    def answered(door: Door, sheet: bytes) -> bool:
        asked = []
        door.answer(lambda: asked.append(1) or sheet)  # type: ignore[func-returns-value]
        return bool(asked)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_all_answers_come_back_whole_and_by_name(folder: Path, open_door: Open) -> None:
    sheets = {f"s{number}": bytes([number]) * (3_000_000 if number == 4 else 10) for number in range(8)}
    threads = [answering(open_door(name), sheet) for name, sheet in sheets.items()]
    assert ask({name: folder / name for name in sheets}, seconds=30) == sheets
    for thread in threads:
        thread.join()


def test_one_who_is_silent_is_waited_for_no_longer_than_said(folder: Path, open_door: Open) -> None:
    open_door("silent")
    thread = answering(open_door("quick"), b"here")
    began = time.monotonic()
    assert ask({"silent": folder / "silent", "quick": folder / "quick"}) == {"quick": b"here"}
    assert time.monotonic() - began >= 0.5
    thread.join()


def test_one_who_stops_in_the_middle_has_not_answered(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "half"))
        server.listen()
        threading.Timer(0.05, lambda: callers.append(server.accept()[0])).start()
        callers: list[socket.socket] = []
        threading.Timer(0.1, lambda: callers[0].send(b"half of it")).start()
        assert ask({"half": folder / "half"}) == {}
        callers[0].close()


def test_nobody_there_is_no_answer_at_once(folder: Path) -> None:
    Door(folder / "gone").abandon()
    began = time.monotonic()
    assert ask({"gone": folder / "gone", "never": folder / "never"}, seconds=30) == {}
    assert time.monotonic() - began < 10


def test_one_who_calls_and_hangs_up_harms_nothing(folder: Path, open_door: Open) -> None:
    door = open_door("door")
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(folder / "door"))
    door.answer(lambda: b"x" * 10_000_000)
    door.answer(lambda: pytest.fail("nobody calls"))
    thread = answering(door, b"here")
    assert ask({"door": folder / "door"}, seconds=30) == {"door": b"here"}
    thread.join()


def test_nobody_to_ask_is_no_answer() -> None:
    assert ask({}) == {}
