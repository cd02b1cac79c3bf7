"""Where a plan reads a whole table: what EXPLAIN (FORMAT JSON) says of it, and of what it is done for.

https://www.postgresql.org/docs/current/using-explain.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

Node = Mapping[str, Any]

_SIDES = ("Outer", "Inner")
_ASIDE = ("SubPlan", "InitPlan")
_WANT_ALL = ("Sort", "Aggregate", "Hash", "Hash Join", "Merge Join", "SetOp", "WindowAgg", "Incremental Sort")
_CONDITIONS = ("Hash Cond", "Merge Cond", "Join Filter")
_NUMBERED = re.compile(r"_\d+$")
_WALKS = ("Index Scan", "Index Only Scan")


@dataclass(frozen=True, slots=True)
class Scan:
    """One node that reads all of a table, of which schema EXPLAIN VERBOSE says.

    `rows` are those its `filter` lets through (empty: all), `cost` is that of all its loops. `outer_rows` are the rows
    of the other side of the nearest join, `joined_by` is that join's condition, as PostgreSQL writes it; None and empty
    where there is none. `sorted_cost` is the cost of the sort above it, `limit_rows` the rows that the limit above it
    takes, and `fraction` the part of its own rows that are asked for because of that. `in_order`: an index gives their
    order. `correlated`: it is in a subplan that is run for each of the `outer_rows`.
    """

    relation: str
    alias: str
    schema: str | None
    rows: float
    cost: float
    filter: str
    outer_rows: float | None = None
    joined_by: str = ""
    sorted_cost: float | None = None
    limit_rows: float | None = None
    fraction: float = 1.0
    in_order: bool = False
    correlated: bool = False

    def is_named(self, alias: str) -> bool:
        """Whether the statement may call it so: PostgreSQL numbers what has a name that is taken, and partitions."""
        return alias in (self.alias, _NUMBERED.sub("", self.alias))

    def filters(self, quoted: str) -> bool:
        """Whether its filter names this column."""
        return re.search(rf"(?<![\w$]){re.escape(quoted)}(?![\w$])", self.filter) is not None

    def is_joined_by(self, quoted: str) -> bool:
        """Whether the join, or the subplan, compares this column (as a statement may say it) of the table."""
        if self.correlated:
            return self.filters(quoted)
        names = "|".join(re.escape(name) for name in {self.alias, _NUMBERED.sub("", self.alias)})
        return re.search(rf'"?({names})(_\d+)?"?\.{re.escape(quoted)}(?!\w)', self.joined_by) is not None


def together(scans: Sequence[Scan]) -> Scan:
    """The scans of a table's partitions as one of all."""
    return replace(scans[0], rows=sum(one.rows for one in scans), cost=sum(one.cost for one in scans))


def cost_of(plan: Node) -> float:
    """What PostgreSQL expects the whole plan to cost."""
    return float(plan["Total Cost"])


def gathering(plan: Node) -> float:
    """What it costs to have several processes read, which nobody does for what an index gives."""
    gathers = [node for node, _ in walk(plan) if node["Node Type"] in ("Gather", "Gather Merge")]
    return sum(float(node["Total Cost"]) - float(node["Plans"][0]["Total Cost"]) for node in gathers)


def indexes_of(plan: Node) -> set[str]:
    """The indexes a plan reads."""
    return {str(node["Index Name"]) for node, _ in walk(plan) if "Index Name" in node}


def scans_of(plan: Node) -> list[Scan]:
    """Every node that reads a whole table, by sequence or through an index without a condition."""
    return [_scan(node, above) for node, above in walk(plan) if _is_whole(node)]


def walk(plan: Node, above: Sequence[Node] = ()) -> Iterator[tuple[Node, Sequence[Node]]]:
    """Every node, with those above it, the nearest last."""
    yield plan, above
    for child in plan.get("Plans", ()):
        yield from walk(child, [*above, plan])


def _is_whole(node: Node) -> bool:
    kind = node["Node Type"]
    return kind == "Seq Scan" or (kind in _WALKS and "Index Cond" not in node and "Filter" in node)


