"""Cache types: which of the service's caches a key of Redis belongs to."""

from __future__ import annotations

from typing import Final

from watchglass.errors import InvalidCache
from watchglass.redaction import looks_like_id
from watchglass.redaction.keys import key_text

OTHER: Final = "other"
"""The type of keys whose type is not known."""

MAX_LEARNT: Final = 32
"""Types that are learnt from keys; those that the service names come on top."""

MAX_NAMED: Final = 200

Key = str | bytes | memoryview | int | float


class CacheTypes:
    """The cache type of a key: named by the service, else learnt from the key's first segment, before the first colon.

    Segments that name one thing rather than a kind of things (numbers, UUIDs, hashes) never become types, and the
    number of types is bounded: what is left is "other".
    """

    def __init__(self, max_learnt: int = MAX_LEARNT) -> None:
        self._max_learnt = max_learnt
        self._by_prefix: dict[str, str] = {}
        self._prefixes: tuple[str, ...] = ()
        self._learnt: dict[str, str] = {}

    def name(self, cache_type: str, prefix: str) -> None:
        """Have keys that begin with `prefix` be of this type; of several prefixes the longest decides."""
        if not cache_type or len(cache_type) > 60 or not cache_type.isprintable():
            raise InvalidCache(name=cache_type, reason="its name must have 1 to 60 printable characters")
        if not prefix:
            raise InvalidCache(name=cache_type, reason="its prefix must not be empty")
        if prefix not in self._by_prefix and len(self._by_prefix) >= MAX_NAMED:
            raise InvalidCache(name=cache_type, reason=f"there are {MAX_NAMED} already")
        self._by_prefix = {**self._by_prefix, prefix: cache_type}
        self._prefixes = tuple(sorted(self._by_prefix, key=len, reverse=True))

    def type_of(self, key: Key) -> str:
        """The type of a key."""
        name = key if type(key) is str else key_text(key)
        if self._prefixes and name.startswith(self._prefixes):
            return self._by_prefix[next(prefix for prefix in self._prefixes if name.startswith(prefix))]
        segment, colon, _ = name.partition(":")
        known = self._learnt.get(segment)
        return known if known is not None else self._learn(segment) if colon else OTHER

    def pattern_of(self, cache_type: str) -> str:
        """How keys of a type look, `search:*`; `*` if they have several beginnings."""
        prefixes = [prefix for prefix, named in self._by_prefix.items() if named == cache_type]
        if cache_type in self._learnt:
            prefixes.append(f"{cache_type}:")
        return f"{prefixes[0]}*" if len(prefixes) == 1 else "*"

    def _learn(self, segment: str) -> str:
        if len(self._learnt) >= self._max_learnt or looks_like_id(segment):
            return OTHER
        return self._learnt.setdefault(segment, segment)


cache_types = CacheTypes()
"""The cache types of this process."""


def cache(name: str, prefix: str | None = None) -> None:
    """Name a cache of the service: keys of Redis that begin with `prefix`, by default `name:`.

    Without this, types are learnt from the keys. Raises `InvalidCache`.
    """
    cache_types.name(name, f"{name}:" if prefix is None else prefix)
