"""A plan as PostgreSQL's EXPLAIN (FORMAT JSON) gives it, read into its steps, and made fit to be kept.

https://www.postgresql.org/docs/current/using-explain.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from watchglass.redaction import sql_shape

Kind = Literal["sequential", "index", "join", "sort", "aggregate", "other"]

MOST_STEPS: Final = 500
"""Steps of a plan that are kept; the rest are mostly scans of more partitions."""

LEFT_OUT: Final = "Plans Left Out"

_KINDS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(("Seq Scan", "Sample Scan"), "sequential"),
    **dict.fromkeys(("Index Scan", "Index Only Scan", "Bitmap Index Scan", "Bitmap Heap Scan", "Tid Scan"), "index"),
    **dict.fromkeys(("Nested Loop", "Hash Join", "Merge Join"), "join"),
    **dict.fromkeys(("Sort", "Incremental Sort"), "sort"),
    **dict.fromkeys(("Aggregate", "Group", "WindowAgg", "Unique", "HashAggregate"), "aggregate"),
}
_NAMES: Final = frozenset(
    (
        *("Alias", "CTE Name", "Cache Mode", "Function Name", "Index Name", "Join Type", "Node Type", "Operation"),
        *("Parent Relationship", "Partial Mode", "Relation Name", "Scan Direction", "Schema", "Sort Method"),
        *("Sort Space Type", "Strategy", "Subplan Name", "Table Function Name", "Tuplestore Name", "Command"),
    )
)
"""What has names only, no expressions."""

_STOPPING: Final = frozenset(("Limit", "Merge Join"))
_READING_ALL: Final = frozenset(("Sort", "Hash", "Bitmap Heap Scan"))
"""Steps that read all that is below before they give a row, but for aggregates."""

_DROPPED: Final = frozenset(("Output", "Workers"))
_CONDITIONS: Final = (
    *("Index Cond", "Recheck Cond", "Hash Cond", "Merge Cond", "TID Cond", "Join Filter", "Filter"),
    *("One-Time Filter", "Order By", "Sort Key", "Presorted Key", "Group Key", "Cache Key"),
)
_REMOVED: Final = (
    *("Rows Removed by Filter", "Rows Removed by Join Filter", "Rows Removed by Index Recheck"),
    "Rows Removed by Conflict Filter",
)


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a plan, in the order of the tree, `depth` deep under the root.

    `share` is that of its own cost, without the steps below, in the plan's; all add up to 1. Rows are those of all
    loops together. `actual_rows` and `removed` (rows read and thrown away) are None unless the plan was run; then too
    `spilled` is kilobytes on disk.
    """

    place: int
    depth: int
    name: str
    kind: Kind
    relation: str | None
    index: str | None
    cost: float
    share: float
    rows: float
    actual_rows: float | None
    loops: float | None
    removed: float | None
    spilled: int | None
    conditions: tuple[tuple[str, str], ...]
    is_cut: bool = False

    @property
    def misjudged(self) -> float | None:
        """How many times more rows came than were expected (above 1), or fewer (below 1).

        None where that few came because no more were asked for, as below LIMIT (`is_cut`): that is no misjudgement.
        """
        if self.actual_rows is None or (self.is_cut and self.actual_rows < self.rows):
            return None
        return max(1.0, self.actual_rows) / max(1.0, self.rows)


def steps(plan: Mapping[str, Any]) -> list[Step]:
    """The steps of a plan, the root first, each before those below it."""
    root = plan["Plan"]
    whole = float(root.get("Total Cost", 0.0))
    found: list[Step] = []
    ends_early: list[bool] = []
    for node, depth, share in _shared(root, 0, 1.0):
        is_cut = depth > 0 and ends_early[depth - 1]
        ends_early[depth:] = [_reads_a_part(node, is_cut)]
        found.append(_step(node, len(found), depth, share, whole, is_cut))
    return found


def redacted(plan: Mapping[str, Any]) -> dict[str, Any]:
    """The plan without values: expressions as shapes, no output columns, at most `MOST_STEPS` steps."""
    left = [MOST_STEPS]
    kept = {key: value for key, value in plan.items() if isinstance(value, int | float)}
    settings = {key: str(value)[:200] for key, value in dict(plan.get("Settings") or {}).items()}
    return {"Plan": _redacted(plan["Plan"], left), **kept, "Settings": settings}


