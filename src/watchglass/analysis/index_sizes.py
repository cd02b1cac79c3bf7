"""How large an index becomes once it is built: a range, as narrow as what the catalogue knows of the columns allows.

Of a table with partitions it is that of all of them, also where fewer are read.

What was measured beside what this says is in docs/decisions/0022; https://www.postgresql.org/docs/current/btree.html
and https://www.postgresql.org/docs/current/gin.html tell what the pages hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, prod, sqrt
from typing import NamedTuple

from watchglass.analysis.relations import PAGE_BYTES, Column, Relation

_TUPLE, _ALIGNED = 12, 8
"""Bytes of an entry of a B-tree besides its key, with the pointer to it; keys are aligned to so many."""

_ROW_BYTES, _LONGEST_LIST = 6, 800
"""Of equal keys each row takes so many bytes, in lists of so many."""

_FILLED = 0.89
_NEVER_ONCE = ("numeric", "real", "double precision", "interval", "jsonb", "tsvector", "tsquery")
"""Types whose equal values may look different: they are kept as often as they are there."""

_TRIGRAM = 2.4
_TRIGRAM_RANGE, _TRIGRAM_RANGE_REPEATED = (0.6, 1.7), (0.4, 1.1)
_VOCABULARY, _SATURATION = 380.0, 0.64
"""Of a text of so many characters half of the trigrams were in it before."""

_DOCUMENT, _DOCUMENT_REPEATED, _DOCUMENT_MORE = (0.2, 1.0), (0.05, 0.4), 30
_REPEATED, _RARE, _ALONE, _ARRAY_HEADER = (1.2, 2.8), 3.5, 24, 24
_HALF_FULL = 0.5
_COMPRESSED = 2.0
_INLINE = 1024


class Size(NamedTuple):
    """Bytes, at least and at most so many."""

    least: int
    most: int

    @property
    def typical(self) -> float:
        return sqrt(self.least * self.most)

    def within(self, most: int) -> Size:
        """The same where it is known not to be more."""
        return Size(min(self.least, most), min(self.most, most))


def btree(relation: Relation, columns: Sequence[Column]) -> Size:
    """Equal keys are kept once. How many of several columns are equal together nobody counts."""
    rows = max(1.0, relation.all_rows)
    key = _key_bytes(columns)
    if any(not _kept_once(column) for column in columns):
        return _pages(rows * (_TUPLE + key) / _FILLED, rows * (_TUPLE + key) / _FILLED)
    known = [column.distinct if column.analyzed else rows for column in columns]
    fewest = max(column.distinct for column in columns)
    nulls = rows * columns[0].null_fraction if len(columns) == 1 else 0.0
    found = (_keys(rows - nulls, min(rows, distinct), key) for distinct in (fewest, prod(known)))
    return _pages(*(one + _keys(nulls, 1.0, _ALIGNED) for one in found))


def inverted(relation: Relation, column: Column) -> Size:
    """GIN: trigrams of a text, elements of an array, paths of a document. It has a list of rows for each of those."""
    rows = relation.all_rows * (1 - column.null_fraction)
    if column.is_array:
        each = _of_array(column)
    elif column.is_text:
        characters = _characters(relation, column)
        share = _TRIGRAM_RANGE_REPEATED if _is_repeated(relation, column) else _TRIGRAM_RANGE
        each = [_TRIGRAM * trigrams(one) * part for one, part in zip(characters, share, strict=True)]
    else:
        share = _DOCUMENT_REPEATED if _is_repeated(relation, column) else _DOCUMENT
        least, most = _characters(relation, column)
        each = [least * share[0], most * share[1] + _DOCUMENT_MORE]
    return _pages(*(rows * one + (relation.all_rows - rows) * _REPEATED[0] for one in each))


def trigrams(characters: float) -> float:
    """How many different ones a text of so many characters has: nearly each of a name, a third of those of a page."""
    known_before: float = (characters / _VOCABULARY) ** _SATURATION
    return (characters + 1) / (1 + known_before)


def entries(relation: Relation, column: Column) -> float | None:
    """How many entries of a GIN index a row has; None where nobody knows."""
    if column.is_text:
        return trigrams(sum(_characters(relation, column)) / 2)
    return column.elements


def _keys(rows: float, distinct: float, key: int) -> float:
    """Bytes of so many rows that have so many different keys."""
    if rows < 1:
        return 0.0
    each = max(1.0, rows / max(1.0, distinct))
    lists = ceil(each * _ROW_BYTES / max(_ROW_BYTES, _LONGEST_LIST - key))
    return rows / each * min(each * (_TUPLE + key), lists * (_TUPLE + key) + each * _ROW_BYTES) / _FILLED


def _key_bytes(columns: Iterable[Column]) -> int:
    """Bytes of a key as it is aligned; texts are of different lengths, and lose half of that on the average."""
    end, varies = 0.0, False
    for column in columns:
        aligned = column.width if column.width in (2, 4, 8) and not column.varies else 1
        end = ceil(end / aligned) * aligned + column.width
        varies = varies or column.varies
    return max(ceil(end / _ALIGNED) * _ALIGNED, ceil(end + (_ALIGNED - 1) / 2) if varies else 0)


def _kept_once(column: Column) -> bool:
    return not (column.is_array or column.type.endswith("range") or column.type in _NEVER_ONCE)


def _characters(relation: Relation, column: Column) -> tuple[float, float]:
    """Of a value: what lies beside the table (TOAST) is compressed, to half of it or less."""
    beside = relation.beside_bytes / max(1.0, relation.all_rows * (1 - column.null_fraction))
    if not column.is_long:
        return column.width, column.width * (_COMPRESSED if beside and column.width > _INLINE / 2 else 1.0)
    width = max(float(_INLINE), column.width + beside)
    return width, width * _COMPRESSED


def _is_repeated(relation: Relation, column: Column) -> bool:
    """Whether a value is there so often that its rows are close to each other in the lists."""
    return column.analyzed and column.distinct * 10 < relation.all_rows


def _of_array(column: Column) -> list[float]:
    """Elements that are common take as little as equal keys do; each of the others may be the only one of its kind."""
    if column.elements is None:
        return [column.width * part for part in _DOCUMENT]
    common = min(column.elements, column.common_elements)
    rare = column.elements - common
    width = max(0.0, column.width - _ARRAY_HEADER) / max(1.0, rare)
    return [common * _REPEATED[0] + rare * _RARE, common * _REPEATED[1] + rare * (_ALONE + width) / _HALF_FULL]


def _pages(least: float, most: float) -> Size:
    return Size(*(max(2, ceil(one / PAGE_BYTES)) * PAGE_BYTES for one in (least, most)))
