"""Every error is counted in its group, which is the same after a deploy that moved the code."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from watchglass.instrumentation import error_groups
from watchglass.instrumentation.error_groups import FRESH, IDLE, MOST, OVERFLOW, ErrorGroups, frame_of
from watchglass.instrumentation.exceptions import exception_text
from watchglass.records import ErrorCount


def error_in(source: str, call: str, module: str = "shop.orders") -> BaseException:
    namespace: dict[str, Any] = {"__name__": module}
    exec(compile(source, "/srv/releases/7/shop/orders.py", "exec"), namespace)
    try:
        eval(call, namespace)
    except Exception as error:
        return error
    raise AssertionError


PLACE = "def place(order):\n    raise ValueError('no such order %s' % order)"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def only(groups: ErrorGroups) -> ErrorCount:
    [taken] = groups.take()
    return taken


def test_a_group_is_the_type_and_the_function_wherever_its_line_is() -> None:
    groups = ErrorGroups()
    first = groups.of_exception(error_in(PLACE, "place(1)"), "ValueError")
    moved = groups.of_exception(error_in("# a comment\n\n" + PLACE, "place(2)"), "ValueError")
    other = groups.of_exception(error_in(PLACE, "place(1)"), "shop.orders.NoSuchOrder")
    assert first == moved != other
    assert len(first) == 16
    assert {(one.error_type, one.frame, one.count) for one in groups.take()} == {
        ("ValueError", "shop.orders:place", 2),
        ("shop.orders.NoSuchOrder", "shop.orders:place", 1),
    }
    assert groups.total == 3


def test_the_frame_is_the_innermost_of_the_applications_own() -> None:
    assert frame_of(error_in("import json\ndef read():\n    json.loads('{')", "read()")) == "shop.orders:read"
    assert frame_of(error_in(PLACE, "place(1)", "__main__")) == "orders:place"
    assert frame_of(ValueError("never raised")) == ""


async def test_compiled_code_of_a_library_is_not_the_applications_own(database_url: str) -> None:
    async def place() -> None:
        await connection.fetchval("SELECT 1 / $1::integer", 0)

    connection = await asyncpg.connect(database_url)
    try:
        with pytest.raises(asyncpg.DivisionByZeroError) as raised:
            await place()
    finally:
        await connection.close()
    assert frame_of(raised.value).endswith(".<locals>.place")


def test_a_group_of_one_exception_is_that_one() -> None:
    inner = error_in(PLACE, "place(1)")
    try:
        raise ExceptionGroup("tasks", [inner])
    except ExceptionGroup as wrapped:
        groups = ErrorGroups()
        assert groups.of_exception(wrapped, "ValueError") == groups.of_exception(inner, "ValueError")


def test_counts_are_told_once_and_the_text_when_it_is_new() -> None:
    clock = Clock()
    groups = ErrorGroups(stack=exception_text, clock=clock)
    for _ in range(3):
        groups.of_exception(error_in(PLACE, "place('a')"), "ValueError")
        clock.now += 1
    first = only(groups)
    assert (first.count, first.first_seen, first.last_seen) == (3, 1_000_000.0, 1_000_002.0)
    assert first.message == "no such order a"
    assert 'orders.py", line 2, in place' in first.stack
    assert groups.take() == []
    groups.of_exception(error_in(PLACE, "place('b')"), "ValueError")
    again = only(groups)
    assert (again.count, again.message, again.stack) == (1, "", "")
    assert again.first_seen == again.last_seen == 1_000_003.0
    clock.now += FRESH
    groups.of_exception(error_in(PLACE, "place('c')"), "ValueError")
    assert only(groups).message == "no such order c"


def test_nothing_secret_is_in_what_is_told() -> None:
    groups = ErrorGroups(b"key", exception_text)
    groups.of_exception(error_in(PLACE, "place('Bearer abcdefghijklmnop1234567890')"), "ValueError")
    told = only(groups)
    assert "abcdefghijklmnop" not in told.message + told.stack


def test_an_exception_that_cannot_be_shown_is_counted() -> None:
    source = "class Odd(Exception):\n    def __str__(self):\n        raise RuntimeError\ndef odd():\n    raise Odd"
    groups = ErrorGroups()
    groups.of_exception(error_in(source, "odd()"), "Odd")
    told = only(groups)
    assert (told.count, told.message) == (1, "")


def test_groups_are_bounded_and_the_rest_is_counted() -> None:
    groups = ErrorGroups()
    for number in range(MOST + 50):
        groups.of_status("500", f"GET /{number}")
    taken = {one.frame: one.count for one in groups.take()}
    assert len(taken) == MOST + 1
    assert taken[""] == 50
    assert {one.error_type for one in groups.take()} == set()
    groups.of_status("500", "GET /one-more")
    assert only(groups).error_type == OVERFLOW


def test_idle_groups_make_room_and_lose_nothing() -> None:
    clock = Clock()
    groups = ErrorGroups(stack=exception_text, clock=clock)
    groups.of_status("500", "GET /old")
    held = groups._groups[next(iter(groups._groups))]
    groups.take()
    clock.now += IDLE + 1
    groups.take()
    held.count += 1  # by a thread that had found it before
    assert only(groups).count == 1
    assert len(groups._groups) == 0


def test_a_group_that_comes_back_is_not_the_one_that_left() -> None:
    clock = Clock()
    groups = ErrorGroups(stack=exception_text, clock=clock)
    told = []
    for pause in (0.0, IDLE + 1, 1.0, 1.0):
        clock.now += pause
        if pause != IDLE + 1:
            groups.of_exception(error_in(PLACE, "place(1)"), "ValueError")
        told += [(one.count, bool(one.stack)) for one in groups.take()]
    assert told == [(1, True), (1, True), (1, False)], "its stack is put into words once a minute at most"


def test_a_failure_of_ours_costs_nothing_but_the_count(monkeypatch: Any) -> None:
    monkeypatch.setattr(error_groups.guard, "strict", False)
    assert error_groups.counted(None, ValueError(), "ValueError") is None  # type: ignore[arg-type]
