from __future__ import annotations

import ast

from watchglass.demo import corpus


def test_the_corpus_is_the_same_every_time_and_another_for_another_seed() -> None:
    first = list(corpus.documents(20))
    assert first == list(corpus.documents(20))
    assert first != list(corpus.documents(20, seed=5))
    assert list(corpus.edges(20)) == list(corpus.edges(20))


def test_ids_count_on_and_paths_are_unique() -> None:
    documents = list(corpus.documents())
    chunks = [chunk for document in documents for chunk in document.chunks]
    assert [chunk.id for chunk in chunks] == list(range(1, 20_001))
    assert len({document.path for document in documents}) == len(documents)


def test_calls_lead_from_a_chunk_to_another_one_that_exists_and_none_is_listed_twice() -> None:
    edges = list(corpus.edges(100))
    last = 100 * corpus.CHUNKS_PER_DOCUMENT
    assert len(edges) == len(set(edges)) > last
    assert all(1 <= source <= last and 1 <= target <= last and source != target for source, target in edges)


def test_an_upload_is_python() -> None:
    assert len(ast.parse(corpus.source_of(7, 4)).body) == 4


def test_phrases_are_unique() -> None:
    assert len(set(corpus.phrases(300))) == 300
