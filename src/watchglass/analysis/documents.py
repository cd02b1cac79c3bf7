"""Values in documents: `doc ->> 'key'`, which an index serves that is made of just that; and which keys they have.

Keys are kept where the statement's literals are not, as they are part of the index that is advised: those that read as
names which somebody gave, as columns have them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from watchglass.analysis import sql_reading
from watchglass.analysis.parsing import text_of
from watchglass.analysis.relations import Column

if TYPE_CHECKING:
    from sqlglot import exp

_ARROW: Final = re.compile(r"->>?")
_NAME: Final = re.compile(r"[A-Za-z_]{1,40}[0-9]{0,2}")
_MOST: Final = 20
_WIDTHS: Final = {"text": 32, "integer": 4, "bigint": 8, "numeric": 8, "uuid": 16, "boolean": 1}
"""Types that a value is cast to whatever the settings are, so that an index can be made of it, and their bytes."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a document: behind the column come `steps`, as `-> 'a' ->> 'b'`; it is text, or cast to `type`."""

    steps: tuple[str, ...]
    type: str = "text"

    def of(self, column: Column) -> Column:
        """As a column of which nothing is known, `quoted` as an index has it."""
        path = column.quoted
        for step in self.steps:
            path = f"({path} {step})"
        cast = path if self.type == "text" else f"({path}::{self.type})"
        return Column(column.name, cast, self.type, width=_WIDTHS[self.type], analyzed=False)


def value(node: exp.Expr) -> tuple[exp.Expr, Value] | None:
    """What a document's value is taken of, and how; None of anything else."""
    from sqlglot import exp

    node, type_ = node.unnest(), "text"
    if isinstance(node, exp.Cast):
        type_ = {"INT": "integer", "DECIMAL": "numeric"}.get(name := text_of(node.to), name.lower())
        node = node.this.unnest()
    steps: list[str] = []
    while isinstance(node, exp.JSONExtractScalar if not steps else exp.JSONExtract) and _is_arrow(node):
        key = _key(node.expression)
        if key is None:
            return None
        steps.append(f"{'->' if steps else '->>'} {text_of(exp.Literal.string(key))}")
        node = node.this.unnest()
    return (node, Value(tuple(reversed(steps)), type_)) if steps and type_ in _WIDTHS else None


def keys_of(text: str, arguments: Sequence[Any] | None) -> list[str]:
    """Of each step into a document its key, in the order of the text; empty where that is not known, or no name."""
    tree = sql_reading.read(text) if _ARROW.search(text) else None
    found = [_named(node.expression, arguments or ()) for node in _steps(tree)] if tree else []
    return found if any(found) and len(found) <= _MOST else []


def with_keys(text: str, keys: Sequence[str]) -> str:
    """A statement's text with these in place of what is not known of them; as it was where they do not fit."""
    tree = sql_reading.read(text) if any(keys) else None
    steps = _steps(tree) if tree else []
    if tree is None or len(steps) != len(keys):
        return text
    from sqlglot import exp

    for node, key in zip(steps, keys, strict=True):
        if key and _key(node.expression) is None:
            node.set("expression", exp.Literal.string(key))
    return text_of(tree)


def _steps(tree: exp.Expr) -> list[Any]:
    from sqlglot import exp

    return [node for node in tree.find_all(exp.JSONExtract, exp.JSONExtractScalar) if _is_arrow(node)]


def _is_arrow(node: exp.Expr) -> bool:
    """Not one of the functions that do the same, which an index on the operator does not serve."""
    return not text_of(node).upper().startswith("JSON_EXTRACT_PATH")


def _key(node: exp.Expr) -> str | None:
    """A key that is a literal."""
    from sqlglot import exp

    if isinstance(node, exp.JSONPath):
        steps = node.expressions
        return str(steps[1].this) if len(steps) == 2 and isinstance(steps[1], exp.JSONPathKey) else None
    return str(node.this) if node.is_string else None


def _named(node: exp.Expr, arguments: Sequence[Any]) -> str:
    from sqlglot import exp

    while isinstance(node, exp.Paren | exp.Cast):
        node = node.this
    known = _key(node)
    if isinstance(node, exp.Parameter) and str(node.this.this).isdigit():
        number = int(node.this.this)
        known = arguments[number - 1] if 0 < number <= len(arguments) else None
    return known if isinstance(known, str) and _NAME.fullmatch(known) else ""
