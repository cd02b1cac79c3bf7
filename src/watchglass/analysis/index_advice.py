"""Which index would make a slow statement fast: drawn from its text, its plan, and what the catalogue knows.

An index is advised where the plan reads a whole table of a hundred pages and more, a condition or an order of the
statement lets an index do with little of it, no such index exists, and the cost falls to less than half. It is never
created here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from watchglass.analysis import sql_reading
from watchglass.analysis.candidates import Candidate, candidates
from watchglass.analysis.quals import Use, uses
from watchglass.analysis.relations import Facts, Index, Relation
from watchglass.analysis.scans import Node, Scan, cost_of, scans_of

FEWEST_PAGES = 100
"""Tables smaller than that are read as fast without an index."""

GAIN = 2.0
"""What an index costs to keep is worth it where a statement's cost falls by this factor."""

ESTIMATED_GAIN = 2.5
"""The same where the gain is an estimate of ours, which may be off."""

ESTIMATED_GAIN_OF_SEVERAL = 4.0
"""The same for several indexes at once, whose estimates are off together: none is left out because of another."""

LEAST_SHARE = 0.1
"""An index that saves less of the whole cost does not matter beside the others: a better plan may well not use it."""

TRIGRAMS_SCHEMA = "public"


@dataclass(frozen=True, slots=True)
class Advice:
    """An index that would help one statement.

    `shapes` are its keys as they are compared. `statement` is what an administrator runs, `definition` the same without
    CONCURRENTLY, for a transaction. Costs are the whole statement's, in PostgreSQL's units, without and with all
    indexes that are advised for it; `basis` is verified where PostgreSQL planned with it, estimated where its formulas
    were applied here. `extension` has to be created first. `superseded` are indexes whose keys this one begins with.
    """

    table: str
    method: str
    keys: tuple[str, ...]
    shapes: tuple[str, ...]
    statement: str
    definition: str
    reason: str
    cost_before: float
    cost_after: float
    size_bytes: int
    writes: str
    basis: Literal["estimated", "verified"] = "estimated"
    extension: str | None = None
    superseded: tuple[str, ...] = ()


def advise(text: str, plan: Node, facts: Facts) -> list[Advice]:
    """The indexes for one statement, by its plan's root node. Raises `ExtraMissing` without sqlglot."""
    tree = sql_reading.read(text)
    if tree is None:
        return []
    wanted = uses(tree, facts.relations)
    found: dict[tuple[str, tuple[str, ...]], tuple[Use, Candidate, float, float]] = {}
    for scan in scans_of(plan):
        best = _best(scan, wanted, facts)
        if best is not None:
            use, candidate = best
            saved = _cost_without(scan, candidate) - _cost_with(scan, candidate)
            found.setdefault(
                (use.relation.quoted, candidate.keys), (use, candidate, saved, _cost_with(scan, candidate))
            )
    before = cost_of(plan)
    chosen = [one for one in found.values() if one[2] >= LEAST_SHARE * before]
    after = max(before - sum(one[2] for one in chosen), sum(one[3] for one in chosen))
    if after * (ESTIMATED_GAIN if len(chosen) == 1 else ESTIMATED_GAIN_OF_SEVERAL) > before:
        return []
    return [_advice(use, candidate, before, after, facts) for use, candidate, *_ in chosen]


def confirmed(advice: Sequence[Advice], cost_after: float, sizes: Sequence[int | None]) -> list[Advice]:
    """Advice as PostgreSQL planned with it: those with a size are used, and none is given where all gain too little."""
    used = [(one, size) for one, size in zip(advice, sizes, strict=True) if size is not None]
    if not used or cost_after * GAIN > advice[0].cost_before:
        return []
    return [replace(one, basis="verified", cost_after=cost_after, size_bytes=size) for one, size in used]


def _best(scan: Scan, wanted: Iterable[Use], facts: Facts) -> tuple[Use, Candidate] | None:
    """The cheapest index for what reads this table, if it is worth it and none there is serves the same."""
    trigrams = facts.trigrams or (TRIGRAMS_SCHEMA if facts.trigrams_available else None)
    fitting = [
        (use, candidate)
        for use in wanted
        if use.relation.name == scan.relation and use.alias == scan.alias
        if scan.schema in (None, use.relation.schema)
        if use.relation.kind in "rm" and use.relation.pages >= FEWEST_PAGES
        for candidate in candidates(use, scan, trigrams)
    ]
    worth_it = [one for one in fitting if _cost_with(scan, one[1]) * GAIN <= _cost_without(scan, one[1])]
    if any(covers(index, candidate) for use, candidate in worth_it for index in use.relation.indexes):
        return None  # one that exists will do, if need be once the others are there
    return min(worth_it, key=lambda one: one[1].cost, default=None)


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


def _cost_without(scan: Scan, candidate: Candidate) -> float:
    return scan.sorted_cost if candidate.sorted and scan.sorted_cost is not None else scan.cost * scan.fraction


def _cost_with(scan: Scan, candidate: Candidate) -> float:
    """Where an index gave the order, one that does not has to give all rows to a sort."""
    return candidate.cost if candidate.sorted or scan.in_order else candidate.cost * scan.fraction


def _advice(use: Use, candidate: Candidate, before: float, after: float, facts: Facts) -> Advice:
    relation = use.relation
    using = "" if candidate.method == "btree" else f" USING {candidate.method}"
    target = f"{relation.quoted}{using} ({', '.join(candidate.keys)})"
    trigram = "gin_trgm_ops" in candidate.keys[0] and facts.trigrams is None
    return Advice(
        relation.quoted,
        candidate.method,
        candidate.keys,
        candidate.shapes,
        f"CREATE INDEX CONCURRENTLY ON {target}",
        f"CREATE INDEX ON {target}",
        _reason(relation, candidate),
        before,
        after,
        candidate.bytes,
        writes_of(relation, facts.writes_seconds),
        extension="pg_trgm" if trigram else None,
        superseded=tuple(index.name for index in relation.indexes if _begins(candidate, index)),
    )


def _reason(relation: Relation, candidate: Candidate) -> str:
    return (
        f"All {relation.pages:,} pages of {relation.quoted} are read for about {candidate.rows:,.0f} of its "
        f"{relation.rows:,.0f} rows; the index serves {candidate.serves}."
    )


def writes_of(relation: Relation, seconds: float | None) -> str:
    """What the index costs to keep, in a sentence."""
    each = "Each INSERT, and each UPDATE that moves a row, writes to it"
    writes = relation.inserts + relation.updates - relation.hot_updates
    if not seconds or seconds < 60:
        return f"{each}."
    return f"{each}: about {writes / seconds * 3600:,.0f} an hour, as counted over {seconds / 86400:,.1f} days."


def _begins(candidate: Candidate, index: Index) -> bool:
    """Whether an index does nothing that this one would not do."""
    droppable = not (index.unique or index.primary or index.constraint) and index.serves
    same = index.method == candidate.method == "btree" and len(index.keys) < len(candidate.keys)
    return droppable and same and candidate.shapes[: len(index.keys)] == index.shapes
