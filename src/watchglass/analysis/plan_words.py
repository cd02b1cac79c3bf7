"""What a plan says, in a sentence and as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from watchglass.analysis.plans import Step

MISJUDGED: Final = 10.0
"""From how many times more, or fewer, rows than expected on it is worth saying."""

_SCANS: Final = {
    "Seq Scan": "a sequential scan of {relation}",
    "Index Scan": "an index scan on {index}",
    "Index Only Scan": "an index-only scan on {index}",
    "Bitmap Heap Scan": "a bitmap scan of {relation}",
    "Bitmap Index Scan": "a bitmap scan on {index}",
    "Sample Scan": "a sample of {relation}",
    "Function Scan": "the function {relation}",
    "CTE Scan": "the common table {relation}",
    "Nested Loop": "a nested loop",
    "Hash Join": "a hash join",
    "Merge Join": "a merge join",
    "Sort": "a sort",
    "Incremental Sort": "an incremental sort",
    "HashAggregate": "a hash aggregate",
    "GroupAggregate": "an aggregate of sorted rows",
    "Aggregate": "an aggregate",
    "Append": "putting parts together",
    "Limit": "the limit",
}


def phrase(step: Step) -> str:
    """The step as part of a sentence: "a sequential scan of orders"."""
    name = step.name.removeprefix("Parallel ").partition(" (")[0]
    pattern = _SCANS.get(name, f"the step {name}" + (" on {relation}" if step.relation else ""))
    return pattern.format(relation=step.relation or "?", index=step.index or "?")


def worst(found: Sequence[Step]) -> Step:
    """The step with the largest share of the cost."""
    return max(found, key=lambda step: step.share)


def sentence(found: Sequence[Step]) -> str:
    """The worst step and what is wrong with it."""
    step = worst(found)
    said = phrase(step)
    parts = [f"{said[0].upper()}{said[1:]} makes up {step.share * 100:.0f} % of the cost"]
    if step.removed and step.actual_rows is not None:
        parts.append(f"it read {_count(step.removed + step.actual_rows)} rows and threw away {_count(step.removed)}")
    elif step.kind == "sequential" and (condition := dict(step.conditions).get("Filter")):
        parts.append(f"it reads every row to find those with {condition}")
    texts = ["; ".join(parts) + "."]
    for other in found:
        if other.spilled:
            what = phrase(other)
            texts.append(f"{what[0].upper()}{what[1:]} did not fit in memory: {_count(other.spilled)} kB on disk.")
            break
    most = max((one for one in found if one.misjudged is not None), key=_off, default=None)
    if most is not None and _off(most) >= MISJUDGED:
        expected, came = _count(most.rows), _count(most.actual_rows or 0)
        texts.append(f"For {phrase(most)} {expected} rows were expected and {came} came: ANALYZE the table.")
    return " ".join(texts)


def as_text(found: Sequence[Step]) -> str:
    """The plan as psql would show it, about."""
    lines: list[str] = []
    for step in found:
        arrow = f"{'      ' * (step.depth - 1)}  ->  " if step.depth else ""
        place = f" using {step.index}" if step.index and step.relation else f" on {step.index}" if step.index else ""
        place += f" on {step.relation}" if step.relation else ""
        actual = "" if step.actual_rows is None else f" (actual rows={step.actual_rows:.0f} loops={step.loops:g})"
        lines.append(f"{arrow}{step.name}{place}  (own cost={step.cost:.2f} rows={step.rows:.0f}){actual}")
        indent = " " * (len(arrow) + 2)
        lines += [f"{indent}{name}: {text}" for name, text in step.conditions]
        if step.removed is not None:
            lines.append(f"{indent}Rows Removed: {step.removed:.0f}")
        if step.spilled is not None:
            lines.append(f"{indent}Disk: {step.spilled} kB")
    return "\n".join(lines)


def _off(step: Step) -> float:
    times = step.misjudged or 1.0
    return max(times, 1 / times)


def _count(number: float) -> str:
    return f"{number:,.0f}"
