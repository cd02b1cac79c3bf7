"""Structures: the fields of a log line, headers, query strings."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from math import isfinite
from typing import Any, Final, TypeGuard
from urllib.parse import unquote_plus

from watchglass.redaction.names import COUNTED, OPEN, REDACTED, SECRET, hides, secrecy
from watchglass.redaction.personal import process_key
from watchglass.redaction.text import SHORT, SHORTEST, clean_short, text

VALUE_LIMIT: Final = 1024
"""Characters kept of one value."""

_NAME_LIMIT = 100
_NAME_READ = 200
_MAX_DEPTH = 5
_MAX_ITEMS = 64
_MAX_VALUES = 512
_BIG = 2**63
_SPELLED_OUT = (("name", "value"), ("key", "value"), ("name", "values"))
"""How a pair is told by two fields."""
_AS_TEXT = frozenset({"UUID", "datetime", "date", "time", "timedelta", "Decimal", "PosixPath", "WindowsPath"})


def fields(
    mapping: Mapping[Any, Any], key: bytes | None = None, skip: AbstractSet[Any] = frozenset()
) -> dict[str, Any]:
    """Fields as JSON can hold them, without secrets, bounded in depth, number and length; without those to `skip`.

    Objects other than plain values are named by their class only, so that nothing they hold slips out; so are those
    that fail when they are read. Never raises for a mapping of a built-in type, cyclic ones included.
    """
    if key is None:
        key = process_key()
    kept: dict[str, Any] = {}
    for name, degree in _plan_of(mapping, skip):  # what nearly all fields are
        value = mapping[name]
        kind = type(value)
        if kind is str and len(value) <= VALUE_LIMIT:
            if degree and hides(degree, value):
                kept[name] = REDACTED
            else:
                length = len(value)
                if length > SHORTEST or not value.replace("-", "_").replace("_", "x").isalnum():
                    value = clean_short(value, key) if length <= SHORT else text(value, key)
                kept[name] = value
        elif kind is bool or value is None:
            kept[name] = value
        elif (kind is int and -_BIG <= value < _BIG) or (kind is float and isfinite(value)):
            kept[name] = REDACTED if degree == SECRET else value
        else:
            break
    else:
        if kept or not mapping:
            return kept
    return _Copy(key).mapping({name: value for name, value in mapping.items() if name not in skip}, 0)


_Plan = tuple[tuple[str, int], ...]
_NO_PLAN: Final[_Plan] = ()
_MOST_PLANS = 1_024
_plans: dict[tuple[tuple[Any, ...], AbstractSet[Any]], _Plan] = {}


def _plan_of(mapping: Mapping[Any, Any], skip: AbstractSet[Any]) -> _Plan:
    """The names that are kept, with their secrecy; none if they need to be looked at with care. Remembered."""
    names = tuple(mapping)
    found = _plans.get((names, skip))
    return _new_plan(names, skip) if found is None else found


def _new_plan(names: tuple[Any, ...], skip: AbstractSet[Any]) -> _Plan:
    kept = [name for name in names if name not in skip]
    if len(kept) > _MAX_ITEMS or not all(type(name) is str and _is_plain(name) for name in kept):
        return _NO_PLAN
    plan = tuple((name, secrecy(name)) for name in kept)
    if len(names) <= 2 * _MAX_ITEMS:
        if len(_plans) >= _MOST_PLANS:
            _plans.clear()
        _plans[names, skip] = plan
    return plan


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
            plain = _name_of(name)
            label = plain if _is_plain(plain) else text(plain, self._key, _NAME_LIMIT)
            kept[label] = REDACTED if is_hidden(secrecy(plain[:_NAME_READ]), value) else self._value(value, depth)
        for said, told in _SPELLED_OUT:
            if said in kept and told in kept and is_hidden(secrecy(str(kept[said])[:_NAME_READ]), mapping.get(told)):
                kept[told] = REDACTED
        return kept

    def _value(self, value: Any, depth: int) -> Any:
        try:
            return self._shown(value, depth)
        except Exception:  # a class of the service's that cannot be read; the other fields are kept
            return f"<{type(value).__module__}.{type(value).__qualname__}>"

    def _shown(self, value: Any, depth: int) -> Any:
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
            if _is_hidden_pair(value):
                return [self._value(value[0], depth), REDACTED]
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


def _is_plain(name: str) -> bool:
    """Whether a name is shown as it is."""
    return len(name) <= _NAME_LIMIT and text(name, None, _NAME_LIMIT) == name


def is_hidden(degree: int, value: Any) -> bool:
    """Whether the value of a field is a secret under a name of this secrecy. None and booleans say nothing."""
    if degree == OPEN or value is None or value is True or value is False:
        return False
    if isinstance(value, str | bytes):
        return hides(degree, value if isinstance(value, str) else repr(value))
    return degree == SECRET or (degree == COUNTED and not isinstance(value, int | float))


def _is_hidden_pair(values: Any) -> TypeGuard[Sequence[Any]]:
    """Whether it is a pair of a telling name and its value: a header, an item of a dictionary."""
    if not isinstance(values, list | tuple) or len(values) != 2 or not isinstance(values[0], str | bytes):
        return False
    return is_hidden(secrecy(_name_of(values[0])[:_NAME_READ]), values[1])


def _name_of(name: Any) -> str:
    if isinstance(name, bytes):
        return name[: 2 * _NAME_LIMIT].decode("utf-8", "backslashreplace")
    if isinstance(name, enum.Enum):
        return f"{type(name).__name__}.{name.name}"
    if isinstance(name, str):
        return str.__str__(name)
    return str(name) if isinstance(name, int | float) else f"<{type(name).__qualname__}>"


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
        value = _decoded(raw_value)
        value = REDACTED if hides(secrecy(name[:_NAME_READ]), value) else text(value, key, VALUE_LIMIT)
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
        shown = REDACTED if equals and hides(secrecy(label[:_NAME_READ]), plain) else text(plain, key, VALUE_LIMIT)
        kept.append(f"{text(label, key, _NAME_LIMIT)}{equals}{value if shown == plain else shown}")
    return "&".join(kept)


def _decoded(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")
