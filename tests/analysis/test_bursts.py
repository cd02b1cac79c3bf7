"""A burst is told once, when much more comes than usual."""

from __future__ import annotations

from itertools import pairwise

from watchglass.analysis.bursts import LEAST, PAUSE, Bursts


def told(bursts: Bursts, rates: list[tuple[int, float]], start: float = 0.0, total: int = 0) -> list[tuple[float, int]]:
    """What is told while so many come in each of so many seconds, looked at every five."""
    found, now, count = [], start, float(total)
    for seconds, rate in rates:
        for _ in range(seconds // 5):
            now, count = now + 5, count + 5 * rate
            number = bursts.look(now, int(count))
            if number is not None:
                found.append((now, number))
    return found


def test_a_few_are_no_burst() -> None:
    assert told(Bursts(), [(600, 0), (60, (LEAST - 2) / 60), (600, 0)]) == []


def test_many_after_a_quiet_time_are() -> None:
    [(when, number)] = told(Bursts(), [(600, 0), (60, 1)])
    assert 600 < when <= 630
    assert number >= LEAST


def test_many_as_usual_are_not() -> None:
    assert told(Bursts(), [(3600, 1)])[1:] == [], "but for the very first, before anything is usual"
    assert told(Bursts(), [(3600, 1), (300, 3)])[1:] == []
    assert len(told(Bursts(), [(3600, 1), (300, 8)])) == 2


def test_one_that_goes_on_is_told_every_ten_minutes() -> None:
    found = told(Bursts(), [(600, 0), (1500, 100)])
    assert [later[0] - one[0] for one, later in pairwise(found)] == [PAUSE] * (len(found) - 1)


def test_a_process_that_begins_with_errors_has_a_burst() -> None:
    assert len(told(Bursts(), [(60, 1)])) == 1
