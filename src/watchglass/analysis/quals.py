"""The conditions of a statement that an index could serve, each on one column of one of its tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from watchglass.analysis import documents, patterns, sql_reading
from watchglass.analysis.documents import Value
from watchglass.analysis.relations import Column, Relation, shape_of_key

if TYPE_CHECKING:
    from sqlglot import exp

Kind = Literal["equal", "join", "range", "prefix", "infix", "contains", "cast", "member"]

SOME_VALUES = 10
"""How many values a list has that is not known: PostgreSQL's own guess for arrays."""


@dataclass(frozen=True, slots=True)
class Qual:
    """A condition on one column, on a value in it (`value`), or on a function of that: equal to so many, a range, ...

    Of infix there are as many `values` as LIKE ANY has patterns, each of which has trigrams.

    cast: a comparison with the column made another type; member: `value = ANY(column)`.
    """

    column: str
    kind: Kind
    function: str | None = None
    values: int = 1
    value: Value | None = None

    @property
    def shape(self) -> str:
        """What an index would have as its key, to be compared."""
        return shape_of_key(self._key(Column(self.column, self.column, "")))

    def read_of(self, relation: Relation) -> Column:
        """The column, or the value in it, of which PostgreSQL knows nothing until there is an index on it."""
        column = relation.columns[self.column]
        return self.value.of(column) if self.value else column

    def key(self, relation: Relation) -> str:
        """The same as `shape`, as a statement says it."""
        return self._key(relation.columns[self.column])

    def _key(self, column: Column) -> str:
        key = self.value.of(column).quoted if self.value else column.quoted
        return f"{self.function}({key})" if self.function else key


def of_condition(node: exp.Expr, known: Mapping[str, Relation]) -> Iterator[tuple[str, Qual]]:
    """What one part of a WHERE asks, by the alias of the table; `known` are the tables by their aliases."""
    from sqlglot import exp

    if isinstance(node, exp.EQ | exp.GT | exp.GTE | exp.LT | exp.LTE):
        yield from _comparison(node, known)
    elif isinstance(node, exp.In | exp.Between | exp.Like | exp.ILike):
        qual = _qual(node.this, known, *_listed(node))
        if qual:
            yield qual
    elif isinstance(node, exp.ArrayContainsAll | exp.ArrayOverlaps):
        found = column_of(node.this, known)
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
            mine, theirs = column_of(side, known), column_of(other, known)
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
    return (None, 0) if node.args.get("negate") else _patterns(node)


def _patterns(node: exp.Expr) -> tuple[Kind | None, int]:
    """Of LIKE and LIKE ANY. Trigrams serve an array where every one of its patterns has some, and no B-tree does."""
    from sqlglot import exp

    if not isinstance(node.expression, exp.Any):
        return _pattern(node), 1
    listed = patterns.listed(node.expression)
    return ("infix", len(listed)) if listed and all(map(patterns.has_trigrams, listed)) else (None, 0)


def _pattern(node: exp.Expr) -> Kind | None:
    """Of LIKE: what its pattern begins with; None where that is not known, or it is too short for trigrams."""
    pattern = node.expression
    if not pattern.is_string:
        return None
    text = str(pattern.this)
    start = text.replace("_", "%").split("%")[0]
    if start and node.key == "like":
        return "prefix" if start != text else "equal"
    return "infix" if patterns.has_trigrams(text) else None


def _qual(node: exp.Expr, known: Mapping[str, Relation], kind: Kind | None, values: int = 1) -> tuple[str, Qual] | None:
    """A condition on a column, a folded column, or a column made another type, which no index on it serves."""
    from sqlglot import exp

    node = node.unnest()
    if kind is None:
        return None
    if isinstance(node, exp.Lower | exp.Upper) and (of := _place(node.this, known)):
        name = "upper" if isinstance(node, exp.Upper) else "lower"
        return (of[0], Qual(of[1].name, kind, name, values, of[2])) if kind in ("equal", "prefix", "infix") else None
    if (of := _place(node, known)) and of[2]:
        return of[0], Qual(of[1].name, kind, None, values, of[2])
    made = node.this if isinstance(node, exp.Cast | exp.Date | exp.TsOrDsToDate | exp.TimestampTrunc) else None
    if made is not None and (found := column_of(made, known)):
        if _changes(node, found[1]):
            return found[0], Qual(found[1].name, "cast")
        node = made  # the same to PostgreSQL, which serves it by an index on the column
    found = column_of(node, known)
    return (found[0], Qual(found[1].name, kind, None, values)) if found else None


def _place(node: exp.Expr, known: Mapping[str, Relation]) -> tuple[str, Column, Value | None] | None:
    """A column, or a value in one that has documents."""
    taken = documents.value(node)
    found = column_of(taken[0] if taken else node, known)
    if found is None or (taken and not found[1].is_document):
        return None
    return *found, taken[1] if taken else None


def _changes(node: exp.Expr, column: Column) -> bool:
    """Whether a cast makes it another type than it is."""
    from sqlglot import exp

    return not (isinstance(node, exp.Cast) and column.is_text and node.to.is_type(*exp.DataType.TEXT_TYPES))


def column_of(node: exp.Expr, known: Mapping[str, Relation]) -> tuple[str, Column] | None:
    """The column that is meant, by the alias of its table; None where it is no column, or of more than one table."""
    from sqlglot import exp

    node = node.unnest()
    if not isinstance(node, exp.Column) or not isinstance(node.this, exp.Identifier):
        return None
    name, table = sql_reading.names(node.this), node.args.get("table")
    aliases = [sql_reading.names(table)] if table else list(known)
    found = [(one, known[one].columns[name]) for one in aliases if one in known and name in known[one].columns]
    return found[0] if len(found) == 1 else None


def _is_own_query(node: exp.Expr) -> bool:
    """Whether it is a subquery that can be asked by itself, once."""
    from sqlglot import exp

    return isinstance(node, exp.Subquery) and not any(one.table for one in node.find_all(exp.Column))


def _length(node: exp.Expr) -> int:
    from sqlglot import exp

    array = node.find(exp.Array)
    return len(array.expressions) if array else SOME_VALUES