def _redacted(node: Mapping[str, Any], left: list[int]) -> dict[str, Any]:
    left[0] -= 1
    kept = {key: _without_values(key, value) for key, value in node.items() if key not in _DROPPED | {"Plans"}}
    below = []
    for child in node.get("Plans", ()):
        if left[0] > 0:
            below.append(_redacted(child, left))
    more = len(node.get("Plans", ())) - len(below)
    return {**kept, **({"Plans": below} if below else {}), **({LEFT_OUT: more} if more else {})}


def _without_values(key: str, value: Any) -> Any:
    if isinstance(value, str):
        return value if key in _NAMES else sql_shape(value)
    if isinstance(value, Mapping):
        return {name: _without_values(name, one) for name, one in value.items()}
    if isinstance(value, list):
        return [_without_values(key, one) for one in value]
    return value


def _shared(node: Mapping[str, Any], depth: int, share: float) -> Iterator[tuple[Mapping[str, Any], int, float]]:
    """Each node with its own share; `share` is that of the node and all below it."""
    below = list(node.get("Plans", ()))
    costs = _costs_below(node, below)
    whole = max(float(node.get("Total Cost", 0.0)), sum(costs))
    parts = [share * cost / whole if whole else 0.0 for cost in costs]
    yield node, depth, max(0.0, share - sum(parts))
    for child, part in zip(below, parts, strict=True):
        yield from _shared(child, depth + 1, part)


def _costs_below(node: Mapping[str, Any], below: list[Mapping[str, Any]]) -> list[float]:
    """What the steps below cost within this one: the inner side of a nested loop as often as the outer has rows.

    A step that does not read what is below to its end, as LIMIT, pays for a part of it only.
    """
    costs = [float(child.get("Total Cost", 0.0)) for child in below]
    if node.get("Node Type") == "Nested Loop":
        outer = [number for number, child in enumerate(below) if child.get("Parent Relationship") == "Outer"]
        inner = [number for number, child in enumerate(below) if child.get("Parent Relationship") == "Inner"]
        if outer and inner:
            loops = max(1.0, float(below[outer[0]].get("Plan Rows", 1)))
            room = max(0.0, float(node.get("Total Cost", 0.0)) - costs[outer[0]])
            costs[inner[0]] = min(costs[inner[0]] * loops, room)
    whole = float(node.get("Total Cost", 0.0))
    total = sum(costs)
    return [cost * whole / total for cost in costs] if total > whole > 0 else costs


def _reads_a_part(node: Mapping[str, Any], is_cut: bool) -> bool:
    """Whether the step may stop before it has read all that the steps below it have, as it does where it is cut."""
    kind = node.get("Node Type")
    if kind in _STOPPING:
        return True
    return is_cut and kind not in _READING_ALL and not (kind == "Aggregate" and node.get("Strategy") != "Sorted")


def _step(node: Mapping[str, Any], place: int, depth: int, share: float, whole: float, is_cut: bool) -> Step:
    loops = node.get("Actual Loops")
    times = float(loops or 1)
    actual = node.get("Actual Rows")
    removed = [float(node[name]) * times for name in _REMOVED if name in node]
    spills = node.get("Sort Space Used") if node.get("Sort Space Type") == "Disk" else node.get("Disk Usage")
    return Step(
        place=place,
        depth=depth,
        name=_name(node),
        kind=_KINDS.get(str(node.get("Node Type")), "other"),
        relation=_relation(node),
        index=node.get("Index Name"),
        cost=share * whole,
        share=share,
        rows=float(node.get("Plan Rows", 0)) * times,
        actual_rows=None if actual is None else float(actual) * times,
        loops=loops,
        removed=sum(removed) if removed else None,
        spilled=int(spills) if spills else None,
        conditions=tuple(_conditions(node)),
        is_cut=is_cut,
    )


def _name(node: Mapping[str, Any]) -> str:
    name = str(node.get("Node Type", "?"))
    if name == "Aggregate" and node.get("Strategy") in ("Hashed", "Sorted"):
        name = {"Hashed": "HashAggregate", "Sorted": "GroupAggregate"}[node["Strategy"]]
    if node.get("Join Type") not in (None, "Inner"):
        name = f"{name} ({node['Join Type']})"
    return f"Parallel {name}" if node.get("Parallel Aware") else name


def _relation(node: Mapping[str, Any]) -> str | None:
    name = node.get("Relation Name") or node.get("Function Name") or node.get("CTE Name")
    schema = node.get("Schema")
    return f"{schema}.{name}" if name and schema and schema not in ("public", "pg_catalog") else name


def _conditions(node: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in _CONDITIONS:
        value = node.get(key)
        if value:
            yield key, ", ".join(map(str, value)) if isinstance(value, list) else str(value)
