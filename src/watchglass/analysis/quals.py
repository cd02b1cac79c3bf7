"""What a statement asks of each of its tables: the conditions and the order that an index could serve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from watchglass.analysis import sql_reading
from watchglass.analysis.relations import Column, Relation, shape_of_key

if TYPE_CHECKING:
    from sqlglot import exp

Kind = Literal["equal", "join", "range", "prefix", "infix", "contains", "cast", "member"]

SOME_VALUES = 10
"""How many values a list has that is not known: PostgreSQL's own guess for arrays."""


@dataclass(frozen=True, slots=True)
class Qual:
    """A condition on one column, or on a function of it (`function`): equal to so many values, a range, and so on.

    cast: a comparison with the column made another type; member: `value = ANY(column)`.
    """

    column: str
    kind: Kind
    function: str | None = None
    values: int = 1

    @property
    def shape(self) -> str:
        """What an index would have as its key, to be compared."""
        return shape_of_key(f"{self.function}({self.column})" if self.function else self.column)


@dataclass(frozen=True, slots=True)
class SortKey:
    """A column of ORDER BY."""

    column: str
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class Use:
    """One table in one SELECT. `sort` is empty where an index on this table cannot give the order that is asked for.

    `limit` and `offset` are None where they are absent or not known; `limited` tells which.
    """

    relation: Relation
    alias: str
    quals: tuple[Qual, ...]
    sort: tuple[SortKey, ...] = ()
    limited: bool = False
    limit: int | None = None
    offset: int | None = None

    def of(self, *kinds: Kind) -> list[Qual]:
        return [qual for qual in self.quals if qual.kind in kinds]


def uses(tree: exp.Expr, relations: Mapping[str, Relation]) -> list[Use]:
    """Every table of the statement that is known, in every SELECT that names it."""
    made = {id(table) for table in sql_reading.tables(tree)}
    found = []
    for select in sql_reading.selects(tree):
        known = {
            sql_reading.names(table.args["alias"].this) if table.args.get("alias") else table.name: relation
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
        )
        for alias, relation in known.items()
    ]


def _quals(select: exp.Select, known: Mapping[str, Relation]) -> Iterator[tuple[str, Qual]]:
    """Conditions by the alias of the table they are on; a column of a SELECT further out is a value to be looked up."""
    from sqlglot import exp

    for node, only in sql_reading.conditions(select):
        for alias, qual in _of_condition(node, known):
            if only is None or alias == only or qual.kind == "join":
                yield alias, qual
    if select.parent and isinstance(select.parent.parent, exp.In) and len(select.expressions) == 1:
        looked_up = _column(select.expressions[0], known)
        if looked_up and not isinstance(select.parent.parent.parent, exp.Not):
            yield looked_up[0], Qual(looked_up[1].name, "join")


def _of_condition(node: exp.Expr, known: Mapping[str, Relation]) -> Iterator[tuple[str, Qual]]:
    from sqlglot import exp

    if isinstance(node, exp.EQ | exp.GT | exp.GTE | exp.LT | exp.LTE):
        yield from _comparison(node, known)
    elif isinstance(node, exp.In | exp.Between | exp.Like | exp.ILike):
        qual = _qual(node.this, known, *_listed(node))
        if qual:
            yield qual
    elif isinstance(node, exp.ArrayContainsAll | exp.ArrayOverlaps):
        found = _column(node.this, known)
        usable = found and (found[1].is_array or (found[1].is_jsonb and isinstance(node, exp.ArrayContainsAll)))
        if found and usable and sql_reading.is_constant(node.expression):
            yield found[0], Qual(found[1].name, "contains")


def _comparison(node: exp.Binary, known: Mapping[str, Relation]) -> Iterator[tuple[str, Qual]]:
    from sqlglot import exp

    equal = isinstance(node, exp.EQ)
    for side, other in ((node.this, node.expression), (node.expression, node.this)):
        if isinstance(other, exp.Any):
            member = _qual(other.this.unnest(), known, "member")
            if equal and member and sql_reading.is_constant(side):
                yield member
            elif equal and sql_reading.is_constant(other) and (listed := _qual(side, known, "equal", _length(other))):
                yield listed
        elif sql_reading.is_constant(other) or _is_own_query(other):
            if found := _qual(side, known, "equal" if equal else "range"):
                yield found
        elif equal and isinstance(other.unnest(), exp.Column) and isinstance(side.unnest(), exp.Column):
            mine, theirs = _column(side, known), _column(other, known)
            if mine and (theirs is None or theirs[0] != mine[0]):
                yield mine[0], Qual(mine[1].name, "join")


