"""A queue never grows beyond its bounds, never waits, and counts what it drops."""

from __future__ import annotations

import threading
import time

from watchglass.exporters.logs import log_queue
from watchglass.exporters.queue import Queue
from watchglass.exporters.traces import trace_queue
from watchglass.records import LogRecord, SpanRecord, Trace


def numbers(most: int = 5, most_bytes: int = 1000) -> Queue[int]:
    return Queue(most, most_bytes, lambda _: 10)


def test_records_come_out_in_order() -> None:
    queue = numbers()
    for number in range(5):
        queue.put(number)
    assert (queue.take(2), queue.take(10), queue.take(10), queue.dropped) == ([0, 1], [2, 3, 4], [], 0)


def test_the_oldest_goes_first_and_is_counted() -> None:
    queue = numbers()
    for number in range(8):
        queue.put(number)
    assert (len(queue), queue.dropped, queue.take(10)) == (5, 3, [3, 4, 5, 6, 7])


def test_bytes_are_bounded_too() -> None:
    queue = numbers(most=100, most_bytes=35)
    for number in range(8):
        queue.put(number)
    assert (len(queue), queue.dropped) == (3, 5)
    queue.take(3)
    queue.put(9)
    assert len(queue) == 1


def test_a_record_larger_than_all_is_kept_alone() -> None:
    queue = Queue[int](5, 5, lambda _: 10)
    queue.put(1)
    queue.put(2)
    assert (queue.take(5), queue.dropped) == ([2], 1)


def test_long_lines_and_large_traces_weigh_more() -> None:
    logs, traces = log_queue(20_000), trace_queue(20_000)
    for _ in range(600):
        logs.put(LogRecord(time.time_ns(), 9, "INFO", "l", "x" * 64_000, {}))
    assert len(logs) < 600
    assert logs.dropped + len(logs) == 600
    root = SpanRecord(1, 1, None, "GET /", "server", 0)
    for _ in range(1000):
        traces.put(Trace(root, [root] * 100, "slow"))
    assert len(traces) < 300


def test_nothing_is_lost_or_counted_twice_between_threads() -> None:
    queue = numbers(most=100, most_bytes=10_000)
    taken: list[int] = []
    done = threading.Event()

    def put(start: int) -> None:
        for number in range(start, start + 20_000):
            queue.put(number)

    def take() -> None:
        while not done.is_set():
            taken.extend(queue.take(50))

    taker = threading.Thread(target=take)
    taker.start()
    putters = [threading.Thread(target=put, args=(100_000 * number,)) for number in range(4)]
    for putter in putters:
        putter.start()
    for putter in putters:
        putter.join()
    done.set()
    taker.join()
    taken.extend(queue.take(1_000))
    assert len(taken) + queue.dropped == 80_000
    assert len(set(taken)) == len(taken)
    assert queue._bytes == 0
