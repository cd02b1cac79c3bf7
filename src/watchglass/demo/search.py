"""What the demo service answers: searches, traversals and documents, cached in Redis where that pays.

Two faults are left in on purpose, for the act of errors: a query that PostgreSQL cannot parse is not caught
(`lexical`), nor is one without a word (`hybrid`).
"""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import asyncpg
import structlog

from watchglass.demo import library
from watchglass.demo.cached import Cached
from watchglass.demo.vectors import embed, similarity, words

Found = list[dict[str, Any]]

log = structlog.get_logger("codesearch.search")


class Search:
    """The service's operations on one pool and one cache."""

    def __init__(self, pool: asyncpg.Pool, cached: Cached) -> None:
        self._pool = pool
        self._cached = cached

    async def lexical(self, query: str, limit: int) -> Found:
        """Chunks by text-search rank. The query is PostgreSQL's own syntax where it has an operator."""
        expression = query if any(sign in query for sign in "&|!()") else " & ".join(query.split())

        async def ask() -> Found:
            return _rows(await self._pool.fetch(library.LEXICAL, expression, limit))

        return await self._timed("lexical", query, self._cached.get("search_results", ("lexical", query, limit), ask))

    async def hybrid(self, query: str, limit: int) -> Found:
        """Chunks that share a word with the query, by the cosine of their vectors."""

        async def ask() -> Found:
            vector = await self.embedding(query)
            rows = await self._pool.fetch(library.CANDIDATES, " | ".join(words(query)))
            ranked = [{**_plain(row), "rank": similarity(vector, row["vector"])} for row in rows]
            return sorted(ranked, key=lambda found: (-found["rank"], found["id"]))[:limit]

        return await self._timed("hybrid", query, self._cached.get("search_results", ("hybrid", query, limit), ask))

    async def references(self, symbols: list[str]) -> Found:
        """Chunks that mention any of the symbols. Reads every chunk where no index of trigrams serves it."""
        patterns = [f"%{symbol}%" for symbol in symbols]
        return await self._timed("references", ", ".join(symbols), self._fetch(library.REFERENCES, patterns))

    async def traverse(self, node_id: int, depth: int) -> Found:
        """The chunks that a chunk calls, directly or not, nearest first; the chunk itself at depth 0."""

        async def ask() -> Found:
            return await self._fetch(library.TRAVERSE, node_id, depth)

        found: Found = await self._cached.get("graph_traversal", (node_id, depth), ask)
        return found

    async def embedding(self, text: str) -> list[float]:
        async def ask() -> list[float]:
            return embed(text)

        vector: list[float] = await self._cached.get("embeddings", text, ask)
        return vector

    async def document(self, document_id: int) -> dict[str, Any] | None:
        """A document with its chunks, or None."""
        async with self._pool.acquire() as connection:
            document = await connection.fetchrow(library.DOCUMENT, document_id)
            if document is None:
                return None
            chunks = await connection.fetch(library.CHUNKS, document_id)
        return {**document, "chunks": _rows(chunks)}

    async def add(self, path: str, source: str) -> tuple[int, int]:
        """Store a document. Returns its id and the number of its chunks.

        Raises asyncpg.UniqueViolationError where the path is taken, and SyntaxError where it is not Python.
        """
        chunks = [(name, text, await self.embedding(text)) for name, text in _functions(source)]
        async with self._pool.acquire() as connection, connection.transaction():
            document_id = await connection.fetchval(library.ADD_DOCUMENT, path, datetime.now(UTC))
            await connection.executemany(library.ADD_CHUNK, [(document_id, *chunk) for chunk in chunks])
        log.info("document added", document_id=document_id, path=path, chunks=len(chunks))
        return document_id, len(chunks)

    async def remove(self, document_id: int) -> bool:
        removed = await self._pool.fetchval(library.REMOVE_DOCUMENT, document_id)
        log.info("document removed" if removed else "document not found", document_id=document_id)
        return removed is not None

    async def _fetch(self, query: str, *arguments: object) -> Found:
        return _rows(await self._pool.fetch(query, *arguments))

    async def _timed(self, kind: str, query: str, answer: Any) -> Found:
        started = perf_counter()
        found: Found = await answer
        seconds = perf_counter() - started
        write = log.warning if seconds > 1 else log.info
        write("searched", kind=kind, query=query[:80], found=len(found), ms=round(seconds * 1000, 1))
        return found


def _plain(row: asyncpg.Record) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "vector"}


def _rows(rows: list[asyncpg.Record]) -> Found:
    return [dict(row) for row in rows]


def _functions(source: str) -> list[tuple[str, str]]:
    """The functions of Python source as (name, text)."""
    tree = ast.parse(source)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [(node.name, ast.get_source_segment(source, node) or "") for node in functions]
