"""Counts by bucket are exact, whatever the threads do, wherever the buckets are, and take little memory."""

from __future__ import annotations

import random
import threading
import tracemalloc
from collections import Counter

import pytest

from watchglass.analysis.buckets import ZERO
from watchglass.instrumentation.counts import WIDEST, Counts
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION as DURATION


def counted(*indexes: int) -> Counts:
    counts = Counts()
    for index in indexes:
        counts.add(index)
    return counts


def test_it_counts_by_index() -> None:
    source = random.Random(5)
    indexes = [source.randrange(-300, 200) for _ in range(5_000)]
    counts = counted(*indexes)
    assert counts.buckets == Counter(indexes)
    assert counts.taken() == Counter(indexes)
    assert counts.total() == counts.taken().total() == 5_000
    assert {index: counts.taken().get(index, 0) for index in range(-310, 210)} == {
        index: indexes.count(index) for index in range(-310, 210)
    }


def test_what_was_taken_stays_as_it_was() -> None:
    counts = counted(1, 2, 2, ZERO)
    taken = counts.taken()
    counts.add(2)
    counts.add(-40)
    counts.add(ZERO)
    assert taken == {1: 1, 2: 2, ZERO: 1}
    assert len(taken) == 3
    assert 3 not in taken


@pytest.mark.parametrize("count", [255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**40])
def test_a_bucket_takes_as_many_as_there_are(count: int) -> None:
    counts = counted(7, 8)
    counts.add(7, count)
    counts.add(-9)
    counts.add(7, count)
    assert counts.buckets == {7: 2 * count + 1, 8: 1, -9: 1}


def test_buckets_far_from_all_others_do_not_make_the_array_wide() -> None:
    counts = counted(0, 10, ZERO, 32_767, 20_000, ZERO, -WIDEST)
    assert counts.buckets == {0: 1, 10: 1, ZERO: 2, 32_767: 1, 20_000: 1, -WIDEST: 1}
    assert len(counts.counts) <= WIDEST


def test_threads_lose_nothing_while_the_array_grows(hasty_threads: None) -> None:
    for attempt in range(5):
        counts, threads, each = Counts(), 4, 30_000

        def work(seed: int, counts: Counts = counts, each: int = each) -> None:
            source = random.Random(seed)
            for i in range(each):  # ever further to both sides, and some bucket over 16 bits
                reach = 1 + i // 40
                counts.add(source.randrange(-reach, reach) if i % 2 else 3)
                counts.add(3, 7)

        running = [threading.Thread(target=work, args=(10 * attempt + number,)) for number in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        assert counts.total() == threads * each * 8


def test_a_typical_endpoint_takes_less_than_two_kilobytes() -> None:
    source, endpoints = random.Random(9), 200
    durations = [
        source.lognormvariate(-7, 0.4) if source.random() < 0.8 else source.lognormvariate(-3, 0.5)
        for _ in range(2_000)
    ]
    tracemalloc.start()
    try:
        recorder, before = Recorder(), tracemalloc.get_traced_memory()[0]
        for number in range(endpoints):
            record = recorder.histogram(DURATION, ("GET", f"/things/{number}/{{item}}", "200", None, "http")).record
            for duration in durations:
                record(duration)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken / endpoints < 2_000
