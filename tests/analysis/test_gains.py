"""What was counted is counted once, whatever the server resets, forgets or leaves out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from watchglass.analysis.gains import Entry, Gains

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def read(
    gains: Gains,
    minute: float,
    *entries: tuple[str, float],
    reset: datetime = START,
    complete: bool = True,
    began: dict[str, datetime] | None = None,
) -> dict[object, float]:
    rows = [Entry(key, (began or {}).get(key), (count, count / 10)) for key, count in entries]
    found = gains.read(rows, reset=reset, now=at(minute), complete=complete)
    return {key: figures[0] for key, figures in found.items()}


def test_the_first_reading_only_begins() -> None:
    gains = Gains()
    assert read(gains, 0, ("a", 100)) == {}
    assert read(gains, 1, ("a", 105), ("b", 3)) == {"a": 5, "b": 3}
    assert read(gains, 2, ("a", 105), ("b", 4)) == {"b": 1}


def test_a_reset_of_everything_counts_from_zero() -> None:
    gains = Gains()
    read(gains, 0, ("a", 100), ("b", 10))
    assert read(gains, 1, ("a", 150), ("b", 2), reset=at(0.5)) == {"a": 150, "b": 2}
    assert read(gains, 2, ("a", 151), ("b", 2), reset=at(0.5)) == {"a": 1}


def test_one_that_was_forgotten_and_returns_counts_what_it_has() -> None:
    gains = Gains()
    read(gains, 0, ("a", 100), ("b", 1))
    assert read(gains, 1, ("a", 7), ("b", 1)) == {"a": 7}
    assert read(gains, 2, ("b", 1)) == {}
    assert read(gains, 3, ("a", 50), ("b", 1)) == {"a": 50}


def test_one_that_began_anew_is_known_by_its_date_even_if_it_has_more_than_before() -> None:
    gains = Gains()
    read(gains, 0, ("a", 10), began={"a": at(-5)})
    assert read(gains, 1, ("a", 25), began={"a": at(0.5)}) == {"a": 25}


def test_what_may_have_been_there_before_is_not_counted_at_once() -> None:
    gains = Gains()
    read(gains, 0, ("a", 10), complete=False)
    assert read(gains, 1, ("a", 11), ("old", 5000), complete=False) == {"a": 1}
    assert read(gains, 2, ("a", 11), ("old", 5001), complete=False) == {"old": 1}


def test_what_began_since_is_counted_although_not_all_is_read() -> None:
    gains = Gains()
    read(gains, 0, ("a", 10), complete=False, began={"a": at(-1)})
    assert read(gains, 1, ("a", 10), ("new", 5), complete=False, began={"a": at(-1), "new": at(0.5)}) == {"new": 5}


def test_one_that_was_left_out_for_a_while_loses_nothing() -> None:
    gains = Gains()
    read(gains, 0, ("a", 10), ("b", 1), complete=False)
    assert read(gains, 1, ("b", 1), complete=False) == {}
    assert read(gains, 2, ("a", 14), ("b", 1), complete=False) == {"a": 4}


def test_a_figure_that_moves_back_gains_nothing() -> None:
    gains = Gains()
    gains.read([Entry("a", None, (1, 5.0))], reset=START, now=at(0), complete=True)
    assert gains.read([Entry("a", None, (2, 4.0))], reset=START, now=at(1), complete=True) == {"a": (1, 0.0)}
