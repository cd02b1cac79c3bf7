"""Structures: the fields of a log line, headers, query strings."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from math import isfinite
from typing import Any, Final
from urllib.parse import unquote_plus

from watchglass.redaction.names import REDACTED, is_secret_name
from watchglass.redaction.text import text

VALUE_LIMIT: Final = 1024
"""Characters kept of one value."""

_NAME_LIMIT = 100
_MAX_DEPTH = 5
_MAX_ITEMS = 64
_MAX_VALUES = 512
_BIG = 2**63
_AS_TEXT = frozenset({"UUID", "datetime", "date", "time", "timedelta", "Decimal", "PosixPath", "WindowsPath"})


def fields(
    mapping: Mapping[Any, Any], key: bytes | None = None, skip: AbstractSet[Any] = frozenset()
) -> dict[str, Any]:
    """Fields as JSON can hold them, without secrets, bounded in depth, number and length; without those to `skip`.

    Objects other than plain values are named by their class only, so that nothing they hold slips out. Never raises
    for values of the built-in types, cyclic ones included.
    """
    kept: dict[str, Any] = {}
    for name, value in mapping.items():  # what nearly all fields are; the rest is left to the careful way below
        if name in skip:
            continue
        if type(name) is not str or not name.isidentifier() or len(name) > _NAME_LIMIT or len(kept) >= _MAX_ITEMS:
            break
        kind = type(value)
        if kind is str and len(value) <= VALUE_LIMIT:
            shown = text(value, key)
        elif (
            (kind is int and -_BIG <= value < _BIG)
            or kind is bool
            or value is None
            or (kind is float and isfinite(value))
        ):
            shown = value
        else:
            break
        kept[name] = REDACTED if value is not None and is_secret_name(name) else shown
    else:
        return kept
    return _Copy(key).mapping({name: value for name, value in mapping.items() if name not in skip}, 0)


class _Copy:
    """A redacted copy of one structure, with what is left of its allowance of values."""

    __slots__ = ("_key", "_left")

    def __init__(self, key: bytes | None) -> None:
        self._key = key
        self._left = _MAX_VALUES

    def mapping(self, mapping: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for name, value in mapping.items():
            if len(kept) >= _MAX_ITEMS or self._left <= 0:
                kept["…"] = f"{len(mapping) - len(kept)} more"
                break
            label = (
                name if type(name) is str and len(name) <= _NAME_LIMIT and name.isidentifier() else self._label(name)
            )
            kept[label] = REDACTED if is_secret_name(label) and value is not None else self._value(value, depth)
        return kept

    def _label(self, name: Any) -> str:
        plain = str(name) if isinstance(name, str | int | float) else f"<{type(name).__qualname__}>"
        return text(plain, self._key, _NAME_LIMIT)

    def _value(self, value: Any, depth: int) -> Any:
        self._left -= 1
        kind = type(value)
        if kind is str:
            return text(value, self._key, VALUE_LIMIT)
        if value is None or kind is bool:
            return value
        if kind is int:
            return value if -_BIG <= value < _BIG else f"{value:#x}"[:_NAME_LIMIT]
        if kind is float:
            return value if isfinite(value) else str(value)
        if isinstance(value, Mapping):
            return "{…}" if depth >= _MAX_DEPTH else self.mapping(value, depth + 1)
        if isinstance(value, list | tuple | set | frozenset):
            return "[…]" if depth >= _MAX_DEPTH else self._items(value, depth + 1)
        return text(_as_text(value), self._key, VALUE_LIMIT)

    def _items(self, values: Iterable[Any], depth: int) -> list[Any]:
        kept: list[Any] = []
        for value in values:
            if len(kept) >= _MAX_ITEMS or self._left <= 0:
                kept.append("…")
                break
            kept.append(self._value(value, depth))
        return kept


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, bytes | bytearray):
        return bytes(value[: 2 * VALUE_LIMIT]).decode("utf-8", "backslashreplace")
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    if isinstance(value, int | float) or type(value).__name__ in _AS_TEXT:
        return str(value)
    return f"<{type(value).__module__}.{type(value).__qualname__}>"


def headers(pairs: Iterable[tuple[bytes | str, bytes | str]], key: bytes | None = None) -> dict[str, str]:
    """Headers by lower-case name, values without secrets; repeated ones joined by a comma."""
    kept: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name = text(_decoded(raw_name).lower(), None, _NAME_LIMIT)
        value = REDACTED if is_secret_name(name) else text(_decoded(raw_value), key, VALUE_LIMIT)
        if name in kept:
            kept[name] = f"{kept[name]}, {value}"[:VALUE_LIMIT]
        elif len(kept) < _MAX_ITEMS:
            kept[name] = value
    return kept


def query_string(query: bytes | str, key: bytes | None = None) -> str:
    """A query string without secrets; a value of which something was redacted is shown decoded."""
    kept = []
    for pair in _decoded(query)[: 8 * VALUE_LIMIT].split("&")[:_MAX_ITEMS]:
        name, equals, value = pair.partition("=")
        label, plain = unquote_plus(name), unquote_plus(value)
        shown = REDACTED if equals and is_secret_name(label) else text(plain, key, VALUE_LIMIT)
        kept.append(f"{text(label, key, _NAME_LIMIT)}{equals}{value if shown == plain else shown}")
    return "&".join(kept)


def _decoded(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")
