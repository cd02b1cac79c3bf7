"""Whether a statement may be explained at all, by its text: one SELECT that locks and writes nothing.

It is the first fence. What the names in the text are is known by the database alone, which is asked for all of them;
they are read off the text itself, so that nothing hangs on both understanding it alike.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from typing import Any, Final

from watchglass.analysis import parsing
from watchglass.errors import ExtraMissing

MOST_CHARACTERS: Final = 10_000
"""Characters of a statement that is read. It takes a third of a second on a busy machine, and the GIL with it."""

_BEGINS: Final = re.compile(r"(?:\s|\(|--[^\n]*\n|/\*(?:[^*/]|\*(?!/)|/(?!\*))*\*/)*(?:select|with)\b", re.IGNORECASE)
_ESCAPED: Final = re.compile(r"[uU]&[\"']")
_WORD: Final = re.compile(r"[A-Za-z_0-9$\x80-\U0010ffff]+")
_LOWERED: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_IDENTIFIER_BYTES: Final = 63


def refusal(text: str) -> str | None:
    """Why the text is not explained, a sentence; None where it is one SELECT.

    Raises `ExtraMissing` without the parser.
    """
    if len(text) > MOST_CHARACTERS:
        return f"It is longer than {MOST_CHARACTERS:,} characters."
    if "\x00" in text or _ESCAPED.search(text):
        return "It spells names or strings by Unicode escapes."
    if not _BEGINS.match(text):
        return "Only a SELECT is explained."
    return _refused_by_parser(text)


def reads_only(text: str) -> bool:
    """Whether it begins as a query does."""
    return _BEGINS.match(text) is not None


def words(text: str) -> list[str]:
    """Every name that the text may contain, as written and as PostgreSQL folds it; words of strings and comments too.

    Names that need quotes are not among them. PostgreSQL cuts names at 63 bytes, and so are they.
    """
    found = {word for word in _WORD.findall(text)}
    found |= {word.translate(_LOWERED) for word in found} | {word.lower() for word in found}
    return sorted(found | {_cut(word) for word in found if len(word.encode("utf-8", "replace")) > _IDENTIFIER_BYTES})


def _cut(word: str) -> str:
    return word.encode("utf-8", "replace")[:_IDENTIFIER_BYTES].decode("utf-8", "ignore")


def _refused_by_parser(text: str) -> str | None:
    if not _has_parser():
        raise ExtraMissing(feature="Plans of statements", package="sqlglot", extra="plans")
    from sqlglot.errors import SqlglotError

    try:
        statements = [statement for statement in parsing.statements(text) if statement is not None]
    except (SqlglotError, RecursionError):
        return "It is not understood by the parser that guards plans."
    if len(statements) != 1:
        return "It is more than one statement, or none."
    return _refused_tree(statements[0])


def _refused_tree(tree: Any) -> str | None:
    from sqlglot import exp

    if not isinstance(tree, exp.Select | exp.SetOperation | exp.Subquery):
        return "Only a SELECT is explained."
    for node in tree.walk():
        if isinstance(node, exp.Into):
            return "It makes a table (SELECT INTO)."
        if isinstance(node, exp.Lock):
            return "It locks rows (FOR UPDATE or FOR SHARE)."
        if isinstance(node, exp.DML | exp.DDL | exp.Command | exp.Copy) and not isinstance(node, exp.Query):
            return "It writes."
    return None


@cache
def _has_parser() -> bool:
    return find_spec("sqlglot") is not None
