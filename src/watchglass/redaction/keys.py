"""Keys of Redis: what kind of key it is, without whose."""

from __future__ import annotations

import re

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[._-][A-Za-z0-9]+){0,5}")
_HEX = re.compile(r"[0-9a-fA-F]{8,}|[0-9a-fA-F]{4,}(?:-[0-9a-fA-F]{4,}){2,}")
_MAX_LENGTH = 40
_MAX_SEGMENTS = 4


def looks_like_id(segment: str) -> bool:
    """Whether a segment of a key names one thing (a number, a UUID, a hash, an address) and not a kind of things."""
    if len(segment) > _MAX_LENGTH or not _WORD.fullmatch(segment):
        return True
    if _HEX.fullmatch(segment) and not segment.isalpha():
        return True
    digits = sum(character.isdigit() for character in segment)
    return digits > 4 or digits * 2 > len(segment) or (len(segment) > 20 and digits > 0)


def redis_key_shape(key: str | bytes | memoryview | int | float) -> str:
    """The first segment of a key and how many follow, `search:*:*`; `*` for a segment that names one thing.

    Only the first segment is kept: what follows may be anybody's name.
    """
    name = key_text(key)
    segment, *rest = name.split(":", _MAX_SEGMENTS)
    known = segment if rest and not looks_like_id(segment) else "*"
    return ":".join((known, *("*" * len(rest))))


def key_text(key: str | bytes | memoryview | int | float) -> str:
    """The beginning of a key as text, whatever type it has and whatever bytes it holds."""
    if isinstance(key, str):
        return key[:200]
    if isinstance(key, bytes | bytearray | memoryview):
        return bytes(key[:200]).decode("utf-8", "replace")
    return str(key)[:200]
