"""The demo service's routes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response
from pydantic import BaseModel, Field

from watchglass.demo.search import Search

router = APIRouter(prefix="/v1/code", tags=["code"])


def _search(request: Request) -> Search:
    search: Search = request.app.state.search
    return search


Searching = Annotated[Search, Depends(_search)]
Text = Annotated[str, Query(min_length=1, max_length=200)]
Limit = Annotated[int, Query(ge=1, le=100)]


class NewDocument(BaseModel):
    """A Python file to be searched from now on."""

    path: str = Field(min_length=1, max_length=300)
    source: str = Field(max_length=100_000)


@router.get("/search/lexical")
async def search_lexical(search: Searching, q: Text, limit: Limit = 20) -> dict[str, Any]:
    return {"query": q, "results": await search.lexical(q, limit)}


@router.get("/search/hybrid")
async def search_hybrid(search: Searching, q: Text, limit: Limit = 20) -> dict[str, Any]:
    return {"query": q, "results": await search.hybrid(q, limit)}


@router.get("/references")
async def references(
    search: Searching, symbol: Annotated[list[str], Query(min_length=1, max_length=64)]
) -> dict[str, Any]:
    return {"symbols": symbol, "results": await search.references(symbol)}


@router.get("/graph/traverse/{node_id}")
async def traverse(search: Searching, node_id: int, depth: Annotated[int, Query(ge=1, le=5)] = 3) -> dict[str, Any]:
    nodes = await search.traverse(node_id, depth)
    if not nodes:
        raise HTTPException(404, f"There is no node {node_id}.")
    return {"node_id": node_id, "nodes": nodes}


@router.get("/documents/{document_id}")
async def document(search: Searching, document_id: int) -> dict[str, Any]:
    found = await search.document(document_id)
    if found is None:
        raise HTTPException(404, f"There is no document {document_id}.")
    return found


@router.post("/documents", status_code=201)
async def add_document(search: Searching, new: NewDocument) -> dict[str, int]:
    document_id, chunks = await search.add(new.path, new.source)
    return {"id": document_id, "chunks": chunks}


@router.delete("/documents/{document_id}", status_code=204)
async def remove_document(search: Searching, document_id: Annotated[int, Path()]) -> Response:
    if not await search.remove(document_id):
        raise HTTPException(404, f"There is no document {document_id}.")
    return Response(status_code=204)
