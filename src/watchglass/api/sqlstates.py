"""What an SQLSTATE means, in a few words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def meaning(error: str) -> str | None:
    """57014 is "query canceled", by the name of asyncpg's exception; None for what is no SQLSTATE, or not known."""
    return _meanings().get(error)


@cache
def _meanings() -> Mapping[str, str]:
    """https://www.postgresql.org/docs/current/errcodes-appendix.html, as asyncpg's exceptions are named."""
    from asyncpg import exceptions

    found: dict[str, str] = {}
    for name in exceptions.__all__:
        kind = getattr(exceptions, name)
        code = vars(kind).get("sqlstate")
        if isinstance(code, str):
            words = _CAPITAL.split(name)
            found[code] = " ".join(words[:-1] if len(words) > 2 and words[-1] == "Error" else words).lower()
    return found
