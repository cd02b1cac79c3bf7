"""The shape of an SQL text: one scan by PostgreSQL's lexical rules, see docs/decisions/0002."""

from __future__ import annotations

import re
from typing import Final

SHAPE_LIMIT: Final = 2000
"""Characters of a shape."""

_SCANNED: Final = 16_384
"""Characters of a text that are looked at; what the end cuts in half is masked all the same."""

# Everything that hides a literal or a comment begins with one of these characters: the search for them is a table
# look-up a character, and what follows decides by looking back at it. No text makes the scan go back: at each place one
# alternative fits at most, and what ends a repetition fits where it stops. What begins and does not end (a string, a
# quoted name, a comment) reaches to the end of the text. Possessive are repetitions of single characters only: before
# Python 3.11.5 (Debian 12 has 3.11.2) a possessive group with a choice in it hangs (python/cpython#106052).
_NESTED = r"/\*(?:[^*/]++|\*(?!/)|/(?!\*))*(?:\*/|\Z)"
_SCAN = re.compile(
    rf"""
    (?P<first>['"$/.0-9-])
    (?: (?<=') (?: (?<=[eE]')(?<![\w$][eE]') (?: [^'\\]++ | \\[\s\S] | '' )* (?: ' | \\?\Z )
                 | (?: [^']++ | '' )* (?: ' | \Z ) )
      | (?<=") (?: [^"]++ | "" )* (?P<closed>")?
      | (?<=\$)(?<![\w$]\$) (?P<tag>(?:[^\W\d]\w*+)?)\$ (?s:.*?) (?: \$(?P=tag)\$ | \Z )
      | (?<=/)\* (?: [^*/]++ | \*(?!/) | /(?!\*) | {_NESTED} )* (?: \*/ | \Z )
      | (?<=-)- [^\n]*+
      | (?<=[0-9])(?<![\w$][0-9]) [\w.]*+ (?: (?<=[eE])[+-](?=[0-9]) [\w.]*+ )*
      | (?<=\.)(?<![\w$)\]"]\.) [0-9] \w*+ (?: (?<=[eE])[+-](?=[0-9]) \w*+ )*
    )""",
    re.VERBOSE,
)
# On what is left there is nothing to hide; these fold what varies in length.
_ITEM = r"(?:[eEbBxXnN]?\?|\$[0-9]++)(?:::\w++)?"
_LIST = re.compile(rf"\((?:(?<=\b[iI][nN] \()|(?<=\b[iI][nN]\()) ?{_ITEM}(?: ?, ?{_ITEM})* ?\)")
_ROW = r"\([^()]*+(?:\([^()]*+(?:\([^()]*+\)[^()]*+)*\)[^()]*+)*\)"
_ROWS = re.compile(rf"\bVALUES ?({_ROW})(?: ?, ?{_ROW})+", re.IGNORECASE)
_ARRAY = re.compile(rf"\[(?<=\b[aA][rR][rR][aA][yY]\[) ?{_ITEM}(?: ?, ?{_ITEM})* ?\]")
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def sql_shape(text: str) -> str:
    """The text without literals (`?`), comments and needless space; lists of literals and rows of values folded.

    Two texts that differ in literals only have one shape. Parameters (`$1`) and names stay. Never raises, for any
    text; linear in its length; at most `SHAPE_LIMIT` characters.
    """
    shape = " ".join(_SCAN.sub(_masked, text[:_SCANNED]).split()).rstrip(" ;")
    if "," in shape:
        shape = _folded(shape)
    if not shape.isprintable():
        shape = _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", shape)
    return shape if len(shape) <= SHAPE_LIMIT else f"{shape[: SHAPE_LIMIT - 1]}…"


def _masked(match: re.Match[str]) -> str:
    first = match["first"]
    if first == '"':
        return match[0] if match["closed"] else '"?'
    return " " if first in "/-" else "?"


def _folded(shape: str) -> str:
    lowered = shape.lower()
    if " in (" in lowered or " in(" in lowered:
        shape = _LIST.sub("(?)", shape)
    if "array" in lowered:
        shape = _ARRAY.sub("[?]", shape)
    if "values" in lowered:
        shape = _ROWS.sub(r"VALUES \1, ...", shape)
    return shape
