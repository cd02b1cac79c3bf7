"""What the patterns of LIKE look like, without what they look for: whether an index serves them depends on that alone.

A statement's shape has no literals, and a parameter has no value where a plan is made for any.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from watchglass.analysis import parsing, sql_reading

if TYPE_CHECKING:
    from sqlglot import exp

_LIKE = re.compile(r"\bi?like\b", re.IGNORECASE)
_KEPT = re.compile(r"[%_]|(?:\\.|[^%_])+", re.DOTALL)
_TRIGRAMS = re.compile(r"[^\W_]{3}")
"""Letters and digits that come one after the other; nothing else makes trigrams that are sure to be in the text."""

_ARRAY = re.compile(r'\{([^{}"\\]*)\}')
_MOST = 20
_MOST_CHARACTERS = 2_000
_LONGEST, _SHORTEST = 4, 2
"""Characters of each part that are told: trigrams need three. Of a part that has none no more than two."""


def patterns_of(text: str, arguments: Sequence[Any] | None) -> list[str]:
    """Of each LIKE of a statement as it was sent: `%xxxx%`, and of LIKE ANY `{%xxxx%,%xx%}`, one for each element.

    Empty where it is not known, or there are too many.

    Raises `ExtraMissing` without sqlglot.
    """
    tree = sql_reading.read(text) if _LIKE.search(text) else None
    found = [_shape_of(node.expression, arguments or ()) for node in _likes(tree)] if tree else []
    return found if len(found) <= _MOST else []


def with_patterns(text: str, patterns: Sequence[str]) -> str:
    """A statement's text with these in place of what is not known of its patterns; as it was where they do not fit."""
    tree = sql_reading.read(text) if any(patterns) else None
    likes = _likes(tree) if tree else []
    if tree is None or len(likes) != len(patterns):
        return text
    from sqlglot import exp

    for node, pattern in zip(likes, patterns, strict=True):
        if isinstance(node.expression, exp.Any):
            if (elements := _elements(pattern)) is not None:
                node.set("expression", exp.Any(this=exp.Paren(this=exp.array(*map(exp.Literal.string, elements)))))
        elif pattern and not node.expression.is_string:
            node.set("expression", exp.Literal.string(pattern))
    known = parsing.text_of(tree)
    return known if len(known) <= sql_reading.MOST_CHARACTERS else text


def listed(node: exp.Any, arguments: Sequence[Any] = ()) -> list[str] | None:
    """The patterns of LIKE ANY (array), those that are NULL left out; None where one is not known."""
    from sqlglot import exp

    inner = node.this.unnest()
    while isinstance(inner, exp.Cast):
        inner = inner.this.unnest()
    if isinstance(inner, exp.Array):
        said = [_said(one, arguments) for one in inner.expressions]
        return said if all(said) else None
    if isinstance(inner, exp.Parameter):
        value = _argument(inner, arguments)
        known = [one for one in value if one is not None] if isinstance(value, list | tuple | set) else None
        return known if known is not None and all(isinstance(one, str) for one in known) else None
    return _elements(str(inner.this)) if inner.is_string else None


def has_trigrams(pattern: str) -> bool:
    """Whether an index of trigrams finds less by this pattern than all there is."""
    return any(_TRIGRAMS.search(part) for part in _KEPT.findall(pattern))


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
    if isinstance(node, exp.Parameter):
        value = _argument(node, arguments)
        return value if isinstance(value, str) else ""
    return str(node.this) if node.is_string else ""


def _argument(node: exp.Parameter, arguments: Sequence[Any]) -> Any:
    number = int(node.this.this) if str(node.this.this).isdigit() else 0
    return arguments[number - 1] if 0 < number <= len(arguments) else None


def _elements(array: str) -> list[str] | None:
    """Of a literal of an array that needs no quotes."""
    found = _ARRAY.fullmatch(array.strip())
    if not found:
        return None
    return [one.strip() for one in found[1].split(",") if one.strip().upper() != "NULL"] if found[1].strip() else []


def _shape_of(node: exp.Expr, arguments: Sequence[Any]) -> str:
    from sqlglot import exp

    if not isinstance(node, exp.Any):
        return _shape(_said(node, arguments))
    found = listed(node, arguments)
    shape = "{" + ",".join(map(_shape, found)) + "}" if found is not None else ""
    return shape if len(shape) <= _MOST_CHARACTERS else ""


def _shape(pattern: str) -> str:
    return "".join(part if part in ("%", "_") else _part(part) for part in _KEPT.findall(pattern))[:100]


def _part(part: str) -> str:
    return "x" * min(_LONGEST if _TRIGRAMS.search(part) else _SHORTEST, len(part))
