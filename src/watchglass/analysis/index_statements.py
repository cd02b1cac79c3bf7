"""What an administrator runs to make an index, so that nobody who writes to the table waits for it.

https://www.postgresql.org/docs/current/ddl-partitioning.html
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence

from watchglass.analysis.candidates import Candidate
from watchglass.analysis.relations import Partition, Relation

_LONGEST = 63
_RUN_EACH = r"\gexec"
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


def statement(relation: Relation, candidate: Candidate) -> str:
    """One statement; for a partitioned table several, one a line, to be run one after the other.

    CONCURRENTLY is not to be had for all partitions at once: the index is made of none, then of each, and they are
    attached, after which PostgreSQL takes it for whole and makes it of new partitions by itself. Of very many
    partitions psql is told to do that for all there are.
    """
    if relation.kind != "p":
        return f"CREATE INDEX CONCURRENTLY ON {_target(relation.quoted, candidate)}"
    if relation.partitions_left_off:
        return "\n".join(_of_very_many(relation, candidate))
    return ";\n".join(_of_partitions(relation.partitions or (), candidate))


def definition(relation: Relation, candidate: Candidate) -> str:
    """The same without CONCURRENTLY, for a transaction."""
    return f"CREATE INDEX ON {_target(relation.quoted, candidate)}"


def _of_partitions(partitions: Sequence[Partition], candidate: Candidate) -> list[str]:
    named = {one.oid: _name(one, candidate) for one in partitions}
    schemas = {one.oid: one.quoted_schema for one in partitions}
    parents = [one for one in partitions if one.has_parts]
    only = [f"CREATE INDEX {named[one.oid]} ON ONLY {_target(one.quoted, candidate)}" for one in parents]
    each = [
        f"CREATE INDEX CONCURRENTLY {named[one.oid]} ON {_target(one.quoted, candidate)}"
        for one in partitions
        if not one.has_parts
    ]
    attached = [
        f"ALTER INDEX {schemas[one.parent]}.{named[one.parent]} ATTACH PARTITION {one.quoted_schema}.{named[one.oid]}"
        for one in reversed(partitions)
        if one.parent in named
    ]
    return [*only, *each, *attached]


def _of_very_many(relation: Relation, candidate: Candidate) -> Iterator[str]:
    """For psql, which runs each statement that a query gives: https://www.postgresql.org/docs/current/app-psql.html.

    Names are cut off at their end where they are too long, so that what tells them apart comes first.
    """
    made = _literal("CREATE INDEX %s %I ON %s" + _target("", candidate).replace("%", "%%"))
    child = f"'idx_' || c.oid || '_{_number(f'{candidate.method} {candidate.keys}')}_' || c.relname"
    parent = child.replace("c.", "p.")
    of = f"FROM pg_partition_tree({_literal(relation.quoted)}) t JOIN pg_class c ON c.oid = relid"
    how = "CASE WHEN isleaf THEN 'CONCURRENTLY' END"
    which = "CASE WHEN isleaf THEN '' ELSE 'ONLY ' END || relid::regclass"
    yield f"SELECT format({made}, {how}, {child}, {which}) {of} ORDER BY isleaf, level {_RUN_EACH}"
    attached = "'ALTER INDEX %s.%I ATTACH PARTITION %s.%I'"
    schemas = "p.relnamespace::regnamespace", "c.relnamespace::regnamespace"
    of = f"{of} JOIN pg_class p ON p.oid = parentrelid WHERE level > 0 ORDER BY level DESC"
    yield f"SELECT format({attached}, {schemas[0]}, {parent}, {schemas[1]}, {child}) {of} {_RUN_EACH}"
    yield f"-- in psql, which runs with {_RUN_EACH} each statement that a query gives"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _number(what: str) -> str:
    return hashlib.blake2b(what.encode(), digest_size=4).hexdigest()


def _name(partition: Partition, candidate: Candidate) -> str:
    """As PostgreSQL would call it; with a number that no other has where that is too long or taken.

    So it is, too, where the columns alone do not tell it from another index on them.
    """
    name = "_".join((partition.name, *candidate.columns, "idx"))
    taken = {index.name for index in partition.indexes}
    is_plain = candidate.method == "btree" and tuple(candidate.keys) == tuple(candidate.columns)
    if len(name.encode()) > _LONGEST or name in taken or not is_plain:
        number = _number(f"{partition.oid} {candidate.method} {candidate.keys}")
        name = f"{partition.name.encode()[:44].decode(errors='ignore')}_{number}_idx"
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def _target(quoted: str, candidate: Candidate) -> str:
    using = "" if candidate.method == "btree" else f" USING {candidate.method}"
    return f"{quoted}{using} ({', '.join(candidate.keys)})"
