"""Which index would make a slow statement fast: drawn from its text, its plan, and what the catalogue knows.

An index is advised where the plan reads a whole table of a hundred pages and more, a condition or an order of the
statement lets an index do with little of it, no such index exists, and the cost falls to less than half. It is never
created here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from watchglass.analysis import sql_reading
from watchglass.analysis.candidates import Candidate
from watchglass.analysis.choices import GAIN, Choice, choose, tables_of
from watchglass.analysis.existing import begins
from watchglass.analysis.index_sizes import Size
from watchglass.analysis.index_statements import definition, statement
from watchglass.analysis.relations import Facts, Relation
from watchglass.analysis.scans import Node, cost_of, gathering, scans_of
from watchglass.analysis.uses import Use, uses

ESTIMATED_GAIN = 2.5
"""As `GAIN`, where the gain is an estimate of ours, which may be off."""

ESTIMATED_GAIN_OF_SEVERAL = 4.0
"""The same for several indexes at once, whose estimates are off together: none is left out because of another."""

LEAST_SHARE = 0.1
"""An index that saves less of the whole cost does not matter beside the others: a better plan may well not use it."""

LEAST_SECONDS = 3600.0
"""For how long writes have to be counted before they are told: how a table was filled says nothing of an hour."""

NEEDS_STATISTICS = " Analyze the table once it is there: PostgreSQL knows nothing of an expression before."

IN_DOCUMENTS = " How often a document has the value is not known, only guessed: check that it is rare."

_LOOKED_AT = " It has very many partitions: {:,} of {:,} were looked at, which stand for the others."

TRIGRAMS_SCHEMA = "public"


class Keyed(Protocol):
    """An index by its keys, as a statement says them."""

    @property
    def table(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def keys(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Advice:
    """An index that would help one statement.

    `shapes` are its keys as they are compared, `columns` what they are made of. `statement` is what an administrator
    runs, `definition` the same without CONCURRENTLY, for a transaction; of a table with partitions (`of_partitions`) it
    is several, one a line. Costs are the whole statement's, in PostgreSQL's units, without and with all
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
    size: Size
    writes: str
    basis: Literal["estimated", "verified"] = "estimated"
    extension: str | None = None
    superseded: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    of_partitions: bool = False


def advise(text: str, plan: Node, facts: Facts) -> list[Advice]:
    """The indexes for one statement, by its plan's root node. Raises `ExtraMissing` without sqlglot."""
    tree = sql_reading.read(text)
    if tree is None:
        return []
    found: dict[tuple[str, tuple[str, ...]], Choice] = {}
    scans = scans_of(plan)
    for scan, wanted in tables_of(scans, uses(tree, facts.relations)):
        best = choose(scan, wanted, facts.trigrams or (TRIGRAMS_SCHEMA if facts.trigrams_available else None))
        if best is not None:
            found.setdefault((best.use.relation.quoted, best.candidates[0].keys), best)
    before = cost_of(plan)
    chosen = [one for one in found.values() if one.saved >= LEAST_SHARE * before]
    saved = sum(one.saved for one in chosen) + (gathering(plan) if len(chosen) == len(scans) else 0.0)
    after = max(before - saved, sum(one.cost for one in chosen))
    several = sum(len(one.candidates) for one in chosen) > 1
    if after * (ESTIMATED_GAIN_OF_SEVERAL if several else ESTIMATED_GAIN) > before:
        return []
    made = [_advice(one.use, candidate, before, after, facts) for one in chosen for candidate in one.candidates]
    needed = [one for one in made if not any(other is not one and makes_needless(other, one) for other in made)]
    return list({one.statement: one for one in needed}.values())


def makes_needless(longer: Keyed, shorter: Keyed) -> bool:
    """Whether an advised index does all that another would do, because it begins with its keys."""
    same = longer.table == shorter.table and longer.method == shorter.method == "btree"
    return same and len(longer.keys) > len(shorter.keys) and longer.keys[: len(shorter.keys)] == shorter.keys


def confirmed(advice: Sequence[Advice], cost_after: float, sizes: Sequence[int | None]) -> list[Advice]:
    """Advice as PostgreSQL planned with it: those with a size are used, and none is given where all gain too little.

    The size is HypoPG's, of an index that has each key as often as there are rows: at most so much.
    """
    used = [(one, size) for one, size in zip(advice, sizes, strict=True) if size is not None]
    if not used or cost_after * GAIN > advice[0].cost_before:
        return []
    return [replace(one, basis="verified", cost_after=cost_after, size=one.size.within(size)) for one, size in used]


def _advice(use: Use, candidate: Candidate, before: float, after: float, facts: Facts) -> Advice:
    relation = use.relation
    trigram = "gin_trgm_ops" in candidate.keys[0] and facts.trigrams is None
    return Advice(
        relation.quoted,
        candidate.method,
        candidate.keys,
        candidate.shapes,
        statement(relation, candidate),
        definition(relation, candidate),
        _reason(relation, candidate),
        before,
        after,
        candidate.size,
        writes_of(relation, facts.writes_seconds, candidate.entries),
        extension="pg_trgm" if trigram else None,
        superseded=tuple(index.name for index in relation.indexes if begins(candidate, index)),
        columns=candidate.columns,
        of_partitions=relation.kind == "p",
    )


def _reason(relation: Relation, candidate: Candidate) -> str:
    known = relation.partitions or ()
    return (
        f"All {relation.pages:,} pages of {relation.quoted} are read for about {candidate.rows:,.0f} of its "
        f"{relation.rows:,.0f} rows; the index serves {candidate.serves}."
        + (_LOOKED_AT.format(len(known), len(known) + left_off) if (left_off := relation.partitions_left_off) else "")
        + (IN_DOCUMENTS if any("->" in shape for shape in candidate.shapes) else "")
        + (NEEDS_STATISTICS if any("(" in shape or "->" in shape for shape in candidate.shapes) else "")
    )


def writes_of(relation: Relation, seconds: float | None, entries: float | None = 1.0) -> str:
    """What the index costs to keep, in a sentence; of a row it has so many `entries` (None: not known)."""
    many = "one entry for each value of the document" if entries is None else f"about {entries:,.0f} entries"
    what = "" if entries is not None and entries < 2 else f" {many}"
    each = f"Each INSERT, and each UPDATE that moves a row, writes{what} to it"
    writes = relation.inserts + relation.updates - relation.hot_updates
    if not seconds or seconds < LEAST_SECONDS:
        return f"{each}."
    return f"{each}: about {writes / seconds * 3600:,.0f} an hour, as counted over {seconds / 86400:,.1f} days."
