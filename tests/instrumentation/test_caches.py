from __future__ import annotations

import pytest

from watchglass.errors import InvalidCache
from watchglass.instrumentation import caches
from watchglass.instrumentation.caches import MAX_LEARNT, CacheTypes, cache


@pytest.fixture
def types() -> CacheTypes:
    return CacheTypes()


def test_a_type_is_learnt_from_the_first_segment(types: CacheTypes) -> None:
    assert types.type_of("search_results:5f4dcc3b") == "search_results"
    assert types.type_of(b"embeddings:caf\xc3\xa9:1") == "embeddings"
    assert types.type_of(memoryview(b"graph-traversal:7")) == "graph-traversal"


@pytest.mark.parametrize(
    "key",
    [
        "42:profile",
        "5f4dcc3b5aa765d6:x",
        "550e8400-e29b-41d4-a716-446655440000:x",
        "alone",
        "",
        ":x",
        "jane@x.org:cart",
        7,
    ],
)
def test_ids_and_keys_without_segments_are_of_no_type(types: CacheTypes, key: str | int) -> None:
    assert types.type_of(key) == "other"


def test_the_longest_prefix_that_the_service_named_decides(types: CacheTypes) -> None:
    types.name("sessions", "s:")
    types.name("admin sessions", "s:admin:")

    assert types.type_of("s:admin:7") == "admin sessions"
    assert types.type_of(b"s:7") == "sessions"
    assert types.type_of("statistics:7") == "statistics"


def test_the_number_of_learnt_types_is_bounded(types: CacheTypes) -> None:
    words = [f"{chr(97 + n // 26)}{chr(97 + n % 26)}_kind" for n in range(200)]

    learnt = {types.type_of(f"{word}:1") for word in words}

    assert len(learnt) == MAX_LEARNT + 1
    assert "other" in learnt
    types.name("later", f"{words[-1]}:")
    assert types.type_of(f"{words[-1]}:1") == "later"


def test_a_type_knows_how_its_keys_look(types: CacheTypes) -> None:
    types.name("sessions", "s:")
    types.name("both", "b1:")
    types.name("both", "b2:")
    types.type_of("search:1")

    assert types.pattern_of("sessions") == "s:*"
    assert types.pattern_of("search") == "search:*"
    assert types.pattern_of("both") == types.pattern_of("other") == "*"


def test_a_cache_is_named_once_per_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "cache_types", CacheTypes())

    cache("search_results", prefix="search:")
    cache("embeddings")

    assert caches.cache_types.type_of("search:x") == "search_results"
    assert caches.cache_types.type_of("embeddings:x") == "embeddings"


@pytest.mark.parametrize(("name", "prefix"), [("", None), ("x" * 61, None), ("a\nb", "a:"), ("x", "")])
def test_a_cache_that_cannot_be_named_is_refused_with_a_reason(name: str, prefix: str | None) -> None:
    with pytest.raises(InvalidCache, match="cannot be named"):
        cache(name, prefix)
