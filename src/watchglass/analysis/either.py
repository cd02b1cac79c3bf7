"""Conditions joined by OR: an index for each of them lets PostgreSQL put together what the indexes give (BitmapOr).

https://www.postgresql.org/docs/current/indexes-bitmap-scans.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from watchglass.analysis import sql_reading
from watchglass.analysis.quals import Kind, Qual, of_condition
from watchglass.analysis.relations import Relation

if TYPE_CHECKING:
    from sqlglot import exp

SERVED: tuple[Kind, ...] = ("equal", "range", "prefix", "infix", "contains")


@dataclass(frozen=True, slots=True)
class Either:
    """Arms of an OR, each a number of conditions that hold together. `alone`: nothing else is asked of the rows."""

    arms: tuple[tuple[Qual, ...], ...]
    alone: bool


def either(select: exp.Select, alias: str, known: Mapping[str, Relation]) -> Iterator[Either]:
    """What the SELECT asks of one table by OR, where an index could serve each arm; `known` as in `of_condition`."""
    conditions = list(sql_reading.conditions(select))
    for node, only in conditions:
        arms = _arms(node, known) if only is None else []
        mine = [tuple(qual for of, qual in arm if of == alias and qual.kind in SERVED) for arm in arms]
        if len(mine) > 1 and all(mine) and one_list(mine) is None:
            yield Either(tuple(dict.fromkeys(mine)), len(conditions) == 1)


def as_list(node: exp.Expr, known: Mapping[str, Relation]) -> tuple[str, Qual] | None:
    """An OR that compares one column with several values, as the list that it is."""
    arms = _arms(node, known)
    aliases = {alias for arm in arms for alias, _ in arm}
    found = one_list([tuple(qual for _, qual in arm) for arm in arms]) if len(aliases) == 1 else None
    return (aliases.pop(), found) if found else None


def one_list(arms: Sequence[tuple[Qual, ...]]) -> Qual | None:
    """One condition that stands for all arms: the same column, equal to this or that."""
    first = arms[0][0] if len(arms) > 1 and arms[0] else None
    alike = first is not None and first.kind == "equal" and all(len(arm) == 1 for arm in arms)
    if first is None or not alike or len({(one.column, one.kind, one.function, one.value) for [one] in arms}) > 1:
        return None
    return Qual(first.column, "equal", first.function, sum(one.values for [one] in arms), first.value)


def _arms(node: exp.Expr, known: Mapping[str, Relation]) -> list[list[tuple[str, Qual]]]:
    """The arms of an OR, with what is known of each; none of anything else."""
    from sqlglot import exp

    if not isinstance(node.unnest(), exp.Or):
        return []
    parts = list(node.unnest().flatten())
    return [[found for one in sql_reading.conjuncts(part) for found in of_condition(one, known)] for part in parts]
