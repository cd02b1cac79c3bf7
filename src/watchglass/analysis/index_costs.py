"""What an index would cost to read, by PostgreSQL's own formulas with its default settings.

https://www.postgresql.org/docs/current/runtime-config-query.html#RUNTIME-CONFIG-QUERY-CONSTANTS
"""

from __future__ import annotations

from math import ceil, sqrt

from watchglass.analysis.index_sizes import inverted
from watchglass.analysis.relations import PAGE_BYTES, Column, Relation

RANDOM_PAGE, SEQUENTIAL_PAGE = 4.0, 1.0
_ROW, _INDEX_ROW, _OPERATOR = 0.01, 0.005, 0.0025
_DESCENT_PAGES = 1.0
_PENDING_PAGES = 5.0
_ENTRIES_OF_A_PATTERN = 15.0
"""Trigrams of one of several patterns: a name has about so many, and each is a page that is looked up."""


def heap_pages(relation: Relation, rows: float) -> float:
    """Pages of a table that so many rows anywhere in it lie on (Mackert and Lohman, as costsize.c has it)."""
    pages = max(1.0, float(relation.pages))
    return min(pages, 2 * pages * rows / (2 * pages + rows))


def read_cost(
    relation: Relation, rows: float, *, correlation: float = 0.0, descents: float = 1.0, ordered: bool = False
) -> float:
    """Reading so many rows through an index that is descended so often; `ordered`: in its order, thus by no bitmap."""
    scattered = heap_pages(relation, rows)
    near = RANDOM_PAGE - (RANDOM_PAGE - SEQUENTIAL_PAGE) * sqrt(scattered / max(1.0, float(relation.pages)))
    together = RANDOM_PAGE + SEQUENTIAL_PAGE * ceil(relation.pages * rows / max(1.0, relation.rows))
    in_order = correlation * correlation
    walked = in_order * together + (1 - in_order) * scattered * RANDOM_PAGE
    pages = walked if ordered else min(walked, scattered * near)
    leaves = rows / 300
    descended = descents * relation.parts * _DESCENT_PAGES + (relation.parts - 1) * RANDOM_PAGE
    return descended + leaves + pages + rows * (_ROW + _INDEX_ROW + _OPERATOR)


def inverted_cost(relation: Relation, column: Column, rows: float, patterns: int = 1) -> float:
    """Reading so many rows through GIN: its lists, and each row looked at again, for each of several patterns anew."""
    pages = _PENDING_PAGES
    if patterns > 1:
        all_pages, entries = _pages_of(relation, column), patterns * _ENTRIES_OF_A_PATTERN
        pages += relation.parts * min(all_pages, 2 * all_pages * entries / (2 * all_pages + entries))
    return pages * RANDOM_PAGE + read_cost(relation, rows) + rows * (_ROW + patterns * _OPERATOR)


def _pages_of(relation: Relation, column: Column) -> float:
    """Those of the parts that are read."""
    return inverted(relation, column).typical / PAGE_BYTES * relation.rows / max(1.0, relation.all_rows)
