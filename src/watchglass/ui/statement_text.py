"""A statement laid out for reading: a line for each clause, key words told from names. Only white space is changed."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

SHORT = 60
"""Signs up to which a statement stays on its line."""

STEP = 2

_TOKENS = re.compile(
    r"""(?P<space>\s+)"""
    r"""|(?P<kept>"(?:[^"]|"")*"?|'(?:[^']|'')*'?|--[^\n]*|/\*.*?(?:\*/|\Z)|\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z))"""
    r"""|(?P<word>[A-Za-z_][\w$]*)|(?P<sign>.)""",
    re.S,
)
_JOINS = frozenset({"LEFT", "RIGHT", "FULL", "INNER", "CROSS", "NATURAL", "JOIN"})
_BEFORE_JOIN = _JOINS - {"JOIN"} | {"OUTER"}
_LINKS = frozenset({"AND", "OR"})
_CLAUSES = frozenset(
    re.findall(
        r"\w+",
        "SELECT FROM WHERE GROUP HAVING ORDER LIMIT OFFSET FETCH WINDOW UNION INTERSECT EXCEPT VALUES SET RETURNING",
    )
)
_OTHERS = re.findall(
    r"\w+",
    """
    INSERT INTO UPDATE DELETE WITH RECURSIVE AS ON USING BY DISTINCT ALL ANY SOME IN EXISTS BETWEEN LIKE ILIKE IS NOT
    NULL TRUE FALSE CASE WHEN THEN ELSE END ASC DESC NULLS FIRST LAST OUTER LATERAL FOR SHARE CONFLICT DO NOTHING OVER
    PARTITION FILTER WITHIN ROWS ONLY CAST MATERIALIZED DEFAULT ARRAY TABLESAMPLE
    """,
)
_WORDS = _CLAUSES.union(_JOINS, _LINKS, _OTHERS)
_NOT_AFTER = {
    "SELECT": ("(",),
    "FROM": ("DISTINCT", "DELETE"),
    "SET": ("UPDATE",),
    "GROUP": ("WITHIN",),
}
"""Words before which the key word begins no clause: IS DISTINCT FROM, DELETE FROM, WITHIN GROUP."""


class Piece(NamedTuple):
    """A part of the text; `kind` is word for a key word, else empty."""

    text: str
    kind: str = ""


def laid_out(text: str) -> list[Piece]:
    """The text in pieces. Where whoever wrote it broke its lines, these stay; else each clause has its line."""
    whole = textwrap.dedent(text.strip("\n")).strip()
    if "\n" in whole or len(whole) <= SHORT:
        return [_piece(kind, token) for kind, token in _tokens(whole)]
    layout, tokens = _Layout(), list(_tokens(whole))
    for at, (kind, token) in enumerate(tokens):
        layout.take(kind, token, next((text.upper() for kind, text in tokens[at + 1 : at + 3] if kind != "space"), ""))
    return layout.pieces


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    for found in _TOKENS.finditer(text):
        kind = "kept" if found["kept"] is not None else str(found.lastgroup)
        yield kind, found[0]


def _piece(kind: str, token: str) -> Piece:
    return Piece(token, "word" if kind == "word" and token.upper() in _WORDS else "")


@dataclass(slots=True)
class _Layout:
    """What was laid out so far. `queries` says of each open parenthesis whether a query stands in it."""

    pieces: list[Piece] = field(default_factory=list)
    queries: list[bool] = field(default_factory=list)
    before: str = ""
    between: bool = False

    def take(self, kind: str, token: str, after: str) -> None:
        """The next token, and the one after it."""
        upper = token.upper() if kind == "word" else token
        if kind == "space":
            token = " "
        elif self._begins(upper, after):
            self._break(STEP if upper in _LINKS else 0)
        self._note(kind, upper)
        if not (kind == "space" and self.pieces and self.pieces[-1].text[-1:] in ("\n", " ")):
            self.pieces.append(_piece(kind, token))

    def _begins(self, upper: str, after: str) -> bool:
        """Whether a line begins with the word."""
        if self.queries and not self.queries[-1]:
            return False
        if upper in _LINKS:
            return not (upper == "AND" and self.between)
        if upper in _JOINS:
            return self.before not in _BEFORE_JOIN and after != "("
        if upper == "ON":
            return after == "CONFLICT"
        return upper in _CLAUSES and self.before not in _NOT_AFTER.get(upper, ())

    def _note(self, kind: str, upper: str) -> None:
        if kind == "space":
            return
        if self.before == "(":
            self.queries[-1] = upper in ("SELECT", "WITH", "VALUES")
        if upper == "(":
            self.queries.append(False)
        elif upper == ")" and self.queries:
            self.queries.pop()
        if upper == "BETWEEN" or (upper == "AND" and self.between):
            self.between = upper == "BETWEEN"
        self.before = upper

    def _break(self, more: int) -> None:
        while self.pieces and not self.pieces[-1].text.strip():
            self.pieces.pop()
        if self.pieces:
            depth = sum(self.queries) * 2 * STEP + more
            self.pieces.append(Piece("\n" + " " * depth))
