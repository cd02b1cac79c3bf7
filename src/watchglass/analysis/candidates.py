"""Indexes that could serve one table of a statement, each with what reading through it would cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

from watchglass.analysis import index_sizes
from watchglass.analysis.index_costs import inverted_cost, read_cost
from watchglass.analysis.index_sizes import Size
from watchglass.analysis.quals import Qual
from watchglass.analysis.relations import Column, shape_of_key
from watchglass.analysis.scans import Scan
from watchglass.analysis.uses import SortKey, Use

MOST_COLUMNS = 3
FEW_ROWS = 10.0
"""Once so few rows are left, another column of an index saves nothing."""

_RANGE, _PATTERN = 1 / 3, 0.01
_BY_BYTES = " text_pattern_ops"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An index: its keys as a statement says them, their shapes to be compared, and what it serves, in words.

    `columns` are those that its keys are made of, by their names.
    """

    keys: tuple[str, ...]
    shapes: tuple[str, ...]
    columns: tuple[str, ...]
    serves: str
    cost: float
    rows: float
    size: Size
    method: str = "btree"
    any_order: int = 0
    """So many keys at the start are compared for equality: their order does not matter."""
    sorted: bool = False
    entries: float | None = 1.0
    """So many does a row have in it; None: not known."""


def candidates(use: Use, scan: Scan, trigrams: str | None) -> list[Candidate]:
    """Every index worth a thought, the cheapest to read first; `trigrams` is the schema of pg_trgm, None without."""
    found = [*_by_join(use, scan), *([] if scan.correlated else [*_trees(use, scan), *_inverted(use, scan, trigrams)])]
    return sorted(found, key=lambda one: (one.cost * (1 + 0.02 * len(one.keys)), len(one.keys)))


def selectivity(use: Use, qual: Qual) -> float:
    """The share of the table's rows that one condition lets through, as far as statistics tell."""
    column = qual.read_of(use.relation)
    if qual.kind in ("equal", "join"):
        distinct = max(1.0, column.distinct)
        return min(1.0, qual.values * (1 - column.null_fraction) / distinct)
    return _RANGE if qual.kind == "range" else min(1.0, _PATTERN * qual.values)


def _trees(use: Use, scan: Scan) -> Iterator[Candidate]:
    """B-trees: columns compared for equality, the most distinct first, then a range, a prefix, or the order."""
    equal = sorted(use.of("equal"), key=lambda qual: selectivity(use, qual))[:MOST_COLUMNS]
    for last in [None, *use.of("range"), *_prefixes(use)]:
        chosen = _enough(use, scan, equal)
        if last and chosen and _rows(use, scan, chosen) <= FEW_ROWS:
            continue
        quals = [*chosen, last] if last else chosen
        if quals and len({qual.shape for qual in quals}) == len(quals):
            yield _tree(use, quals, _rows(use, scan, quals), 1.0)
    if use.sort and use.limited:
        yield from _in_order(use, scan, [qual for qual in equal if qual.values == 1])


def _by_join(use: Use, scan: Scan) -> Iterator[Candidate]:
    """B-trees that are descended for each row outside."""
    equal = sorted(use.of("equal"), key=lambda qual: selectivity(use, qual))
    columns = use.relation.columns
    joined = [qual for qual in use.of("join") if scan.outer_rows and scan.is_joined_by(columns[qual.column].quoted)]
    for join in sorted(joined, key=lambda qual: selectivity(use, qual))[:1]:
        assert scan.outer_rows
        alone = scan.outer_rows * use.relation.rows * selectivity(use, join)
        yield _tree(use, [join], alone, scan.outer_rows)
        if equal and alone > FEW_ROWS * scan.outer_rows:
            both = sorted([join, equal[0]], key=lambda qual: selectivity(use, qual))
            yield _tree(use, both, alone * selectivity(use, equal[0]), scan.outer_rows)


def _in_order(use: Use, scan: Scan, equal: Sequence[Qual]) -> Iterator[Candidate]:
    """Read in the order that is asked for, until there are enough rows."""
    asked = use.limit if use.limit is not None else scan.limit_rows or 0.0
    wanted = asked + (use.offset or 0)
    let_through = max(1.0, scan.rows) / max(1.0, use.relation.rows)
    share = reduce(_times, (selectivity(use, one) for one in equal), 1.0)
    rows = min(_rows(use, scan, equal), wanted * share / let_through)
    keys = [*map(_key, [use] * len(equal), equal), *_sorted_keys(use)]
    shapes = (*(one.shape for one in equal), *(shape_of_key(key.column) for key in use.sort))
    if len(set(shapes)) < len(shapes):
        return
    sorted_ = [use.relation.columns[key.column] for key in use.sort]
    columns = [*(one.read_of(use.relation) for one in equal), *sorted_]
    yield Candidate(
        tuple(keys),
        shapes,
        tuple(column.name for column in columns),
        _words(equal, "the order"),
        read_cost(use.relation, max(1.0, rows), correlation=_correlation(columns), ordered=True),
        rows,
        index_sizes.btree(use.relation, columns),
        any_order=len(equal),
        sorted=True,
    )


