"""What this very process knows of its requests while nobody can be asked what was stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from watchglass.api import words
from watchglass.api.context import Context, Running
from watchglass.api.health import Health

NAMED: Final = 3
"""Endpoints that are named, those with the most requests first."""

LATELY: Final = 5.0
"""Seconds that have to have been looked at before a share of them says something."""


def here(context: Context, health: object) -> str | None:
    """What is under way, and how many of the last minute's requests failed; None beside the service."""
    if context.running is None or not isinstance(health, Health):
        return None
    return f"In this process alone, {_running(context.running())}{_failed(health)}."


def _running(running: Sequence[Running]) -> str:
    if not running:
        return "no request is running"
    one = len(running) == 1
    many, are = words.plural(len(running), "request"), "is" if one else "are"
    longest = f", {'' if one else 'the longest '}for {words.duration(max(one.seconds for one in running))}"
    counted = Counter(one.name for one in running).most_common()
    named = [f"{count} {name}" if len(counted) > 1 else name for name, count in counted[:NAMED]]
    more = sum(count for _, count in counted[NAMED:])
    return f"{many} {are} running{longest}: {', '.join([*named, *([words.plural(more, 'other')] if more else [])])}"


def _failed(health: Health) -> str:
    seen = health.lately()
    if seen.seconds < LATELY or not seen.requests:
        return ""
    failed = f"{words.percent(seen.failed / seen.requests)} of them failed" if seen.failed else "none failed"
    return f"; {words.plural(seen.requests, 'request')} ended in the last {words.duration(seen.seconds)}, {failed}"
