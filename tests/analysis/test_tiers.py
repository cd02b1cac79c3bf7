"""A window is covered once, without a gap, from the coarsest rows that fit it."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from math import inf

import pytest

from watchglass.analysis.tiers import DAY, HOUR, MINUTE, TEN_SECONDS, Piece, Tier, resolution, stitch
from watchglass.analysis.windows import Window

NOW = 1_700_000_000 // DAY * DAY + 13 * HOUR + 47 * MINUTE + 23.0
TIERS = [
    Tier(DAY, NOW // DAY * DAY - 400 * DAY, NOW // DAY * DAY),
    Tier(HOUR, NOW // DAY * DAY - 35 * DAY, NOW // HOUR * HOUR),
    Tier(MINUTE, NOW // DAY * DAY - 8 * DAY, NOW // 1800 * 1800),
    Tier(TEN_SECONDS, NOW // DAY * DAY - 2 * DAY, inf),
]


def test_a_short_window_is_read_from_minutes_and_its_edges_from_ten_seconds() -> None:
    window = Window(NOW - 3600, NOW)
    assert stitch(window, TIERS, 60) == [
        Piece(10, NOW - 3600, NOW - 3600 + 37),
        Piece(60, NOW - 3600 + 37, NOW // 1800 * 1800),
        Piece(10, NOW // 1800 * 1800, NOW),
    ]


def test_a_long_window_is_read_from_days_with_ever_finer_edges() -> None:
    pieces = stitch(Window(NOW - 6 * DAY, NOW), TIERS, None)
    assert [piece.width for piece in pieces] == [MINUTE, HOUR, DAY, HOUR, MINUTE, TEN_SECONDS]


def test_slots_are_not_narrower_than_their_rows() -> None:
    assert {piece.width for piece in stitch(Window(NOW - DAY, NOW), TIERS, 20)} == {TEN_SECONDS}
    assert {piece.width for piece in stitch(Window(NOW - DAY, NOW), TIERS, 1200)} == {MINUTE, TEN_SECONDS}
    assert HOUR in {piece.width for piece in stitch(Window(NOW - DAY, NOW), TIERS, 7200)}


def test_what_is_no_longer_kept_finely_is_read_from_what_there_is() -> None:
    window = Window(NOW - 20 * DAY, NOW - 15 * DAY)
    assert {piece.width for piece in stitch(window, TIERS, 600)} == {HOUR}
    assert {piece.width for piece in stitch(Window(NOW - 100 * DAY, NOW - 90 * DAY), TIERS, 600)} == {DAY}


def test_before_anything_is_rolled_up_all_comes_from_ten_seconds() -> None:
    fresh = [Tier(width, -inf, NOW // DAY * DAY) for width in (DAY, HOUR, MINUTE)] + [Tier(TEN_SECONDS)]
    window = Window(NOW // DAY * DAY + 10, NOW)
    assert stitch(window, fresh, 60) == [Piece(TEN_SECONDS, window.start, window.end)]


@pytest.mark.parametrize("step", [None, 10, 30, 60, 300, 3600, 7200, DAY])
def test_no_moment_is_read_twice_and_none_that_is_kept_is_left_out(step: int | None) -> None:
    chance = random.Random(7)
    for _ in range(500):
        start = NOW - chance.uniform(60, 2 * DAY - 13 * HOUR)
        window = Window(start, chance.uniform(start + 1, NOW))
        pieces = stitch(window, TIERS, step)
        assert pieces[0].start == window.start
        assert pieces[-1].end == window.end
        assert all(one.end == other.start for one, other in pairwise(pieces))
        assert all(piece.start < piece.end for piece in pieces)
        assert all(
            not piece.start % piece.width and not piece.end % piece.width for piece in pieces if piece.width > 10
        )
        assert all(step is None or not step % piece.width for piece in pieces)


def test_what_is_stale_is_read_from_finer_rows_until_it_is_made_again() -> None:
    late = NOW // 1800 * 1800 - 10 * 1800.0
    stale = [replace(tier, stale=((late, late + 1800),)) if tier.width > 10 else tier for tier in TIERS]
    window = Window(NOW // DAY * DAY, NOW // HOUR * HOUR)
    assert stitch(window, TIERS, HOUR) == [Piece(HOUR, window.start, window.end)]
    hour = late // HOUR * HOUR
    half = [Piece(MINUTE, hour, late), Piece(10, late, late + 1800), Piece(MINUTE, late + 1800, hour + HOUR)]
    assert stitch(window, stale, HOUR) == [
        Piece(HOUR, window.start, hour),
        *(piece for piece in half if piece.start < piece.end and piece.start >= hour and piece.end <= hour + HOUR),
        Piece(HOUR, hour + HOUR, window.end),
    ]


def test_the_resolution_is_that_of_the_oldest_part() -> None:
    kept = [(10, 2 * DAY), (60, 8 * DAY), (HOUR, 30 * DAY), (DAY, 400 * DAY)]
    assert [resolution(NOW - age * DAY, NOW, kept) for age in (0.1, 2, 3, 8, 29, 31, 500)] == [
        *(10, 10, 60, 60, HOUR, DAY, DAY)
    ]
