"""The SELECT that finds the rows a statement changes or locks: what can be planned of it, and what an index serves.

It is made of the statement's tree, not of its text, and is a text of its own: whoever plans it judges it as any other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watchglass.analysis import sql_reading
from watchglass.analysis.parsing import text_of

if TYPE_CHECKING:
    from sqlglot import exp


_MAY_BE = re.compile(r"\b(?:update|delete|share)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Search:
    """`text` looks for the rows by their ctid, as the statement does, so that no index answers it alone.

    `numbers` are those of the statement's parameters that are in it, in the order of its own; `written` the columns
    that the statement sets.
    """

    text: str
    numbers: tuple[int, ...]
    written: frozenset[str]

    def arguments(self, given: Sequence[Any] | None) -> tuple[Any, ...] | None:
        """Its own of the statement's arguments; None where they are not known."""
        if given is None or len(given) < max(self.numbers, default=0):
            return None
        return tuple(given[number - 1] for number in self.numbers)


def search_of(text: str) -> Search | None:
    """How an UPDATE, a DELETE or a SELECT FOR UPDATE finds its rows; None of any other, and where it takes all rows.

    Raises `ExtraMissing` without sqlglot.
    """
    tree = sql_reading.parsed(text) if _MAY_BE.search(text) else None
    select = _select_of(tree) if tree is not None else None
    if tree is None or select is None:
        return None
    for one in list(select.walk()):
        one.args.pop("locks", None)
    numbers = _renumbered(select)
    return Search(text_of(select), numbers, frozenset(_written(tree)))


def _select_of(tree: exp.Expr) -> exp.Expr | None:
    from sqlglot import exp

    if isinstance(tree, exp.Query):
        return tree if tree.find(exp.Lock) else None
    changes = isinstance(tree, exp.Update | exp.Delete) and isinstance(tree.this, exp.Table)
    return sql_reading.read(_select(tree)) if changes and tree.args.get("where") else None


def _select(tree: exp.Expr) -> str:
    table, sources = tree.this, tree.args.get("from_") or tree.args.get("from")
    named = table.args["alias"].this if table.args.get("alias") else table.this
    listed = [table, *([sources.this] if sources else []), *(tree.args.get("using") or ())]
    made = tree.args.get("with_") or tree.args.get("with")
    parts = "SELECT", f"{text_of(named)}.ctid", "FROM", ", ".join(map(text_of, listed)), text_of(tree.args["where"])
    return " ".join([text_of(made), *parts] if made else parts)


def _renumbered(select: exp.Expr) -> tuple[int, ...]:
    """Number its parameters from 1 on, for PostgreSQL does not know the type of one that is left out."""
    from sqlglot import exp

    found = [one for one in select.find_all(exp.Parameter) if str(one.this.this).isdigit()]
    numbers = sorted({int(one.this.this) for one in found})
    for one in found:
        one.set("this", exp.Literal.number(numbers.index(int(one.this.this)) + 1))
    return tuple(numbers)


def _written(tree: exp.Expr) -> list[str]:
    """The columns on the left of SET."""
    from sqlglot import exp

    if not isinstance(tree, exp.Update):
        return []
    left = [one.this for one in tree.expressions if isinstance(one, exp.EQ)]
    return [sql_reading.names(column.this) for one in left for column in one.find_all(exp.Column)]
