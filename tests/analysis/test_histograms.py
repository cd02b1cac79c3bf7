"""Percentiles of merged histograms are within 2.2 % of the exact value, whatever the values are."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence

import pytest

from watchglass.analysis import histograms
from watchglass.analysis.buckets import PER_DOUBLING, ZERO, index_of, merge, pack

QUANTILES = (0.0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0)
WORST = 2 ** (1 / PER_DOUBLING) - 1


def packed(values: Sequence[float]) -> bytes:
    return pack(Counter(index_of(value) for value in values))


def exact(values: Sequence[float], quantile: float) -> float:
    return sorted(values)[max(1, math.ceil(quantile * len(values) * (1 - 1e-12))) - 1]


def distributions() -> dict[str, list[float]]:
    source = random.Random(11)
    edge = 2.0 ** (-37 / PER_DOUBLING)
    return {
        "lognormal": [source.lognormvariate(-4, 1.2) for _ in range(5000)],
        "bimodal": [source.gauss(0.002, 0.0001) for _ in range(900)] + [source.gauss(0.3, 0.02) for _ in range(100)],
        "point mass on an edge": [edge] * 1000,
        "point masses on consecutive edges": [edge, edge * 2 ** (1 / PER_DOUBLING)] * 500,
        "point mass just over an edge": [math.nextafter(edge, 1)] * 400 + [edge] * 400,
        "powers of two": [2.0**k for k in range(-20, 20)],
        "single value": [0.0123],
        "two values": [0.001, 10.0],
        "zeros and values": [0.0] * 50 + [0.5] * 50,
        "zeros only": [0.0] * 7,
        "uniform inside one bucket": [1.0 + 0.0002 * k for k in range(1, 100)],
        "tiny and huge": [1e-300, 1e-9, 1.0, 1e9, 1e300],
    }


@pytest.mark.parametrize("name", distributions())
def test_a_percentile_is_within_2_2_percent_of_the_exact_one(name: str) -> None:
    values = distributions()[name]
    found = histograms.percentiles([packed(values)], QUANTILES, [min(values)], [max(values)])[0]
    for quantile, value in zip(QUANTILES, found, strict=True):
        assert value == pytest.approx(exact(values, quantile), rel=WORST + 1e-9, abs=0)


def test_real_latencies_are_about_a_tenth_of_a_percent_off() -> None:
    source = random.Random(3)
    errors = []
    for _ in range(60):
        values = [source.lognormvariate(-4, 1) for _ in range(10_000)]
        found = histograms.percentile(packed(values), 0.95, min(values), max(values))
        assert found is not None
        errors.append(abs(found / exact(values, 0.95) - 1))
    assert sorted(errors)[30] < 0.0015


def test_many_random_histograms_at_once_are_all_right() -> None:
    source = random.Random(5)
    groups = [
        [source.choice((0.0, 2.0 ** source.randint(-9, 9), source.lognormvariate(0, 3))) for _ in range(n)]
        for n in (1, 2, 3, 10, 100, 1000) * 20
    ]
    lows, highs = [min(group) for group in groups], [max(group) for group in groups]
    table = histograms.percentiles([packed(group) for group in groups], QUANTILES, lows, highs)
    for group, row in zip(groups, table, strict=True):
        for quantile, value in zip(QUANTILES, row, strict=True):
            assert value == pytest.approx(exact(group, quantile), rel=WORST + 1e-9, abs=0)


def test_merging_processes_and_intervals_changes_nothing() -> None:
    source = random.Random(8)
    values = [source.lognormvariate(-3, 2) for _ in range(3000)]
    apart = merge(packed(values[start::7]) for start in range(7))
    assert histograms.percentile(apart, 0.95) == histograms.percentile(packed(values), 0.95)


def test_the_order_of_pairs_does_not_matter_nor_does_an_index_that_is_there_twice_or_with_nothing() -> None:
    source = random.Random(9)
    groups = [packed([source.lognormvariate(0, 4) for _ in range(20)]) for _ in range(50)] + [b""]
    whole = histograms.percentiles(groups, (0.5, 0.95)).tolist()
    mixed = []
    for group in groups:
        pairs = [group[start : start + 6] for start in range(0, len(group), 6)]
        source.shuffle(pairs)
        mixed.append(b"".join([*pairs, *(pair[:2] + bytes(4) for pair in pairs)]))
    assert histograms.percentiles(mixed, (0.5, 0.95)).tolist()[:-1] == whole[:-1]
    twice = histograms.percentiles([group * 2 for group in groups], (0.5, 0.95)).tolist()
    assert all(one == pytest.approx(other, rel=WORST) for one, other in zip(twice[:-1], whole[:-1], strict=True))


def test_nothing_measured_is_no_percentile() -> None:
    assert histograms.percentile(b"", 0.95) is None
    assert histograms.percentiles([], (0.5,)).shape == (0, 1)
    table = histograms.percentiles([b"", packed([1.0]), b""], (0.5,), [None, 1.0, None], [None, 1.0, None])
    assert [math.isnan(value) for value in table[:, 0]] == [True, False, True]


def test_the_rank_is_the_nearest_whatever_a_float_makes_of_it() -> None:
    values = [2.0**k for k in range(100)]
    found = histograms.percentile(packed(values), 0.07, 1.0, 2.0**99)
    assert found == pytest.approx(2.0**6, rel=WORST)


def test_without_bounds_the_estimate_stays_in_its_bucket() -> None:
    value = 0.0371
    found = histograms.percentile(packed([value]), 0.5)
    assert found == pytest.approx(value, rel=WORST)


def test_counts_survive_more_than_32_bits() -> None:
    many = 5_000_000_000
    assert histograms.counts_over([pack({3: many}), b""], 1.0) == [many, 0]
    assert histograms.percentile(pack({3: many, 90: 1}), 0.5) == pytest.approx(2 ** (3.5 / PER_DOUBLING), rel=0.02)


@pytest.mark.parametrize("threshold", [0.25, 0.5, 1.0, 2.0, 1024.0])
def test_counting_over_a_power_of_two_is_exact(threshold: float) -> None:
    source = random.Random(4)
    values = [source.lognormvariate(0, 3) for _ in range(2000)] + [threshold] * 300 + [0.0] * 40
    assert histograms.counts_over([packed(values)], threshold) == [sum(value > threshold for value in values)]


def test_counting_over_any_threshold_is_off_by_no_more_than_its_bucket() -> None:
    source = random.Random(6)
    values = [source.lognormvariate(-1, 1) for _ in range(5000)]
    threshold = 0.3
    low, high = (sum(value > threshold * edge for value in values) for edge in (1.0219, 1 / 1.0219))
    assert low <= histograms.counts_over([packed(values)], threshold)[0] <= high


def test_all_but_zeros_lie_over_zero() -> None:
    assert histograms.counts_over([pack({ZERO: 5, -900: 2, 40: 1}), b""], 0.0) == [3, 0]


def test_what_no_float_holds_is_kept_within_the_largest_value() -> None:
    assert histograms.percentile(packed([1.0, math.inf]), 0.99, 1.0, math.inf) is not None
