"""Which shape that PostgreSQL knows is which that a client sent.

The client's texts have their literals as `?` (`redaction.sql_shape`). pg_stat_statements has numbered them behind the
parameters: `id = $1 AND kind = 'x'` is `id = $1 AND kind = ?` here and `id = $1 AND kind = $2` there. NULL, true and -1
are literals there, too. A key leaves out what the two write differently.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_VALUE = re.compile(
    r"(?<![\w$])(?<!\bis )(?<!\bis not )(?<!\bnot )(?:[eEbBxXnN]?\?|[uU]&\?|\$[0-9]+|null|true|false)(?![\w$])",
    re.IGNORECASE,
)
# A sign belongs to the literal where nothing stands before it that could be subtracted from.
_SIGN = re.compile(
    r"((?:[(,=<>|*/%\[]|\b(?:select|then|else|when|and|or|limit|offset|between|by|where|on|like|values|set|return)) ?)"
    r"[-+] ?(?=\?)",
    re.IGNORECASE,
)
_AROUND = re.compile(r" ?([(),\[\]]) ?")
_LIST = re.compile(r"(?<=[(\[])\?(?:,\?)*(?:,\.\.\.)?(?=[)\]])")


def key_of(shape: str) -> str:
    """What the shape has in common with the one of the same statement on the other side."""
    key = _SIGN.sub(r"\1", _VALUE.sub("?", shape))
    return _LIST.sub("?", _AROUND.sub(r"\1", key)).rstrip("; ")


class Joined:
    """Client's shapes by PostgreSQL's identifier, where that is known, and by key.

    Of several with one of them that which weighs most stands for it, unless a shape is equal.
    """

    def __init__(self, shapes: Mapping[str, float], identifiers: Mapping[str, int | None] | None = None) -> None:
        self._shapes = shapes
        self._by_key: dict[str, str] = {}
        self._by_identifier: dict[int, str] = {}
        known = identifiers or {}
        for shape in sorted(shapes, key=lambda one: (shapes[one], one)):
            self._by_key[key_of(shape)] = shape
            if (identifier := known.get(shape)) is not None:
                self._by_identifier[identifier] = shape

    def find(self, shape: str, identifier: int | None = None) -> str | None:
        """The client's shape of a statement that PostgreSQL knows; None where no client of ours sent it."""
        if shape in self._shapes:
            return shape
        told = self._by_identifier.get(identifier) if identifier is not None else None
        return told or self._by_key.get(key_of(shape))