def _inverted(use: Use, scan: Scan, trigrams: str | None) -> Iterator[Candidate]:
    """GIN: trigrams of a text, keys of a document, elements of an array."""
    for qual in use.of("infix", "contains", "prefix"):
        column = qual.read_of(use.relation)
        what = _inverted_class(qual, column, trigrams)
        if what is None:
            continue
        quals = [qual]
        rows = _rows(use, scan, quals)
        yield Candidate(
            (f"{qual.key(use.relation)}{what[0]}",),
            (qual.shape,),
            (qual.column,),
            what[1],
            inverted_cost(use.relation, column, rows, qual.values),
            rows,
            index_sizes.inverted(use.relation, column),
            method="gin",
            entries=index_sizes.entries(use.relation, column),
        )


def _inverted_class(qual: Qual, column: Column, trigrams: str | None) -> tuple[str, str] | None:
    if qual.kind == "infix" and column.is_text and trigrams is not None:
        several = "patterns that may begin anywhere"
        return f" {trigrams}.gin_trgm_ops", several if qual.values > 1 else "a pattern that may begin anywhere"
    if qual.kind == "contains" and column.is_jsonb:
        return " jsonb_path_ops", "containment in a document"
    if qual.kind == "contains" and column.is_array:
        return "", "membership in an array"
    return None


def _tree(use: Use, quals: Sequence[Qual], rows: float, descents: float) -> Candidate:
    columns = [qual.read_of(use.relation) for qual in quals]
    equal = [qual for qual in quals if qual.kind in ("equal", "join")]
    last = next((qual for qual in quals if qual.kind in ("range", "prefix")), None)
    many = sum(qual.values for qual in equal if qual.values > 1) or 1
    return Candidate(
        tuple(_key(use, qual) for qual in quals),
        tuple(qual.shape for qual in quals),
        tuple(qual.column for qual in quals),
        _words(equal, {"range": "a range", "prefix": "the beginning of a text"}.get(last.kind if last else "", "")),
        read_cost(use.relation, rows, correlation=_correlation(columns), descents=max(descents, many)),
        rows,
        index_sizes.btree(use.relation, columns),
        any_order=len(equal),
    )


def _correlation(columns: Sequence[Column]) -> float:
    """Of the order of an index with the table's, as PostgreSQL guesses it (btcostestimate)."""
    return columns[0].correlation * (1.0 if len(columns) == 1 else 0.75)


def _enough(use: Use, scan: Scan, equal: Sequence[Qual]) -> list[Qual]:
    """As many of the columns as still make a difference."""
    chosen: list[Qual] = []
    for qual in equal:
        if chosen and _rows(use, scan, chosen) <= FEW_ROWS:
            break
        chosen.append(qual)
    return chosen


def _rows(use: Use, scan: Scan, quals: Sequence[Qual]) -> float:
    """The rows that these conditions let through: what the plan expects where they are all there are.

    Of a range the plan knows more than statistics of single columns do, and less than all conditions let nothing less.
    What `others` let through is in the plan's rows, too, and nobody knows how much of it. Of what a function makes of a
    column the plan knows nothing until there is an index on it, and it was analyzed.
    """
    filters = use.of("equal", "range", "prefix", "infix", "contains")
    share = scan.rows / max(1.0, use.relation.rows)
    if not scan.filter or any(qual.function or qual.value for qual in quals):
        share = 0.0
    elif not use.others and set(filters) <= set(quals):
        return max(1.0, scan.rows)
    guesses = reduce(_times, (selectivity(use, qual) for qual in quals), 1.0)
    return max(1.0, use.relation.rows * max(guesses, share))


def _prefixes(use: Use) -> list[Qual]:
    return [qual for qual in use.of("prefix") if qual.read_of(use.relation).is_text]


def _key(use: Use, qual: Qual) -> str:
    column = qual.read_of(use.relation)
    return qual.key(use.relation) + (_BY_BYTES if qual.kind == "prefix" and not column.ordered_by_bytes else "")


def _sorted_keys(use: Use) -> list[str]:
    """Keys for the order; without a word where the index, read forwards or backwards, has it anyway."""
    plain = len({(key.descending, key.nulls_first == key.descending) for key in use.sort}) == 1
    if plain and use.sort[0].nulls_first == use.sort[0].descending:
        return [use.relation.columns[key.column].quoted for key in use.sort]
    return [use.relation.columns[key.column].quoted + _direction(key) for key in use.sort]


def _direction(key: SortKey) -> str:
    order = " DESC" if key.descending else ""
    return order if key.nulls_first == key.descending else f"{order} NULLS {'FIRST' if key.nulls_first else 'LAST'}"


def _words(equal: Sequence[Qual], last: str) -> str:
    joined = any(qual.kind == "join" for qual in equal)
    return " and ".join(filter(None, ("the join" if joined else "equality" if equal else "", last)))


def _times(one: float, two: float) -> float:
    return one * two
