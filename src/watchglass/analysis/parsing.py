"""Texts parsed by sqlglot, for which two things that PostgreSQL reads otherwise are said more plainly first.

https://www.postgresql.org/docs/current/sql-syntax-lexical.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlglot import exp

_MARK: Final = "\ue000"
"""At the end of a quoted name it makes it none that sqlglot knows; no name has it."""

_SAID_OTHERWISE: Final = re.compile(
    r"""(?<![\w$])[eE]'(?:\\.|[^'\\]|'')*(?:'|\Z)|'(?:[^']|'')*(?:'|\Z)|--[^\n]*|/\*.*?(?:\*/|\Z)"""
    r"""|(?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)"""
    r"""|"(?P<name>(?:[^"]|"")*)(?:"|\Z)(?P<called>\s*\()?|(?<![\w$])(?P<parameter>\$[0-9]+)(?=[^\s\w$])""",
    re.DOTALL,
)
"""Strings and comments, which stay; quoted names, and whether something is called by them; parameters without space."""


def statements(text: str) -> list[exp.Expr | None]:
    """The statements of a text as trees, None for one that is empty.

    A function whose quoted name has capitals is never taken for PostgreSQL's own ("Lower" is not lower), and
    parameters need no space behind them. Raises what sqlglot raises: `SqlglotError`, `ValueError`, `RecursionError`.
    """
    import sqlglot
    from sqlglot import exp

    found = sqlglot.parse(_SAID_OTHERWISE.sub(_plainly, text), read="postgres")
    for tree in filter(None, found):
        for name in tree.find_all(exp.Identifier):
            name.set("this", str(name.this).removesuffix(_MARK))
    return list(found)


def text_of(node: exp.Expr) -> str:
    """A tree as PostgreSQL reads it, names of functions as they were."""
    return node.sql(dialect="postgres", normalize_functions=False)


def _plainly(found: re.Match[str]) -> str:
    if found["parameter"]:
        return f"{found[0]} "
    name = found["name"]
    return f'"{name}{_MARK}"{found["called"]}' if found["called"] and name != name.lower() else found[0]
