"""The acts of the demo's traffic, as data: what happens, how long, how much of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Act:
    """A stretch of traffic.

    `rate` is in requests a second, `mix` the share of each kind of `watchglass.demo.requests`, in any unit. `sentence`
    says what there is to see.
    """

    name: str
    sentence: str
    seconds: float
    rate: float
    mix: Mapping[str, float]


_STEADY = MappingProxyType(
    {
        "lexical": 30,
        "hybrid": 30,
        "traverse": 20,
        "document": 12,
        "add_document": 3,
        "remove_document": 2,
        "unknown_document": 1,
    }
)

STEADY = Act("steady", "searches, traversals and documents at a calm pace", 60, 16, _STEADY)
SLOW_STATEMENT = Act(
    "a slow statement",
    "GET /v1/code/references reads every chunk to find patterns in it, until the index is there that is advised",
    45,
    16,
    {**_STEADY, "references": 2.5},
)
ERRORS = Act(
    "errors",
    "queries that PostgreSQL cannot parse, queries without a word, paths that are taken, files that are not Python",
    45,
    16,
    {**_STEADY, "broken_query": 6, "empty_query": 5, "taken_path": 3, "broken_source": 2, "invalid_limit": 2},
)

ACTS: tuple[Act, ...] = (STEADY, SLOW_STATEMENT, ERRORS)
"""In the order they are played; then they start again."""


def paced(acts: tuple[Act, ...], *, seconds: float, rate: float) -> tuple[Act, ...]:
    """The same acts, each for `seconds` and at `rate` requests a second."""
    return tuple(replace(act, seconds=seconds, rate=rate) for act in acts)
