"""Which index, or which indexes together, are best for what reads one table; none where one that is there serves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from watchglass.analysis.candidates import Candidate, candidates, selectivity
from watchglass.analysis.either import SERVED, Either
from watchglass.analysis.existing import covers
from watchglass.analysis.quals import Qual
from watchglass.analysis.relations import FEWEST_PAGES, Index, Relation
from watchglass.analysis.scans import Scan, together
from watchglass.analysis.uses import Use

GAIN = 2.0
"""What an index costs to keep is worth it where a statement's cost falls by this factor."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Indexes to be made for one table, what they save of the plan's cost, and what reading through them costs."""

    use: Use
    candidates: tuple[Candidate, ...]
    saved: float
    cost: float


def tables_of(scans: Sequence[Scan], wanted: Sequence[Use]) -> Iterator[tuple[Scan, list[Use]]]:
    """What reads a table, with what may be wanted of it; the scans of a table's partitions are one."""
    large = [use for use in wanted if use.relation.pages >= FEWEST_PAGES]
    for scan in scans:
        yield scan, _meant(scan, [use for use in large if use.relation.kind in "rm" and _is_of(scan, use)])
    for use in large:
        parts = _parts(scans, use, {one.relation.name for one in wanted})
        read = _narrowed(use, parts)
        if read.relation.pages >= FEWEST_PAGES:
            yield together(parts), [read]


def choose(scan: Scan, wanted: Iterable[Use], trigrams: str | None) -> Choice | None:
    """The cheapest for what reads this table, if it is worth it."""
    fitting = [(use, one) for use in wanted for one in candidates(use, scan, trigrams)]
    worth_it = [one for one in fitting if _cost_with(scan, one[1]) * GAIN <= _cost_without(scan, one[1])]
    if any(covers(index, candidate) for use, candidate in worth_it for index in existing(use.relation)):
        return None  # one that exists will do, if need be once the others are there
    best = min(worth_it, key=lambda one: one[1].cost, default=None)
    if best is not None:
        use, one = best
        return Choice(use, (one,), _cost_without(scan, one) - _cost_with(scan, one), _cost_with(scan, one))
    several = [found for use in wanted for either in use.either if (found := _of_arms(scan, use, either, trigrams))]
    return min(several, key=lambda one: one.cost, default=None)


def existing(relation: Relation) -> list[Index]:
    """The indexes of a table, those of its partitions included: none of these is advised again."""
    return [*relation.indexes, *(index for one in relation.partitions or () for index in one.indexes)]


def _of_arms(scan: Scan, use: Use, either: Either, trigrams: str | None) -> Choice | None:
    """An index for each arm that has none, where all of them together are worth it."""
    missing: list[Candidate] = []
    cost = 0.0
    for arm in either.arms:
        found = _of_arm(scan, use, arm, either.alone, trigrams)
        if not found:
            return None
        there = next((one for one in found if any(covers(index, one) for index in existing(use.relation))), None)
        best = there if there and there.cost <= GAIN * found[0].cost else found[0]
        missing += [] if best is there else [best]
        cost += best.cost
    without = scan.cost * scan.fraction
    if not missing or cost * GAIN > without:
        return None
    return Choice(use, tuple({one.keys: one for one in missing}.values()), without - cost, cost)


def _of_arm(scan: Scan, use: Use, arm: tuple[Qual, ...], alone: bool, trigrams: str | None) -> list[Candidate]:
    """Indexes for one arm, the cheapest first. What all arms let through is the most that one can."""
    share = reduce(lambda one, two: one * two, (selectivity(use, qual) for qual in arm), 1.0)
    rows = max(1.0, min(use.relation.rows * share, scan.rows if alone else use.relation.rows))
    of_arm = replace(use, quals=arm, sort=(), limited=False)
    return candidates(of_arm, replace(scan, rows=rows, filter="either", outer_rows=None, joined_by=""), trigrams)


def _is_of(scan: Scan, use: Use) -> bool:
    relation = use.relation
    return scan.relation == relation.name and scan.is_named(use.alias) and scan.schema in (None, relation.schema)


def _meant(scan: Scan, wanted: list[Use]) -> list[Use]:
    """Of several SELECTs that call a table the same, those whose conditions are the scan's."""
    if len(wanted) < 2:
        return wanted
    return [
        use for use in wanted if all(scan.filters(use.relation.columns[one.column].quoted) for one in use.of(*SERVED))
    ]


def _parts(scans: Sequence[Scan], use: Use, tables: set[str]) -> list[Scan]:
    """The scans of a table's partitions; of those that are left off only the alias tells, which PostgreSQL numbers."""
    leaves = {one.name for one in use.relation.partitions or () if not one.has_parts}
    left_off = use.relation.partitions_left_off > 0 and bool(leaves)
    mine = [scan for scan in scans if scan.is_named(use.alias)]
    return [one for one in mine if one.relation in leaves or (left_off and one.relation not in tables)]


def _narrowed(use: Use, parts: Sequence[Scan]) -> Use:
    """The table as far as it is read: an index has to be descended in each of the parts."""
    leaves = {one.name: one for one in use.relation.partitions or () if not one.has_parts}
    read = [leaves[name] for name in {scan.relation for scan in parts} if name in leaves]
    unknown, many = len(parts) - len(read) if use.relation.partitions_left_off else 0, max(1, len(leaves))
    rows = sum(one.rows for one in read) + unknown * sum(one.rows for one in leaves.values()) / many
    pages = sum(one.pages for one in read) + round(unknown * sum(one.pages for one in leaves.values()) / many)
    return replace(use, relation=replace(use.relation, rows=rows, pages=pages, parts=max(1, len(parts))))


def _cost_without(scan: Scan, candidate: Candidate) -> float:
    return scan.sorted_cost if candidate.sorted and scan.sorted_cost is not None else scan.cost * scan.fraction


def _cost_with(scan: Scan, candidate: Candidate) -> float:
    """Where an index gave the order, one that does not has to give all rows to a sort."""
    return candidate.cost if candidate.sorted or scan.in_order else candidate.cost * scan.fraction
