"""Points of a group add up to what they would have been together."""

from __future__ import annotations

import random
from itertools import pairwise
from math import isnan, nan

import numpy as np

from watchglass.analysis.buckets import pack, unpack
from watchglass.analysis.points import PAIRS, Points, add_up, concatenate, empty


def made(*rows: tuple[int, int, int, float, float, float, float, dict[int, int]]) -> Points:
    """Points of (time, series, count, sum, min, max, last, buckets)."""
    columns = list(zip(*rows, strict=True))
    packed = [pack(buckets) for buckets in columns[7]]
    whole, number = np.int64, np.float64
    return Points(
        np.array(columns[0], whole),
        np.array(columns[1], whole),
        np.ones(len(rows), whole),
        np.array(columns[2], whole),
        *(np.array(column, number) for column in columns[3:7]),
        np.array([len(one) // 6 for one in packed], whole),
        np.frombuffer(b"".join(packed), PAIRS),
    )


def histograms(points: Points) -> list[dict[int, int]]:
    bounds = points.bounds.tolist()
    return [unpack(points.pairs[a:b].tobytes()) for a, b in pairwise(bounds)]


def test_each_group_has_the_sum_of_its_points_in_order() -> None:
    points = made(
        (30, 1, 2, 3.0, 0.5, 2.5, nan, {5: 1, -7: 1}),
        (10, 2, 1, 1.0, 1.0, 1.0, nan, {0: 1}),
        (20, 1, 1, 9.0, 9.0, 9.0, nan, {5: 1}),
    )
    groups, added = add_up(points, np.array([8, 3, 8]))
    assert groups.tolist() == [3, 8]
    assert (added.count.tolist(), added.sum.tolist()) == ([1, 3], [1.0, 12.0])
    assert (added.min.tolist(), added.max.tolist()) == ([1.0, 0.5], [1.0, 9.0])
    assert added.time.tolist() == [10, 20]
    assert histograms(added) == [{0: 1}, {5: 2, -7: 1}]


def test_the_last_sample_is_that_of_the_latest_time_and_what_is_absent_stays_so() -> None:
    points = made((30, 1, 1, 7, 7, 7, 7.0, {}), (10, 1, 1, 5, 5, 5, 5.0, {}), (40, 2, 1, 1, nan, nan, nan, {}))
    _, added = add_up(points, np.array([0, 0, 1]))
    assert added.last[0] == 7.0
    assert all(isnan(value) for value in (added.last[1], added.min[1], added.max[1]))


def test_counts_beyond_32_bits_are_kept() -> None:
    most = 2**32 - 1
    points = made(*[(0, 1, most, 1, 1, 1, nan, {3: most, 9: 1})] * 3)
    _, added = add_up(points, np.zeros(3, np.int64))
    assert histograms(added) == [{3: 3 * most, 9: 3}]


def test_any_points_add_up_like_dictionaries() -> None:
    chance = random.Random(3)
    rows, groups = [], []
    for _ in range(400):
        buckets = {chance.randint(-32768, 32767): chance.randint(1, 9) for _ in range(chance.randint(0, 6))}
        rows.append((chance.randint(0, 99), 1, sum(buckets.values()), 1.0, 1.0, 1.0, nan, buckets))
        groups.append(chance.randint(0, 20))
    expected: dict[int, dict[int, int]] = {}
    for row, group in zip(rows, groups, strict=True):
        known = expected.setdefault(group, {})
        for index, count in row[7].items():
            known[index] = known.get(index, 0) + count
    found, added = add_up(made(*rows), np.array(groups))
    assert dict(zip(found.tolist(), histograms(added), strict=True)) == expected
    assert added.count.sum() == sum(row[2] for row in rows)


def test_nothing_adds_up_to_nothing() -> None:
    groups, added = add_up(empty(), np.zeros(0, np.int64))
    assert len(groups) == len(added) == len(concatenate([])) == len(concatenate([empty(), empty()])) == 0


def test_points_are_chosen_with_their_pairs() -> None:
    points = made((1, 1, 1, 1, 1, 1, nan, {1: 1, 2: 1}), (2, 1, 1, 1, 1, 1, nan, {}), (3, 1, 1, 1, 1, 1, nan, {4: 4}))
    assert histograms(points.where(points.time != 1)) == [{}, {4: 4}]
    assert histograms(concatenate([points, points]))[3:] == histograms(points)
