"""Whether an index that is there does what one that is thought of would do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from watchglass.analysis.candidates import Candidate
from watchglass.analysis.relations import Index


def covers(index: Index, candidate: Candidate) -> bool:
    """Whether an index that exists serves what the candidate would."""
    if not index.serves or index.method != candidate.method:
        return False
    first, length = candidate.any_order, len(candidate.shapes)
    if candidate.method == "gin":
        return candidate.shapes[0] in index.shapes
    if sorted(index.shapes[:first]) != sorted(candidate.shapes[:first]):
        return False
    same_class = all("text_pattern_ops" not in key or "text_pattern_ops" in index.classes for key in candidate.keys)
    return index.shapes[first:length] == candidate.shapes[first:] and same_class


def is_built(method: str, shapes: Sequence[str], indexes: Iterable[Index]) -> bool:
    """Whether an index that was advised is there."""
    return any(
        index.serves and index.method == method and index.shapes[: len(shapes)] == tuple(shapes) for index in indexes
    )


def begins(candidate: Candidate, index: Index) -> bool:
    """Whether an index does nothing that the candidate would not do."""
    droppable = not (index.unique or index.primary or index.constraint) and index.serves
    same = index.method == candidate.method == "btree" and len(index.keys) < len(candidate.keys)
    return droppable and same and candidate.shapes[: len(index.keys)] == index.shapes
