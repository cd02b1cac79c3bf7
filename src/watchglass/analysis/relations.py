"""What the catalogue knows of tables, their columns and their indexes: the facts that advice is drawn from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

PAGE_BYTES = 8192

FEWEST_PAGES = 100
"""Tables smaller than that are read as fast without an index."""

_CAST = re.compile(r"::(?:text|character varying|bpchar)\b")
_TEXTS = ("text", "character varying", "character")


@dataclass(frozen=True, slots=True)
class Column:
    """A column as ANALYZE last saw it: `distinct` values, share of NULLs, bytes a value, correlation with the heap.

    `quoted` is its name as a statement may say it. `ordered_by_bytes`: its collation is C. `analyzed` is False where
    there are no statistics, or the role may not see them; the numbers are then PostgreSQL's own guesses. `is_long`:
    ANALYZE left all its values out, for each has more than 1 kB. Of an array `elements` are the different ones of a
    value, and `common_elements` those of them that are among the most common.
    https://www.postgresql.org/docs/current/view-pg-stats.html
    """

    name: str
    quoted: str
    type: str
    distinct: float = 200.0
    null_fraction: float = 0.0
    width: int = 8
    correlation: float = 0.0
    ordered_by_bytes: bool = False
    analyzed: bool = True
    is_long: bool = False
    elements: float | None = None
    common_elements: float = 0.0

    @property
    def is_text(self) -> bool:
        return self.type.startswith(_TEXTS) and not self.is_array

    @property
    def varies(self) -> bool:
        """Whether its values have a length of their own, and are not aligned where they are short."""
        return self.is_text or self.is_array or self.type in ("numeric", "jsonb", "bytea")

    @property
    def is_array(self) -> bool:
        return self.type.endswith("[]")

    @property
    def is_document(self) -> bool:
        return self.type in ("json", "jsonb")

    @property
    def is_jsonb(self) -> bool:
        return self.type == "jsonb"


@dataclass(frozen=True, slots=True)
class Index:
    """An index: `keys` are names of columns, or expressions as PostgreSQL writes them, in order, without INCLUDE.

    `constraint` is the name of what it enforces. `scans` are those since the statistics were last reset.
    """

    name: str
    keys: tuple[str, ...]
    method: str = "btree"
    classes: tuple[str, ...] = ()
    predicate: str | None = None
    unique: bool = False
    primary: bool = False
    constraint: str | None = None
    valid: bool = True
    bytes: int = 0
    scans: int = 0

    @property
    def serves(self) -> bool:
        """Whether every statement may use it: it is valid and has all rows."""
        return self.valid and self.predicate is None

    @property
    def shapes(self) -> tuple[str, ...]:
        """Its keys as `shape_of_key` has them."""
        return tuple(shape_of_key(key) for key in self.keys)


@dataclass(frozen=True, slots=True)
class Partition:
    """A partitioned table itself, or a part of one: of `parent` (its oid; 0: of none). What `has_parts` holds no rows.

    `quoted` and `quoted_schema` are as a statement may say them.
    """

    oid: int
    parent: int
    name: str
    quoted: str
    quoted_schema: str
    has_parts: bool
    rows: float
    pages: int
    indexes: tuple[Index, ...] = ()


@dataclass(frozen=True, slots=True)
class Relation:
    """A table: `quoted` is its qualified name as a statement may say it; `kind` is pg_class.relkind.

    Rows and pages are PostgreSQL's estimates; `beside_bytes` are those of long values (TOAST). Writes are those since
    `counted_since` (unix seconds; None: unknown). What is partitioned (kind p) has the rows, pages and writes of its
    `partitions`: itself, then the others, each behind its parent; None where no index can be made of all. Of very many
    there are some, which stand for those that are left off. An index is descended in each of the `parts` that are read.
    """

    schema: str
    name: str
    quoted: str
    kind: str = "r"
    rows: float = 0.0
    pages: int = 0
    inserts: int = 0
    updates: int = 0
    hot_updates: int = 0
    columns: Mapping[str, Column] = field(default_factory=dict)
    indexes: tuple[Index, ...] = ()
    partitions: tuple[Partition, ...] | None = ()
    parts: int = 1
    beside_bytes: int = 0
    partitions_left_off: int = 0

    @property
    def all_rows(self) -> float:
        """Those of all partitions, also where fewer are read."""
        if not self.partitions:
            return self.rows
        return sum(one.rows for one in self.partitions) * (1 + self.partitions_left_off / len(self.partitions))


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the tables of one statement, by their names as it writes them, and of the server.

    `trigrams` is the schema of pg_trgm where it is installed; `trigrams_available` says that it could be.
    `writes_seconds` is for how long writes were counted.
    """

    relations: Mapping[str, Relation]
    trigrams: str | None = None
    trigrams_available: bool = False
    writes_seconds: float | None = None


def shape_of_key(text: str) -> str:
    """A key of an index as it can be compared: without casts between texts, brackets around all of it, and space."""
    shape = _CAST.sub("", text).replace(" ", "").replace('"', "")
    shape = re.sub(r"\((\w+)\)", r"(\1)", shape.replace("((", "(").replace("))", ")"))
    return shape[1:-1] if shape.startswith("(") and shape.endswith(")") else shape
