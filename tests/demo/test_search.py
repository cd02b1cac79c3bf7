"""The demo service's work, on real PostgreSQL and Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio
import redis.asyncio

from watchglass.demo import corpus, library
from watchglass.demo.cached import Cached, client
from watchglass.demo.search import Search


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=2) as opened:
        async with opened.acquire() as connection:
            assert await library.fill(connection, documents=40) == 320
        yield opened


@pytest_asyncio.fixture
async def cache(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def search(pool: asyncpg.Pool, cache: redis.asyncio.Redis) -> Search:
    return Search(pool, Cached(cache))


async def test_a_filled_database_is_left_as_it_is(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        assert await library.fill(connection, documents=40) == 0
        assert await connection.fetchval("SELECT count(*) FROM chunks") == 320


async def test_lexical_search_finds_the_chunks_that_have_every_word(search: Search, pool: asyncpg.Pool) -> None:
    chunk = next(corpus.documents(40)).chunks[0]
    query = chunk.name.replace("_", " ")
    found = await search.lexical(chunk.name, 50)
    assert chunk.id in [row["id"] for row in found], query


async def test_hybrid_search_puts_the_most_similar_first(search: Search) -> None:
    found = await search.hybrid("parse the invoice", 10)
    ranks = [row["rank"] for row in found]
    assert found
    assert ranks == sorted(ranks, reverse=True)


async def test_an_answer_is_kept_by_type_and_used_again(search: Search, cache: redis.asyncio.Redis) -> None:
    first = await search.hybrid("merge order", 5)
    kinds = sorted(key.decode().partition(":")[0] for key in await cache.keys())
    assert kinds == ["embeddings", "search_results"]
    hits = (await cache.info("stats"))["keyspace_hits"]
    assert await search.hybrid("merge order", 5) == first
    assert (await cache.info("stats"))["keyspace_hits"] == hits + 1


async def test_references_are_found_by_pattern(search: Search) -> None:
    chunk = next(corpus.documents(40)).chunks[3]
    found = await search.references([f"def {chunk.name}(", "nowhere_at_all"])
    assert chunk.id in [row["id"] for row in found]


async def test_a_traversal_starts_at_its_node_and_goes_as_deep_as_asked(search: Search) -> None:
    nodes = await search.traverse(5, 2)
    assert (nodes[0]["id"], nodes[0]["depth"]) == (5, 0)
    assert max(node["depth"] for node in nodes) <= 2
    called = {target for source, target in corpus.edges(40) if source == 5}
    assert called == {node["id"] for node in nodes if node["depth"] == 1}


async def test_a_traversal_from_nowhere_is_empty(search: Search) -> None:
    assert await search.traverse(999_999, 3) == []


async def test_a_document_is_added_read_and_removed_with_its_chunks(search: Search, pool: asyncpg.Pool) -> None:
    document_id, chunks = await search.add("uploads/one.py", corpus.source_of(1, 3))
    document = await search.document(document_id)
    assert chunks == 3
    assert document is not None
    assert [chunk["name"] for chunk in document["chunks"]]
    assert await search.remove(document_id) is True
    assert await search.remove(document_id) is False
    assert await search.document(document_id) is None
    assert await pool.fetchval("SELECT count(*) FROM chunks WHERE document_id = $1", document_id) == 0


async def test_the_faults_of_the_act_of_errors_are_real(search: Search) -> None:
    taken = next(corpus.documents(1))
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await search.lexical("parse & (", 5)
    with pytest.raises(ZeroDivisionError):
        await search.hybrid("??", 5)
    with pytest.raises(asyncpg.UniqueViolationError):
        await search.add(taken.path, corpus.source_of(1, 1))
    with pytest.raises(SyntaxError):
        await search.add("uploads/broken.py", "def unfinished(:\n")


async def test_without_redis_the_answers_stay(pool: asyncpg.Pool, free_port: int) -> None:
    async with client(f"redis://127.0.0.1:{free_port}/0") as nobody:
        assert await Search(pool, Cached(nobody)).traverse(5, 1)
