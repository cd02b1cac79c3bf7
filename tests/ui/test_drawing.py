"""Small drawings say the truth: gaps are gaps, a calm line is calm, a pointer stands where its value is."""

from __future__ import annotations

import re

from watchglass.ui import drawing


def heights(path: str) -> list[float]:
    return [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)]


def test_a_sparkline_rises_to_the_right_top_and_marks_its_newest_point() -> None:
    spark = drawing.spark([1, 2, 3])
    assert spark is not None
    first, middle, last = heights(spark.line)
    assert first > middle > last
    assert spark.now == f"M100 {last:g}h0"


def test_what_was_not_measured_is_a_gap() -> None:
    spark = drawing.spark([1, None, 2, 3])
    assert spark is not None
    assert spark.line.count("M") == 2


def test_the_newest_point_is_the_newest_value_that_is_known() -> None:
    spark = drawing.spark([1, 2, None])
    assert spark is not None
    assert spark.now.startswith("M50 ")


def test_what_hardly_moves_is_a_calm_line() -> None:
    spark = drawing.spark([100, 101, 99, 100])
    assert spark is not None
    low, high = min(heights(spark.line)), max(heights(spark.line))
    assert high - low < drawing.HEIGHT / 10


def test_zero_throughout_and_negative_values_are_drawn() -> None:
    assert drawing.spark([0, 0, 0]) is not None
    assert drawing.spark([-2, -1]) is not None


def test_one_value_makes_no_line() -> None:
    assert drawing.spark([1]) is None
    assert drawing.spark([None, 1, None]) is None
    assert drawing.spark(None) is None


def test_the_normal_range_of_a_load_ends_at_its_first_limit() -> None:
    gauge = drawing.gauge(0.5, (0.8, 0.95), below=False, full=1.0, label="CPU")
    assert (gauge.low, gauge.width, gauge.pointer, gauge.limits) == (0, 80, 50, (80, 95))


def test_the_normal_range_of_a_hit_rate_begins_at_its_limit() -> None:
    gauge = drawing.gauge(0.9, (0.7,), below=True, full=1.0, label="Hit rate")
    assert (gauge.low, gauge.high, gauge.pointer) == (70, 100, 90)


def test_a_pointer_never_leaves_its_scale() -> None:
    assert drawing.gauge(3.0, (0.05,), below=False, full=0.1, label="Errors").pointer == 100
    assert drawing.gauge(-1.0, (0.05,), below=False, full=0.1, label="Errors").pointer == 0


def test_a_stacked_bar_is_full_whatever_is_rounded_and_leaves_out_what_cannot_be_seen() -> None:
    thirds = drawing.stacked([("a", 1 / 3), ("b", 1 / 3), ("c", 1 / 3)])
    assert [one.start for one in thirds] == [0, 33.3, 66.7]
    assert thirds[-1].start + thirds[-1].width == 100
    assert [one.name for one in drawing.stacked([("a", 0.9999), ("b", 0.0001)])] == ["a"]
