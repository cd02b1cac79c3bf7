"""Regular expressions that every statement passes, in the form that is right on every Python from 3.11.0 on.

Before 3.11.5 (Debian 12 has 3.11.2) a possessive repetition of a group that has a choice in it hangs or matches
something else (https://github.com/python/cpython/issues/106052).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

from watchglass.instrumentation import statements
from watchglass.redaction import sql

PATTERNS = {
    f"{module.__name__}.{name}": value
    for module in (sql, statements)
    for name, value in vars(module).items()
    if isinstance(value, re.Pattern)
}
REPEATS = (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT)
CHOICES = {codes.BRANCH, codes.MAX_REPEAT, codes.MIN_REPEAT}


def steps(parsed: Any) -> Iterator[tuple[Any, Any]]:
    """Every step of a parsed pattern, those inside others too."""
    for code, argument in parsed:
        yield code, argument
        for inner in inside(code, argument):
            yield from steps(inner)


def inside(code: Any, argument: Any) -> list[Any]:
    if code in REPEATS:
        return [argument[2]]
    if code is codes.SUBPATTERN:
        return [argument[3]]
    if code in (codes.ASSERT, codes.ASSERT_NOT):
        return [argument[1]]
    return list(argument[1]) if code is codes.BRANCH else []


def risky(pattern: re.Pattern[str]) -> bool:
    return any(
        code is codes.ATOMIC_GROUP
        or (code is codes.POSSESSIVE_REPEAT and CHOICES & {inner for inner, _ in steps(argument[2])})
        for code, argument in steps(parser.parse(pattern.pattern, pattern.flags))
    )


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_no_group_with_a_choice_is_repeated_possessively(name: str) -> None:
    assert not risky(PATTERNS[name])


def test_the_test_sees_what_it_looks_for() -> None:
    assert risky(re.compile(r"[0-9](?:\w|(?<=e)[+-])*+"))
    assert not risky(re.compile(r"[0-9]\w*+(?:(?<=e)[+-]\w*+)*"))
