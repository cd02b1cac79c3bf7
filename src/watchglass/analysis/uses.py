"""What a statement asks of each of its tables: the conditions and the order that an index could serve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from watchglass.analysis import sql_reading
from watchglass.analysis.either import Either, as_list, either
from watchglass.analysis.quals import Kind, Qual, column_of, of_condition
from watchglass.analysis.relations import Relation

if TYPE_CHECKING:
    from sqlglot import exp


@dataclass(frozen=True, slots=True)
class SortKey:
    """A column of ORDER BY."""

    column: str
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class Use:
    """One table in one SELECT. `sort` is empty where an index on this table cannot give the order that is asked for.

    `limit` and `offset` are None where they are absent or not known; `limited` tells which. `others`: more is asked of
    its rows than `quals` say.
    """

    relation: Relation
    alias: str
    quals: tuple[Qual, ...]
    sort: tuple[SortKey, ...] = ()
    limited: bool = False
    limit: int | None = None
    offset: int | None = None
    either: tuple[Either, ...] = ()
    others: bool = False

    def of(self, *kinds: Kind) -> list[Qual]:
        return [qual for qual in self.quals if qual.kind in kinds]


def uses(tree: exp.Expr, relations: Mapping[str, Relation]) -> list[Use]:
    """Every table of the statement that is known, in every SELECT that names it."""
    made = {id(table) for table in sql_reading.tables(tree)}
    found = []
    for select in sql_reading.selects(tree):
        known = {
            sql_reading.names(table.args["alias"].this if table.args.get("alias") else table.this): relation
            for table in sql_reading.own_tables(select)
            if id(table) in made and (relation := relations.get(sql_reading.written(table)))
        }
        found += _uses_of(select, known)
    return found


def _uses_of(select: exp.Select, known: Mapping[str, Relation]) -> list[Use]:
    quals = list(_quals(select, known))
    sort = list(_sort(select, known))
    limit = select.args.get("limit")
    only = len(sql_reading.own_tables(select)) == 1 or len({alias for alias, _ in quals}) < 2
    return [
        Use(
            relation,
            alias,
            tuple(dict.fromkeys(qual for of, qual in quals if of == alias)),
            tuple(key for of, key in sort) if sort and only and {of for of, _ in sort} == {alias} else (),
            limited=limit is not None,
            limit=_number(limit),
            offset=_number(select.args.get("offset")),
            either=tuple(either(select, alias, known)),
            others=any(_is_other(node, alias, known) for node, _ in sql_reading.conditions(select)),
        )
        for alias, relation in known.items()
    ]


def _quals(select: exp.Select, known: Mapping[str, Relation]) -> Iterator[tuple[str, Qual]]:
    """Conditions by the alias of the table they are on; a column of a SELECT further out is a value to be looked up."""
    from sqlglot import exp

    for node, only in sql_reading.conditions(select):
        listed = as_list(node, known)
        for alias, qual in [listed] if listed else of_condition(node, known):
            if only is None or alias == only or qual.kind == "join":
                yield alias, qual
    yield from _implied(select, known)
    if select.parent and isinstance(select.parent.parent, exp.In) and len(select.expressions) == 1:
        looked_up = column_of(select.expressions[0], known)
        if looked_up and not isinstance(select.parent.parent.parent, exp.Not):
            yield looked_up[0], Qual(looked_up[1].name, "join")


def _implied(select: exp.Select, known: Mapping[str, Relation]) -> Iterator[tuple[str, Qual]]:
    """What follows for one column from another that is equal to it and to a value."""
    from sqlglot import exp

    nodes = [node.unnest() for node, only in sql_reading.conditions(select) if only is None]
    given = {(of, one.column): one for node in nodes for of, one in of_condition(node, known) if _is_value(one)}
    for node in nodes:
        sides = [column_of(one, known) for one in (node.this, node.expression)] if isinstance(node, exp.EQ) else []
        for one, other in zip(sides, reversed(sides), strict=True):
            value = given.get((one[0], one[1].name)) if one and other and one[0] != other[0] else None
            if value and other:
                yield other[0], Qual(other[1].name, "equal", None, value.values)


def _is_value(qual: Qual) -> bool:
    return qual.kind == "equal" and qual.function is None and qual.value is None and qual.values == 1


def _is_other(node: exp.Expr, alias: str, known: Mapping[str, Relation]) -> bool:
    """Whether a condition asks more of the table than an index is thought of for; EXISTS is a join to PostgreSQL."""
    from sqlglot import exp

    if isinstance((node.this if isinstance(node, exp.Not) else node).unnest(), exp.Exists):
        return False
    listed = as_list(node, known)
    served = [qual for of, qual in ([listed] if listed else of_condition(node, known)) if of == alias]
    if served:
        return any(qual.kind in ("cast", "member") for qual in served)
    columns = [column_of(one, known) for one in node.find_all(exp.Column)]
    return any(one is None or one[0] == alias for one in columns)


def _sort(select: exp.Select, known: Mapping[str, Relation]) -> Iterator[tuple[str, SortKey]]:
    """The columns of ORDER BY; a key that is none leaves nothing, and so does what comes between rows and order."""
    from sqlglot import exp

    order = select.args.get("order")
    between = any(select.args.get(one) for one in ("group", "distinct", "having"))
    if order is None or between or any(one.find(exp.AggFunc, exp.Window) for one in select.expressions):
        return
    keys = [(column_of(one.this, known), one) for one in order.expressions]
    if all(found for found, _ in keys):
        for found, one in keys:
            assert found
            yield found[0], SortKey(found[1].name, bool(one.args.get("desc")), bool(one.args.get("nulls_first")))


def _number(node: exp.Expr | None) -> int | None:
    from sqlglot import exp

    value = node.expression if node else None
    return int(value.this) if isinstance(value, exp.Literal) and str(value.this).isdigit() else None
