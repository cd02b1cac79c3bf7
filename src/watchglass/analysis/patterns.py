"""What the patterns of LIKE look like, without what they look for: whether an index serves them depends on that alone.

A statement's shape has no literals, and a parameter has no value where a plan is made for any.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from watchglass.analysis import sql_reading

if TYPE_CHECKING:
    from sqlglot import exp

_LIKE = re.compile(r"\bi?like\b", re.IGNORECASE)
_KEPT = re.compile(r"[%_]|(?:\\.|[^%_])+", re.DOTALL)
_MOST = 20
_LONGEST = 4
"""Characters of each part that are told: trigrams need three."""


def patterns_of(text: str, arguments: Sequence[Any] | None) -> list[str]:
    """Of each LIKE of a statement as it was sent: `%xxxx%`; empty where it is not known, or there are too many.

    Raises `ExtraMissing` without sqlglot.
    """
    tree = sql_reading.read(text) if _LIKE.search(text) else None
    found = [_shape(_said(node.expression, arguments or ())) for node in _likes(tree)] if tree else []
    return found if len(found) <= _MOST else []


def with_patterns(text: str, patterns: Sequence[str]) -> str:
    """A statement's text with these in place of what is not known of its patterns; as it was where they do not fit."""
    tree = sql_reading.read(text) if any(patterns) else None
    likes = _likes(tree) if tree else []
    if tree is None or len(likes) != len(patterns):
        return text
    from sqlglot import exp

    for node, pattern in zip(likes, patterns, strict=True):
        if pattern and not node.expression.is_string:
            node.set("expression", exp.Literal.string(pattern))
    return tree.sql(dialect="postgres")


def _likes(tree: exp.Expr) -> list[Any]:
    from sqlglot import exp

    return list(tree.find_all(exp.Like, exp.ILike))


def _said(node: exp.Expr, arguments: Sequence[Any]) -> str:
    """A pattern that is a literal, a parameter, or put together from those."""
    from sqlglot import exp

    node = node.unnest()
    if isinstance(node, exp.Cast):
        return _said(node.this, arguments)
    if isinstance(node, exp.DPipe):
        return _said(node.this, arguments) + _said(node.expression, arguments)
    if isinstance(node, exp.Parameter) and str(node.this.this).isdigit():
        number = int(node.this.this)
        value = arguments[number - 1] if 0 < number <= len(arguments) else None
        return value if isinstance(value, str) else ""
    return str(node.this) if node.is_string else ""


def _shape(pattern: str) -> str:
    parts = _KEPT.findall(pattern)
    return "".join(part if part in ("%", "_") else "x" * min(_LONGEST, len(part)) for part in parts)[:100]
