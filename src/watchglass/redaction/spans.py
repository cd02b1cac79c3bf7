"""Attributes of spans, by OpenTelemetry's semantic conventions: queries, statements and commands among them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from watchglass.redaction.fields import fields, query_string
from watchglass.redaction.sql import SHAPE_LIMIT, sql_shape

_QUERIES: Final = ("url.query",)
_STATEMENTS: Final = ("db.query.text", "db.statement")
_DROPPED: Final = ("db.statement.parameters",)
_APART: Final = frozenset((*_QUERIES, *_STATEMENTS, *_DROPPED))
_KEY_VALUE_STORES: Final = frozenset(("redis", "valkey", "memcached"))

_shape = lru_cache(maxsize=1_000)(sql_shape)


def attributes(mapping: Mapping[str, Any], key: bytes | None = None) -> dict[str, Any]:
    """Attributes without secrets: statements are reduced to their shape, commands to their name, parameters left out.

    Never raises for values of the built-in types.
    """
    kept = fields(mapping, key, _APART)
    for name in _QUERIES:
        if name in mapping:
            kept[name] = query_string(str(mapping[name]), key)
    commands = (mapping.get("db.system.name") or mapping.get("db.system")) in _KEY_VALUE_STORES
    for name in _STATEMENTS:
        if name in mapping:
            kept[name] = command_shape(str(mapping[name])) if commands else _shape(str(mapping[name]))
    return kept


def command_shape(text: str) -> str:
    """A command of Redis, or a pipeline of one a line, with `?` for each of its arguments: `SET ? ?`."""
    lines = text[:SHAPE_LIMIT].splitlines()
    return "\n".join(" ".join((words[0][:40], *("?" * (len(words) - 1)))) for line in lines if (words := line.split()))
