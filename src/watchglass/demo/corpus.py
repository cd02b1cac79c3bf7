"""The code that the demo service searches: generated, deterministic, tens of thousands of chunks.

A document is a file, a chunk one function of it, an edge a call from one chunk to another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

DOCUMENTS = 2_500
CHUNKS_PER_DOCUMENT = 8
CALLS_PER_CHUNK = 3
SEED = 22

VERBS = (
    "parse", "load", "store", "merge", "split", "rank", "score", "resolve", "render", "validate", "encode", "decode",
    "fetch", "publish", "expire", "refresh", "collect", "filter", "group", "sort", "trace", "retry", "plan", "audit",
)  # fmt: skip
NOUNS = (
    "invoice", "order", "customer", "session", "token", "cache", "index", "query", "document", "chunk", "vector",
    "graph", "node", "edge", "batch", "message", "event", "metric", "report", "payment", "refund", "shipment", "basket",
    "catalog", "price", "discount", "webhook", "template", "schema", "migration", "partition", "snapshot",
)  # fmt: skip
MODULES = ("billing", "search", "catalog", "identity", "shipping", "ingest", "graph", "reports", "alerts", "common")

_BODY = '''def {name}({first}, {second}, *, limit={limit}):
    """{verb} the {noun} of a {other} and return what changed.

    What cannot be read is left as it was and said in the log, so that the rest is not lost; what was there before is
    given back to whoever calls next. Raises LookupError where there is no {noun}, and ValueError where there are more
    than the limit, because then one of the callers forgot to ask for a page of them.
    """
    found = {first}.{helper}_{noun}({second})
    if not found:
        raise LookupError("no {noun} for {other} %s" % {second})
    if len(found) > 2 * limit:
        raise ValueError("more than %d of {noun} for {other} %s" % (limit, {second}))
    changed = []
    for position, item in enumerate(found[:limit]):
        state = {helper}_{other}(item, position)
        if state.{noun}_id in {first}.{other}_ids:
            changed.append(({noun!r}, state.{noun}_id, position))
        else:
            logger.debug("{verb} skipped %s at %d", state, position)
    if not changed:
        logger.info("nothing changed for %s", {second})
        return []
    return {callee}(changed, limit=limit // {divisor})
'''


@dataclass(frozen=True, slots=True)
class Chunk:
    """A function of a document. Ids count from 1 in the order they are made."""

    id: int
    document_id: int
    name: str
    content: str


@dataclass(frozen=True, slots=True)
class Document:
    id: int
    path: str
    chunks: tuple[Chunk, ...]


def documents(count: int = DOCUMENTS, seed: int = SEED) -> Iterator[Document]:
    """The documents, the same for the same count and seed."""
    random = Random(seed)
    for document_id in range(1, count + 1):
        noun = random.choice(NOUNS)
        path = f"{random.choice(MODULES)}/{noun}/{random.choice(VERBS)}_{noun}_{document_id}.py"
        first = (document_id - 1) * CHUNKS_PER_DOCUMENT + 1
        chunks = tuple(_chunk(first + offset, document_id, noun, random) for offset in range(CHUNKS_PER_DOCUMENT))
        yield Document(document_id, path, chunks)


def edges(count: int = DOCUMENTS, seed: int = SEED) -> Iterator[tuple[int, int]]:
    """Calls as (source, target) chunk ids: mostly to neighbours, some to a few popular chunks, some anywhere."""
    random = Random(seed + 1)
    last = count * CHUNKS_PER_DOCUMENT
    for source in range(1, last + 1):
        targets = {_target(source, last, random) for _ in range(CALLS_PER_CHUNK)}
        yield from ((source, target) for target in sorted(targets - {source}))


def phrases(count: int, seed: int = SEED) -> list[str]:
    """What people search for: two or three words that the corpus knows, the most popular first, none twice."""
    random = Random(seed + 2)
    found: dict[str, None] = {}
    while len(found) < count:
        chosen = [random.choice(VERBS), random.choice(NOUNS)]
        if random.random() < 0.4:
            chosen.append(random.choice(NOUNS))
        found[" ".join(chosen)] = None
    return list(found)


def source_of(document_id: int, functions: int, seed: int = SEED) -> str:
    """The text of one more document, as somebody would upload it."""
    random = Random(seed * 1_000_003 + document_id)
    noun = random.choice(NOUNS)
    return "\n\n".join(_chunk(0, document_id, noun, random).content for _ in range(functions))


def _chunk(chunk_id: int, document_id: int, noun: str, random: Random) -> Chunk:
    verb, helper, callee = random.choice(VERBS), random.choice(VERBS), random.choice(VERBS)
    other = random.choice(NOUNS)
    name = f"{verb}_{noun}_{other}"
    content = _BODY.format(
        name=name, verb=verb, noun=noun, other=other, helper=helper, callee=f"{callee}_{noun}",
        first=random.choice(("store", "source", "client")), second=f"{other}_id",
        limit=random.randrange(10, 500), divisor=random.randrange(2, 9),
    )  # fmt: skip
    return Chunk(chunk_id, document_id, name, content)


def _target(source: int, last: int, random: Random) -> int:
    kind = random.random()
    if kind < 0.6:
        return min(last, max(1, source + random.randrange(-20, 21)))
    if kind < 0.8:
        return min(last, 1 + int(random.paretovariate(0.8)))
    return random.randrange(1, last + 1)
