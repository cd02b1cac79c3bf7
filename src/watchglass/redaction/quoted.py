"""Values of the service's data that PostgreSQL, Redis, their clients and validators quote in what they say."""

from __future__ import annotations

import re

from watchglass.redaction.names import REDACTED

_VALUE = r"""(?:'(?:[^'\\]|\\.|'')*'?|"(?:[^"\\]|\\.|"")*"?)"""
_ROW = re.compile(r"(Failing row contains )\([^\n]*+")
_KEY = re.compile(
    r"(Key \([^()\n]{1,300}(?:\([^()\n]{0,100}\)[^()\n]{0,100}){0,3}\)=)"
    r"\([^\n]{0,1000}?(?:\)(?= (?:already|is|conf|was|ref)|\.?$|\n)|(?=\n|$)|(?<=[^\n]{999}))"
)
_INPUT = re.compile(
    r"(invalid input (?:syntax for [\w ]{1,60}|value for enum [\w.\" ]{1,80}|for query argument \$\d{1,5}):\s)"
    r"[^\n]*?(?=\s\((?:expected|[^()\n]{1,200}\)$)|\n|$)",
    re.MULTILINE,
)
_NEAR = re.compile(r"""(at or near )"[$'"E][^\n]*""")
_PIPELINED = re.compile(r"(Command # \d{1,9} )\([^\n]*?\)(?= of pipeline)")
_BEGINNING = re.compile(r"(with args beginning with: )[^\n]*+")
_PARAMETERS = re.compile(r"(\[parameters: )[^\n]*+")
_ECHOED = re.compile(
    r"(\[(?:generated in|cached since|raw sql|no key|insertmanyvalues|dialect)[^\]\n]{0,120}\] )[^\n]+"
)
_DATA = re.compile(r"((?:'|\")input(?:'|\"): )(?![{\[])" + _VALUE)
_SQL = re.compile(
    r"\b(?:select\s[\s\S]{1,1000}?\s(?:from|where)|insert\s+into|update\s[^\n]{1,200}?\sset|delete\s+from|values\s*\("
    r"|(?:alter|create)\s+(?:user|role))\b",
    re.IGNORECASE,
)
_LITERAL = re.compile(
    r"(?<![\w'])(?:[eEnNbBxX]|[uU]&)?'(?:[^'\\]|\\.|'')*'(?![\w'])|\$(\w{0,20})\$[\s\S]*?(?:\$\1\$|\Z)"
)

_RULES = (
    ("Failing row", _ROW, rf"\1({REDACTED})"),
    (")=(", _KEY, rf"\1({REDACTED})"),
    ("nvalid input", _INPUT, rf"\1{REDACTED}"),
    ("at or near", _NEAR, rf'\1"{REDACTED}"'),
    ("of pipeline", _PIPELINED, rf"\1({REDACTED})"),
    ("args beginning", _BEGINNING, rf"\1{REDACTED}"),
    ("[parameters: ", _PARAMETERS, rf"\1{REDACTED}]"),
    ("] (", _ECHOED, rf"\1{REDACTED}"),
    ("] {", _ECHOED, rf"\1{REDACTED}"),
    ("] [", _ECHOED, rf"\1{REDACTED}"),
    ("input", _DATA, rf"\1{REDACTED}"),
)
_SIGNS = ("'", '"', "(", "$")


def without_quoted(message: str) -> str:
    """`message` without rows, keys, parameters and commands that such a sentence quotes, nor literals of SQL in it."""
    for sign in _SIGNS:
        if sign in message:
            break
    else:
        return message
    for hint, pattern, replacement in _RULES:
        if hint in message:
            message = pattern.sub(replacement, message)
    if "'" in message or "$" in message:
        statement = _SQL.search(message)
        if statement is not None:
            message = message[: statement.start()] + _LITERAL.sub("?", message[statement.start() :])
    return message
