"""What an administrator runs to make an index, so that nobody who writes to the table waits for it.

https://www.postgresql.org/docs/current/ddl-partitioning.html
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from watchglass.analysis.candidates import Candidate
from watchglass.analysis.relations import Partition, Relation

_LONGEST = 63
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


def statement(relation: Relation, candidate: Candidate) -> str:
    """One statement; for a partitioned table several, one a line, to be run one after the other.

    CONCURRENTLY is not to be had for all partitions at once: the index is made of none, then of each, and they are
    attached, after which PostgreSQL takes it for whole and makes it of new partitions by itself.
    """
    if relation.kind != "p":
        return f"CREATE INDEX CONCURRENTLY ON {_target(relation.quoted, candidate)}"
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


def _name(partition: Partition, candidate: Candidate) -> str:
    """As PostgreSQL would call it; with a number that no other has where that is too long or taken.

    So it is, too, where the columns alone do not tell it from another index on them.
    """
    name = "_".join((partition.name, *candidate.columns, "idx"))
    taken = {index.name for index in partition.indexes}
    is_plain = candidate.method == "btree" and tuple(candidate.keys) == tuple(candidate.columns)
    if len(name.encode()) > _LONGEST or name in taken or not is_plain:
        what = f"{partition.oid} {candidate.method} {candidate.keys}"
        number = hashlib.blake2b(what.encode(), digest_size=4).hexdigest()
        name = f"{partition.name.encode()[:44].decode(errors='ignore')}_{number}_idx"
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def _target(quoted: str, candidate: Candidate) -> str:
    using = "" if candidate.method == "btree" else f" USING {candidate.method}"
    return f"{quoted}{using} ({', '.join(candidate.keys)})"
