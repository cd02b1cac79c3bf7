"""What the parameters of a statement look like: their types and sizes, never their values."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final
from uuid import UUID

MOST: Final = 100
"""Parameters of one statement whose shapes are told."""

_MOST_CHARACTERS: Final = 40
_SIZED: Final = ((str, "text"), ((bytes, bytearray, memoryview), "bytea"), ((list, tuple, set, frozenset), "list"))
_NAMED: Final = (
    (bool, "bool"),
    (int, "int"),
    (float, "float"),
    (Decimal, "numeric"),
    (datetime.datetime, "timestamp"),
    (datetime.date, "date"),
    (datetime.time, "time"),
    (datetime.timedelta, "interval"),
    (UUID, "uuid"),
    ((IPv4Address, IPv6Address), "inet"),
)


def shapes_of(arguments: Sequence[Any]) -> list[str]:
    """Of each in order: `$1 int`, `$2 text(12)` (characters), `$3 list(200)` (elements), `$4 NULL`; at most `MOST`."""
    return [f"${number} {shape_of(value)}" for number, value in enumerate(arguments[:MOST], start=1)]


def shape_of(value: Any) -> str:
    """PostgreSQL's word for the type where there is one, else the name of its class."""
    if value is None:
        return "NULL"
    for types, name in _SIZED:
        if isinstance(value, types):
            return f"{name}({len(value)})"
    return next((name for types, name in _NAMED if isinstance(value, types)), type(value).__name__[:_MOST_CHARACTERS])
