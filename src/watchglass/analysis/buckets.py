"""The grid that every histogram lies on: base-2 exponential buckets of OpenTelemetry at one fixed scale.

Bucket `i` holds values in (2^(i/32), 2^((i+1)/32)]: 2.19 % wide, so that any estimate inside the right bucket is at
most 2.2 % from the value, interpolated or not. Merging two histograms is concatenating their packed pairs.
Source: https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from math import ceil, log2

SCALE = 5
PER_DOUBLING = 1 << SCALE
ZERO = -32768
"""The index of the bucket that counts zeros (and what is below it, which a duration never is)."""

_LOWEST, _HIGHEST = ZERO + 1, 32767
_PAIR = struct.Struct("<hI")
PAIR_BYTES = _PAIR.size
_MOST = 0xFFFFFFFF


def index_of(value: float) -> int:
    """The bucket of a value; zero, negative and NaN go to `ZERO`, infinity to the last bucket."""
    if not value > 0:
        return ZERO
    if value == float("inf"):
        return _HIGHEST
    return max(_LOWEST, min(_HIGHEST, ceil(log2(value) * PER_DOUBLING) - 1))


def bounds_of(index: int) -> tuple[float, float]:
    """The open lower and closed upper bound of a bucket; the last one has no upper bound."""
    if index == ZERO:
        return 0.0, 0.0
    upper = 2.0 ** ((index + 1) / PER_DOUBLING) if index < _HIGHEST else float("inf")
    return 2.0 ** (index / PER_DOUBLING), upper


def pack(counts: Mapping[int, int]) -> bytes:
    """Counts by index as little-endian (int16 index, uint32 count) pairs, 6 bytes each, in order of index.

    A count beyond 32 bits takes several pairs: pairs of one index add up.
    """
    packed = bytearray()
    for index in sorted(counts):
        count = counts[index]
        while count > 0:
            packed += _PAIR.pack(index, min(count, _MOST))
            count -= _MOST
    return bytes(packed)


def unpack(packed: bytes) -> dict[int, int]:
    """The counts by index of one or more packed histograms."""
    counts: dict[int, int] = {}
    for index, count in _PAIR.iter_unpack(packed):
        counts[index] = counts.get(index, 0) + count
    return counts


def merge(histograms: Iterable[bytes]) -> bytes:
    """Several packed histograms as one."""
    return b"".join(histograms)
