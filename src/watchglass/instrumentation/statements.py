"""What an SQL text is: its shape, its operation and its summary, by OpenTelemetry's database conventions.

A text seen before costs one dictionary look-up. Texts, shapes and what they hold in memory are bounded: a service that
writes values into its statements, or names into tables, ends with statements without a text, counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

from watchglass.redaction import sql_shape

SUMMARY_LIMIT: Final = 120
OTHER: Final = "OTHER"

_LONG_TEXT = 2_048  # longer texts are remembered by length and hash, not held
_MAX_TARGETS = 5

_COMMANDS = frozenset(
    """
    ABORT ALTER ANALYZE BEGIN CALL CHECKPOINT CLOSE CLUSTER COMMENT COMMIT COPY CREATE DEALLOCATE DECLARE DELETE DISCARD
    DO DROP END EXECUTE EXPLAIN FETCH GRANT IMPORT INSERT LISTEN LOAD LOCK MERGE MOVE NOTIFY PREPARE REASSIGN REFRESH
    REINDEX RELEASE RESET REVOKE ROLLBACK SAVEPOINT SECURITY SELECT SET SHOW START TABLE TRUNCATE UNLISTEN UPDATE VACUUM
    VALUES WITH
    """.split()  # noqa: SIM905 - a list of fifty quoted words is no easier to read
)
_VERBS = frozenset(("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"))
_NOT_A_VERB_AFTER = frozenset(("FOR", "KEY", "DO", "ON", "OF", "THEN", "GRANT", "REVOKE"))
_BEFORE_A_NAME = frozenset(
    """
    DATABASE EXTENSION FUNCTION INDEX POLICY PROCEDURE ROLE SCHEMA SEQUENCE TABLE TRIGGER TYPE VIEW
    """.split()  # noqa: SIM905 - as above
)
_NAMES_FOLLOW = frozenset(("COPY", "TRUNCATE", "LOCK", "VACUUM", "ANALYZE", "CALL", "CLUSTER", "REINDEX"))
_DEFINES = frozenset(("CREATE", "ALTER", "DROP", "REFRESH", "COMMENT", "TRUNCATE", "LOCK"))
_SKIPPED = frozenset(("ONLY", "LATERAL", "IF", "NOT", "EXISTS", "TABLE", "CONCURRENTLY", "INDEX", "VERBOSE", "FULL"))
_ENDS_TARGETS = frozenset(("WHERE", "SET", "ON", "USING", "GROUP", "ORDER", "LIMIT", "VALUES", "RETURNING", "WHEN"))
_IS_DISTINCT = frozenset((("IS", "DISTINCT"), ("NOT", "DISTINCT")))
_FROM_IN_CALL = frozenset(("EXTRACT", "SUBSTRING", "TRIM", "OVERLAY", "POSITION"))

_IDENTIFIER = r"(?:\"[^\"]*+\"|[^\W\d][\w$]*+)"
_TOKEN = re.compile(rf"[(),]|{_IDENTIFIER}(?:\.{_IDENTIFIER})*")
_NAMED_STEP = re.compile(
    r"(SAVEPOINT|RELEASE(?: SAVEPOINT)?|ROLLBACK (?:WORK |TRANSACTION )?TO(?: SAVEPOINT)?|CLOSE|DEALLOCATE(?: PREPARE)?"
    r"|(?:FETCH|MOVE)\b[^\"]*?(?: FROM| IN)?) \"?[\w$]+\"?",
    re.IGNORECASE,
)


class Statement(NamedTuple):
    """The shape of a text without literals, its operation (`SELECT`) and its summary (`SELECT documents`).

    `text` is None where too many different texts were seen.
    """

    text: str | None
    operation: str
    summary: str


def parse(query: str) -> Statement:
    """Read a text; never raises, whatever the text."""
    return _parse_shape(sql_shape(query))


def _parse_shape(shape: str) -> Statement:
    step = _NAMED_STEP.fullmatch(shape)
    if step:
        words = step[1].upper()
        return Statement(f"{words} ?", words.split()[0], words)
    return _Reading(shape).statement()


class _Reading:
    """One pass over the words of a shape."""

    def __init__(self, shape: str) -> None:
        self.shape = shape
        self.parts: list[str] = []
        self.operation = ""
        self.calls: list[tuple[str, bool]] = []  # of each open parenthesis: the word before it, and `in_list` there
        self.own_names: set[str] = set()  # of common table expressions
        self.expecting = False
        self.in_list = False
        self.previous = self.before = ""

    def statement(self) -> Statement:
        for match in _TOKEN.finditer(self.shape):
            self._token(match[0])
            if len(self.parts) > 2 * _MAX_TARGETS:
                break
        operation = self.operation if self.operation in _COMMANDS else OTHER
        summary = " ".join(self.parts) if operation != OTHER else OTHER
        if len(summary) > SUMMARY_LIMIT:
            summary = summary[:SUMMARY_LIMIT].rpartition(" ")[0]
        return Statement(self.shape, operation, summary or operation)

    def _token(self, token: str) -> None:
        if token == "(":
            self.calls.append((self.previous, self.in_list))
            self.expecting = self.in_list = False
            self.previous = token
        elif token == ")":
            self.previous, self.in_list = self.calls.pop() if self.calls else ("", False)
            self.expecting = False
        elif token == ",":
            self.expecting = self.in_list
        else:
            self._word(token, token.upper())

    def _word(self, token: str, word: str) -> None:
        if not self.operation or (self.operation == "WITH" and not self.calls and word in _VERBS):
            self._begin(word)
        elif self.expecting and word not in _SKIPPED and word not in _VERBS:
            self._target(token)
        elif word == "AS" and self.operation == "WITH" and not self.calls:
            self.own_names.add(self.previous.lower())
        elif word in _VERBS and self.previous not in _NOT_A_VERB_AFTER:
            self._verb(word)
        elif self._precedes_a_target(word):
            self.expecting = True
            self.in_list = word == "FROM"
        elif word in _ENDS_TARGETS:
            self.in_list = False
        self.before, self.previous = self.previous, word

    def _begin(self, word: str) -> None:
        """The first word, or the verb that follows common table expressions."""
        self.operation = word
        if word in _VERBS:
            self._verb(word)
        elif word != "WITH":
            self.parts.append(word)
            self.expecting = word in _NAMES_FOLLOW

    def _verb(self, verb: str) -> None:
        if verb not in self.parts[-1:] and not (verb == "SELECT" and self._last_verb() == "SELECT"):
            self.parts.append(verb)
        self.expecting = verb == "UPDATE"
        self.in_list = False

    def _last_verb(self) -> str:
        return next((part for part in reversed(self.parts) if part in _VERBS), "")

    def _target(self, name: str) -> None:
        self.expecting = False
        if name.lower() not in self.own_names and name not in self.parts:
            self.parts.append(name)

    def _precedes_a_target(self, word: str) -> bool:
        if word == "FROM":
            in_call = bool(self.calls) and self.calls[-1][0] in _FROM_IN_CALL
            to_server = self.operation == "COPY" and "SELECT" not in self.parts
            return not to_server and not in_call and (self.before, self.previous) not in _IS_DISTINCT
        if word in ("JOIN", "INTO"):
            return True
        if word in _BEFORE_A_NAME and self.operation in _DEFINES and len(self.parts) == 1:
            self.parts.append(word)
            return True
        return word == "USING" and self.operation in ("MERGE", "DELETE")


T = TypeVar("T")


class Statements(Generic[T]):
    """What `make` makes of each different statement, found again by its text.

    Holds at most `max_texts` texts twice over, the least recently used leave; at most `max_shapes` different shapes
    since the start, beyond which all statements of one operation are one, without text, counted in `overflowed`.
    """

    def __init__(self, make: Callable[[Statement], T], max_texts: int = 2_000, max_shapes: int = 1_000) -> None:
        self.overflowed = 0
        self._make = make
        self._max_texts = max_texts
        self._max_shapes = max_shapes
        self._recent: dict[str | tuple[int, int], T] = {}
        self._older: dict[str | tuple[int, int], T] = {}
        self._by_shape: dict[str, T] = {}

    def __len__(self) -> int:
        return len(self._recent) + len(self._older)

    def holds(self, query: str) -> bool:
        """Whether the text is remembered."""
        return query in self._recent or query in self._older

    def get(self, query: str) -> T:
        """What was made of this text's statement."""
        known = self._recent.get(query)
        return known if known is not None else self._find(query)

    def _find(self, query: str) -> T:
        text = query if len(query) <= _LONG_TEXT else (len(query), hash(query))
        known = self._recent.get(text) or self._older.get(text)
        if known is None:
            known = self._of_shape(sql_shape(query))
        if len(self._recent) >= self._max_texts:
            self._older, self._recent = self._recent, {}
        self._recent[text] = known
        return known

    def _of_shape(self, shape: str) -> T:
        known = self._by_shape.get(shape)
        if known is not None:
            return known
        if len(self._by_shape) < self._max_shapes:
            return self._by_shape.setdefault(shape, self._make(_parse_shape(shape)))
        self.overflowed += 1
        operation = _first_command(shape)
        known = self._by_shape.get(f"\0{operation}")
        return known or self._by_shape.setdefault(f"\0{operation}", self._make(Statement(None, operation, operation)))


def _first_command(shape: str) -> str:
    match = _TOKEN.search(shape.lstrip("( "))
    word = match[0].upper() if match else OTHER
    return word if word in _COMMANDS else OTHER
