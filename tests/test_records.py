"""A series has the same identity wherever it is made."""

from __future__ import annotations

from watchglass.records import Series


def test_the_identity_of_a_series_is_the_same_in_every_process() -> None:
    series = Series("http.server.request.duration", "histogram", "s", (("http.route", "/a"),))
    assert series.id == 7466512519482812723


def test_series_that_differ_have_different_identities() -> None:
    first = Series("a", "counter", "1", (("x", "1"), ("y", "2")))
    for other in (
        Series("b", "counter", "1", (("x", "1"), ("y", "2"))),
        Series("a", "gauge", "1", (("x", "1"), ("y", "2"))),
        Series("a", "counter", "1", (("x", "12"), ("y", ""))),
        Series("a", "counter", "1", (("x", "\ud800"),)),
    ):
        assert other.id != first.id
