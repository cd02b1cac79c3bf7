"""Values fall into the bucket that holds them, and packed histograms merge by concatenation."""

from __future__ import annotations

import math
import random

import pytest

from watchglass.analysis import buckets


def values() -> list[float]:
    source = random.Random(7)
    edges = [2.0 ** (index / buckets.PER_DOUBLING) for index in range(-900, 900, 7)]
    return [source.lognormvariate(-4, 4) for _ in range(2000)] + edges + [2.0**k for k in range(-60, 60)]


def test_a_value_lies_in_its_bucket_to_the_last_digit_of_a_float() -> None:
    for value in values():
        low, high = buckets.bounds_of(buckets.index_of(value))
        assert low * (1 - 1e-12) <= value <= high * (1 + 1e-12)


def test_a_bucket_is_at_most_2_2_percent_wide() -> None:
    for index in range(-1000, 1000):
        low, high = buckets.bounds_of(index)
        assert high / low - 1 < 0.022


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_what_has_no_logarithm_goes_to_the_zero_bucket(value: float) -> None:
    assert buckets.index_of(value) == buckets.ZERO


def test_the_ends_of_the_range_have_a_bucket() -> None:
    for value in (5e-324, 1.7e308, math.inf):
        assert -32768 < buckets.index_of(value) <= 32767


def test_packing_is_undone_by_unpacking_and_merging_is_concatenation() -> None:
    one, other = {3: 1, -7: 2, buckets.ZERO: 5}, {3: 4, 9: 2**33}
    merged = buckets.merge([buckets.pack(one), buckets.pack(other)])
    assert buckets.unpack(buckets.pack(one)) == one
    assert buckets.unpack(merged) == {3: 5, -7: 2, buckets.ZERO: 5, 9: 2**33}


def test_a_packed_pair_takes_six_bytes() -> None:
    assert len(buckets.pack({1: 1, 2: 2})) == 12
