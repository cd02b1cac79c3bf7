"""Whether two plans of a statement are the same, and how they differ if not."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from watchglass.analysis.plan_words import phrase
from watchglass.analysis.plans import Step

_PASSED: Final = frozenset(("Gather", "Gather Merge", "Materialize"))
"""Steps that say how rows are handed on, not how they are found: they come and go with the load and the costs."""

_PARTS: Final = frozenset(("Append", "Merge Append"))
_NUMBERS: Final = re.compile(r"\d+")
_DATES: Final = re.compile(r"\d(?:_?\d)+")
"""What partitions of days and months are called by: one of them alone is scanned without an Append above it."""


def shape(plan: Mapping[str, Any]) -> str:
    """The same for all plans that do the same steps, whatever their values, costs and numbers: 16 hex digits.

    Whether a step is done in parallel does not matter, nor how many partitions, by whichever number in their names.
    """
    return hashlib.blake2b(_shape(plan["Plan"], False).encode(), digest_size=8).hexdigest()


def difference(before: Sequence[Step], after: Sequence[Step], since: str) -> str:
    """What is done now in place of what was done before; `since` is the time as people read it."""
    lost, gained = _only_in(before, after, scans=True), _only_in(after, before, scans=True)
    if not lost and not gained:
        lost, gained = _only_in(before, after, scans=False), _only_in(after, before, scans=False)
    if lost and gained:
        return f"Since {since} {_listed(gained)}, before {_listed(lost)}."
    if gained:
        return f"Since {since} {_listed(gained)} in addition."
    if lost:
        return f"Since {since} no longer {_listed(lost)}."
    return f"Since {since} the same steps in another order."


def _only_in(these: Sequence[Step], those: Sequence[Step], *, scans: bool) -> list[str]:
    """What these do and those do not, in the order of their cost."""
    of_those = Counter(_phrases(those, scans))
    return list((Counter(_phrases(these, scans)) - of_those).keys())


def _phrases(found: Sequence[Step], scans: bool) -> list[str]:
    by_cost = sorted(found, key=lambda step: -step.share)
    chosen = [step for step in by_cost if scans == (step.kind in ("sequential", "index")) and not _is_passed(step)]
    return [phrase(step) for step in chosen if not step.name.startswith("Bitmap Heap")]


def _is_passed(step: Step) -> bool:
    return step.name in _PASSED


def _listed(phrases: Sequence[str]) -> str:
    shown = list(phrases[:3])
    return " and ".join(shown) + (f" and {len(phrases) - 3} more" if len(phrases) > 3 else "")


def _shape(node: Mapping[str, Any], is_part: bool) -> str:
    kind = str(node.get("Node Type"))
    below = node.get("Plans", ())
    if kind in _PASSED or (kind == "Aggregate" and node.get("Partial Mode") == "Partial"):
        return "+".join(_shape(child, is_part) for child in below)
    names = [str(node.get(key) or "") for key in ("Schema", "Relation Name", "Index Name", "Function Name", "CTE Name")]
    names = [(_NUMBERS if is_part else _DATES).sub("#", name) for name in names]
    how = [str(node.get(key) or "").partition(" (")[0] for key in ("Join Type", "Scan Direction", "Subplan Name")]
    parts = kind in _PARTS
    shapes = [_shape(child, is_part or parts) for child in below]
    return f"{kind}|{'|'.join(names + how)}({'+'.join(sorted(set(shapes)) if parts else shapes)})"
