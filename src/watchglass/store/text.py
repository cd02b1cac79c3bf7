"""Text and values as PostgreSQL can store them: without NUL and lone surrogates, as JSON within bounds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

MOST_CHARACTERS = 64_000
"""Characters kept of one text."""

MOST_ITEMS = 1_000
"""Items kept of one list or mapping."""

_MOST_DEPTH = 8
_MOST_INTEGER = 2**63


def storable(text: str, encoding: str = "utf-8") -> str:
    """The text without NUL; lone surrogates, and what the database's encoding lacks, as backslash escapes."""
    if "\x00" in text:
        text = text.replace("\x00", "")
    if len(text) > MOST_CHARACTERS:
        text = text[:MOST_CHARACTERS] + "…"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.encode(encoding, "backslashreplace").decode(encoding)
    return text


def storable_json(value: Any, encoding: str = "utf-8") -> str:
    """Any value as JSON that jsonb takes: what JSON has no word for becomes text, what is too deep or long is cut."""
    return json.dumps(_plain(value, encoding, _MOST_DEPTH), ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any, encoding: str, depth: int) -> Any:
    match value:
        case None | bool():
            return value
        case str():
            return storable(value, encoding)
        case int() if -_MOST_INTEGER <= value < _MOST_INTEGER:
            return int(value)
        case float() if isfinite(value):
            return float(value)
        case Mapping() if depth:
            items = list(value.items())[:MOST_ITEMS]
            return {storable(_text(key), encoding): _plain(one, encoding, depth - 1) for key, one in items}
        case list() | tuple() | set() | frozenset() if depth:
            return [_plain(one, encoding, depth - 1) for one in list(value)[:MOST_ITEMS]]
    return storable(_text(value), encoding)


def _text(value: Any) -> str:
    """Its text, even if it has none that is safe to make."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not -_MOST_INTEGER <= value < _MOST_INTEGER:
        return hex(value)
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"