def _listed(node: exp.Expr) -> tuple[Kind | None, int]:
    """What IN, BETWEEN or LIKE come to, and the number of values."""
    from sqlglot import exp

    if isinstance(node, exp.In):
        if node.args.get("query"):
            return "join", 1
        listed = node.expressions
        if not all(sql_reading.is_constant(one) for one in listed):
            return None, 0
        return "equal", SOME_VALUES if len(listed) == 1 and isinstance(listed[0], exp.Placeholder) else len(listed)
    if isinstance(node, exp.Between):
        constant = sql_reading.is_constant(node.args["low"]) and sql_reading.is_constant(node.args["high"])
        return ("range", 1) if constant else (None, 0)
    return _pattern(node), 1


def _pattern(node: exp.Expr) -> Kind | None:
    """Of LIKE: what its pattern begins with; None where that is not known, or it is too short for trigrams."""
    pattern = node.expression
    if not pattern.is_string:
        return None
    text = str(pattern.this)
    start = text.replace("_", "%").split("%")[0]
    if start and node.key == "like":
        return "prefix" if start != text else "equal"
    longest = max(len(part) for part in text.replace("_", "%").split("%"))
    return "infix" if longest >= 3 else None


def _qual(node: exp.Expr, known: Mapping[str, Relation], kind: Kind | None, values: int = 1) -> tuple[str, Qual] | None:
    """A condition on a column, a folded column, or a column made another type, which no index on it serves."""
    from sqlglot import exp

    node = node.unnest()
    if kind is None:
        return None
    if isinstance(node, exp.Lower | exp.Upper) and (found := _column(node.this, known)):
        name = "upper" if isinstance(node, exp.Upper) else "lower"
        return (found[0], Qual(found[1].name, kind, name, values)) if kind in ("equal", "prefix", "infix") else None
    made = node.this if isinstance(node, exp.Cast | exp.Date | exp.TsOrDsToDate | exp.TimestampTrunc) else None
    if made is not None and (found := _column(made, known)):
        return (found[0], Qual(found[1].name, "cast")) if _changes(node, found[1]) else None
    found = _column(node, known)
    return (found[0], Qual(found[1].name, kind, None, values)) if found else None


def _changes(node: exp.Expr, column: Column) -> bool:
    """Whether a cast makes it another type than it is."""
    from sqlglot import exp

    return not (isinstance(node, exp.Cast) and column.is_text and node.to.is_type(*exp.DataType.TEXT_TYPES))


def _column(node: exp.Expr, known: Mapping[str, Relation]) -> tuple[str, Column] | None:
    from sqlglot import exp

    node = node.unnest()
    if not isinstance(node, exp.Column) or not isinstance(node.this, exp.Identifier):
        return None
    name, table = sql_reading.names(node.this), node.args.get("table")
    aliases = [sql_reading.names(table)] if table else list(known)
    found = [(one, known[one].columns[name]) for one in aliases if one in known and name in known[one].columns]
    return found[0] if len(found) == 1 else None


def _sort(select: exp.Select, known: Mapping[str, Relation]) -> Iterator[tuple[str, SortKey]]:
    """The columns of ORDER BY; a key that is none leaves nothing, and so does what comes between rows and order."""
    from sqlglot import exp

    order = select.args.get("order")
    between = any(select.args.get(one) for one in ("group", "distinct", "having"))
    if order is None or between or any(one.find(exp.AggFunc, exp.Window) for one in select.expressions):
        return
    keys = [(_column(one.this, known), one) for one in order.expressions]
    if all(found for found, _ in keys):
        for found, one in keys:
            assert found
            yield found[0], SortKey(found[1].name, bool(one.args.get("desc")), bool(one.args.get("nulls_first")))


def _is_own_query(node: exp.Expr) -> bool:
    """Whether it is a subquery that can be asked by itself, once."""
    from sqlglot import exp

    return isinstance(node, exp.Subquery) and not any(one.table for one in node.find_all(exp.Column))


def _length(node: exp.Expr) -> int:
    from sqlglot import exp

    array = node.find(exp.Array)
    return len(array.expressions) if array else SOME_VALUES


def _number(node: exp.Expr | None) -> int | None:
    from sqlglot import exp

    value = node.expression if node else None
    return int(value.this) if isinstance(value, exp.Literal) and str(value.this).isdigit() else None
