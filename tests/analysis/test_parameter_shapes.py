"""Parameters are told by type and size, and by nothing of their values."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import ip_address
from uuid import uuid4

from watchglass.analysis.parameter_shapes import MOST, shapes_of


class Money:
    """A type of the application's, whose representation tells its value."""

    def __repr__(self) -> str:
        return "Money(4711)"


def test_each_is_its_type_and_its_size() -> None:
    given = (4711, "swordfish", [4711] * 200, None, True, b"swordfish", 47.11, Decimal("47.11"))
    assert shapes_of(given) == [
        *("$1 int", "$2 text(9)", "$3 list(200)", "$4 NULL", "$5 bool", "$6 bytea(9)", "$7 float", "$8 numeric")
    ]
    times = (datetime.now(UTC), date.today(), time(1), timedelta(1), uuid4(), ip_address("10.4.7.11"))
    assert [one.split()[1] for one in shapes_of(times)] == ["timestamp", "date", "time", "interval", "uuid", "inet"]


def test_a_type_of_the_applications_is_named_and_not_asked() -> None:
    assert shapes_of([Money()]) == ["$1 Money"]
    assert shapes_of([type("X" * 500, (), {})()]) == ["$1 " + "X" * 40]


def test_they_are_bounded() -> None:
    assert len(shapes_of(["swordfish"] * 30_000)) == MOST
    assert shapes_of(()) == []
