"""Shapes of statements, as the client side keeps them, made texts that PostgreSQL can plan."""

from __future__ import annotations

import re

_QUOTED_OR_MARK = re.compile(r'"(?:[^"]|"")*"|\$([0-9]+)|(?<![?|&@#!-])\?(?![?|&#!-])')


def as_statement(shape: str) -> str | None:
    """The shape with a parameter for each literal that was left out of it; None where its end is cut off.

    What a `?` stood for is any value, so that it can be planned for any only. One that is an operator of jsonb becomes
    a parameter too: PostgreSQL does not take that for a statement.
    """
    if shape.endswith("…"):
        return None
    number = max((int(found[1][:9]) for found in _QUOTED_OR_MARK.finditer(shape) if found[1]), default=0)

    def numbered(found: re.Match[str]) -> str:
        nonlocal number
        if found[0] != "?":
            return found[0]
        number += 1
        return f"${number}"

    return _QUOTED_OR_MARK.sub(numbered, shape)
