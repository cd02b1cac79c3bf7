"""The kinds of request the demo's traffic is made of. Each is drawn from a seeded generator."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, count
from random import Random
from typing import Any

from watchglass.demo import corpus

_PHRASES = corpus.phrases(300)
_POPULARITY = list(accumulate(1 / rank for rank in range(1, len(_PHRASES) + 1)))
_UPLOADS_KEPT = 40


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the service."""

    method: str
    path: str
    params: Mapping[str, str | int | list[str]] = field(default_factory=dict)
    json: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Memory:
    """What the traffic has to remember between requests."""

    run: str = "first"
    symbols: int = 20
    uploaded: deque[int] = field(default_factory=deque)
    numbers: count[int] = field(default_factory=lambda: count(1))


Kind = Callable[[Random, Memory], Call]


def _phrase(random: Random) -> str:
    return random.choices(_PHRASES, cum_weights=_POPULARITY)[0]


def lexical(random: Random, memory: Memory) -> Call:
    return Call("GET", "/v1/code/search/lexical", {"q": _phrase(random)})


def hybrid(random: Random, memory: Memory) -> Call:
    return Call("GET", "/v1/code/search/hybrid", {"q": _phrase(random), "limit": 10})


def traverse(random: Random, memory: Memory) -> Call:
    node_id = min(int(random.paretovariate(0.35)), corpus.DOCUMENTS * corpus.CHUNKS_PER_DOCUMENT)
    return Call("GET", f"/v1/code/graph/traverse/{node_id}", {"depth": random.choice((2, 3, 3, 4))})


def document(random: Random, memory: Memory) -> Call:
    return Call("GET", f"/v1/code/documents/{random.randint(1, corpus.DOCUMENTS)}")


def add_document(random: Random, memory: Memory) -> Call:
    number = next(memory.numbers)
    source = corpus.source_of(number, random.randint(2, 6))
    return Call("POST", "/v1/code/documents", json={"path": f"uploads/{memory.run}/{number}.py", "source": source})


def remove_document(random: Random, memory: Memory) -> Call:
    """Remove the oldest upload once there are enough, so that the database stays as large as it is."""
    if len(memory.uploaded) <= _UPLOADS_KEPT:
        return document(random, memory)
    return Call("DELETE", f"/v1/code/documents/{memory.uploaded.popleft()}")


def unknown_document(random: Random, memory: Memory) -> Call:
    return Call("GET", f"/v1/code/documents/{random.randint(500_000, 599_999)}")


def references(random: Random, memory: Memory) -> Call:
    """Where names are still spelled as before the last release: nowhere, and finding that out takes a while."""
    symbols = [random.choice(corpus.VERBS) + random.choice(corpus.NOUNS).capitalize() for _ in range(memory.symbols)]
    return Call("GET", "/v1/code/references", {"symbol": symbols})


def broken_query(random: Random, memory: Memory) -> Call:
    """An operator without its other side: asyncpg.PostgresSyntaxError."""
    return Call("GET", "/v1/code/search/lexical", {"q": f"{random.choice(corpus.VERBS)} & ("})


def empty_query(random: Random, memory: Memory) -> Call:
    """No word at all: ZeroDivisionError."""
    return Call("GET", "/v1/code/search/hybrid", {"q": random.choice("?!.-") * random.randint(1, 5)})


def taken_path(random: Random, memory: Memory) -> Call:
    """The path of a document that exists: asyncpg.UniqueViolationError."""
    taken = next(corpus.documents(1))
    return Call("POST", "/v1/code/documents", json={"path": taken.path, "source": corpus.source_of(1, 1)})


def broken_source(random: Random, memory: Memory) -> Call:
    """A file that is not Python: SyntaxError."""
    return Call("POST", "/v1/code/documents", json={"path": "uploads/broken.py", "source": "def unfinished(:\n"})


def invalid_limit(random: Random, memory: Memory) -> Call:
    """Refused with 422."""
    return Call("GET", "/v1/code/search/lexical", {"q": _phrase(random), "limit": random.randint(1_000, 9_999)})


KINDS: Mapping[str, Kind] = {
    kind.__name__: kind
    for kind in (
        lexical, hybrid, traverse, document, add_document, remove_document, unknown_document, references, broken_query,
        empty_query, taken_path, broken_source, invalid_limit,
    )
}  # fmt: skip
