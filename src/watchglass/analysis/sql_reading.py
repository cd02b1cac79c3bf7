"""Statements, read by sqlglot: which tables they name, and the conditions that hold for all their rows.

Nothing here guards anything: that a statement can be read does not say that it may be run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from watchglass.analysis import parsing
from watchglass.errors import ExtraMissing

if TYPE_CHECKING:
    from sqlglot import exp

MOST_CHARACTERS = 20_000


def read(text: str) -> exp.Expr | None:
    """The statement as a tree; None where it is none that can be read, is more than one, or is no query.

    Raises `ExtraMissing` without sqlglot.
    """
    found = parsed(text)
    return found if found is not None and _is_query(found) else None


def parsed(text: str) -> exp.Expr | None:
    """The same of any statement."""
    try:
        from sqlglot import errors
    except ImportError as error:
        raise ExtraMissing(feature="Advice on statements", package="sqlglot", extra="plans") from error
    if len(text) > MOST_CHARACTERS:
        return None
    try:
        [found] = parsing.statements(text) or [None]
    except (errors.SqlglotError, ValueError, RecursionError):
        return None
    return found


def tables(tree: exp.Expr) -> list[exp.Table]:
    """The tables a statement names, without those that WITH makes, and without functions."""
    from sqlglot import exp

    made = {one.alias for one in tree.find_all(exp.CTE)}
    named = [one for one in tree.find_all(exp.Table) if isinstance(one.this, exp.Identifier) and not one.catalog]
    return [one for one in named if one.db or one.name not in made]


def written(table: exp.Table) -> str:
    """A table's name as to_regclass takes it; the name under which `Facts.relations` has it."""
    return ".".join(_identifier(part) for part in (table.args.get("db"), table.this) if part)


def selects(tree: exp.Expr) -> list[exp.Select]:
    """Every SELECT of the statement, the outermost first."""
    from sqlglot import exp

    return list(tree.find_all(exp.Select))


def own_tables(select: exp.Select) -> list[exp.Table]:
    """The tables in FROM and JOIN of this SELECT itself."""
    from sqlglot import exp

    origin = select.args.get("from_") or select.args.get("from")
    sources = [origin.this] if origin else []
    sources += [join.this for join in select.args.get("joins") or ()]
    return [one for one in sources if isinstance(one, exp.Table)]


def conditions(select: exp.Select) -> Iterator[tuple[exp.Expr, str | None]]:
    """What is joined by AND in WHERE and ON, with the only table that it filters where that is an outer join's."""
    where = select.args.get("where")
    if where:
        yield from ((one, None) for one in conjuncts(where.this))
    for join in select.args.get("joins") or ():
        only = join.this.alias_or_name if join.side else None
        if join.args.get("on"):
            yield from ((one, only) for one in conjuncts(join.args["on"]))


def conjuncts(node: exp.Expr) -> Iterator[exp.Expr]:
    """The parts that all have to hold."""
    from sqlglot import exp

    if isinstance(node, exp.Paren):
        yield from conjuncts(node.this)
    elif isinstance(node, exp.And):
        yield from conjuncts(node.this)
        yield from conjuncts(node.expression)
    else:
        yield node


def names(identifier: exp.Expr) -> str:
    """What PostgreSQL takes an identifier for: folded to lower case where it is not quoted."""
    return str(identifier.this) if identifier.args.get("quoted") else str(identifier.this).lower()


def is_constant(node: exp.Expr) -> bool:
    """Whether it is the same for all rows: it names no column."""
    from sqlglot import exp

    return node.find(exp.Column) is None and node.find(exp.Query) is None


def _is_query(tree: exp.Expr) -> bool:
    from sqlglot import exp

    return isinstance(tree, exp.Query)


def _identifier(identifier: exp.Expr) -> str:
    return '"' + names(identifier).replace('"', '""') + '"'