def _scan(node: Node, outside: Sequence[Node]) -> Scan:
    above, calls = _within(node, outside)
    workers = next((int(one.get("Workers Planned", 0)) for one in reversed(above) if "Workers Planned" in one), 0)
    shares = workers + max(0.0, 1 - 0.3 * workers) if node.get("Parallel Aware") else 1.0
    sort = next((one for one in reversed(above) if "Sort" in one["Node Type"]), None)
    limit = next((one for one in reversed(above) if one["Node Type"] == "Limit"), None)
    joined, condition = _other_side(node, above)
    cost = _own_cost(node)
    return Scan(
        str(node["Relation Name"]),
        str(node.get("Alias", node["Relation Name"])),
        node.get("Schema"),
        float(node["Plan Rows"]) * shares,
        max(cost * _loops(node, above), _hashing(node, above, joined)) * (calls or 1.0),
        str(node.get("Filter", "")),
        float(joined["Plan Rows"]) if joined else calls,
        condition,
        float(sort["Total Cost"]) if sort else None,
        float(limit["Plan Rows"]) if limit else None,
        _fraction(above),
        node["Node Type"] != "Seq Scan",
        correlated=calls is not None and joined is None,
    )


def _within(node: Node, above: Sequence[Node]) -> tuple[Sequence[Node], float | None]:
    """The nodes above that are in the same subplan, and how often that is run; None where it is run once."""
    chain = [*above, node]
    for place in range(len(chain) - 1, 0, -1):
        if chain[place].get("Parent Relationship") in _ASIDE:
            calls = _calls(chain[place], chain[place - 1])
            return chain[place:-1], calls * _fraction(chain[: place - 1]) if calls is not None else None
    return above, None


def _calls(subplan: Node, parent: Node) -> float | None:
    """How often a subplan is run for the rows of the node that it hangs on; None where it is run once for all.

    One in a filter is run for the rows that are not let through, too: nearly all that the node costs is its.
    """
    name = re.escape(str(subplan.get("Subplan Name", "")))
    said = str({key: value for key, value in parent.items() if key != "Plans"})
    if subplan["Parent Relationship"] != "SubPlan" or re.search(rf"hashed {name}(?!\d)", said):
        return None
    if re.search(rf"{name}(?!\d)", str(parent.get("Filter", ""))):
        return max(float(parent["Plan Rows"]), float(parent["Total Cost"]) / max(1.0, float(subplan["Total Cost"])))
    return float(parent["Plan Rows"])


def _own_cost(node: Node) -> float:
    """Without the subplans that are run for its rows, whose cost is in its own."""
    cost = float(node["Total Cost"])
    for one in node.get("Plans", ()):
        if one.get("Parent Relationship") in _ASIDE:
            cost -= float(one["Total Cost"]) * (_calls(one, node) or 1.0)
    return max(0.0, cost)


def _fraction(above: Sequence[Node]) -> float:
    """What a limit leaves of the rows below it, where none of the nodes in between wants all of them first."""
    for one in reversed(above):
        if one["Node Type"] == "Limit":
            below = next((two for two in one["Plans"] if two.get("Parent Relationship") not in _ASIDE), one)
            return min(1.0, float(one["Plan Rows"]) / max(1.0, float(below["Plan Rows"])))
        if one["Node Type"] in _WANT_ALL:
            break
    return 1.0


def _other_side(node: Node, above: Sequence[Node]) -> tuple[Node | None, str]:
    """The other child of the nearest join above, and what it is joined by."""
    child = node
    for one in reversed(above):
        below = one["Plans"] if "Join Type" in one else ()  # never each of an Append's thousand partitions
        children: list[Node] = [two for two in below if two.get("Parent Relationship") in _SIDES]
        if len(children) == 2:
            other = children[1] if children[0] is child else children[0]
            return other, " ".join(str(one[name]) for name in _CONDITIONS if name in one)
        child = one
    return None, ""


def _hashing(node: Node, above: Sequence[Node], joined: Node | None) -> float:
    """What reading all of a table costs with the hash that is made of it only to be joined."""
    join = next((one for one in reversed(above) if "Hash Cond" in one), None)
    if joined is None or join is None or joined not in join["Plans"] or "Filter" in node:
        return 0.0
    return float(join["Total Cost"]) - float(joined["Total Cost"])


def _loops(node: Node, above: Sequence[Node]) -> float:
    """How often it is begun anew: once, but inside a nested loop, where nothing keeps its rows."""
    if above and above[-1]["Node Type"] == "Nested Loop" and node.get("Parent Relationship") == "Inner":
        return max(1.0, float(above[-1]["Plans"][0]["Plan Rows"]))
    return 1.0
