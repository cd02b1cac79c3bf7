"""A hashing vectoriser: text to a unit vector of fixed length, the same on every machine and in every run.

Words and pairs of neighbouring words are hashed into buckets with a sign, as in Weinberger et al., "Feature Hashing
for Large Scale Multitask Learning" (2009). It knows nothing of meaning, but it is real work with a real result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import sqrt
from zlib import crc32

DIMENSIONS = 64

_WORD = re.compile(r"[a-z0-9]+")


def words(text: str) -> list[str]:
    """The words of a text in lower case; `parse_invoice` is two."""
    return _WORD.findall(text.lower())


def embed(text: str) -> list[float]:
    """The unit vector of a text, `DIMENSIONS` long.

    Raises ZeroDivisionError for a text without a word: it has no direction.
    """
    vector = [0.0] * DIMENSIONS
    for feature in _features(words(text)):
        code = crc32(feature.encode())
        vector[code % DIMENSIONS] += 1.0 if code & 0x80000000 else -1.0
    length = sqrt(sum(value * value for value in vector))
    return [value / length for value in vector]


def similarity(left: Sequence[float], right: Sequence[float]) -> float:
    """The cosine of two unit vectors, -1 to 1."""
    return sum(a * b for a, b in zip(left, right, strict=True))


def _features(found: list[str]) -> Iterator[str]:
    yield from found
    for first, second in pairwise(found):
        yield f"{first} {second}"
