"""What threads and the database did when a black box was frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watchglass.ui import format

OWN = "watchglass"
"""Threads of Watchglass begin with it: they come last."""


@dataclass(frozen=True, slots=True)
class StatementRow:
    """A statement that the database was executing; `waits` is what it waited for."""

    pid: str
    state: str
    waits: str
    duration: format.Quantity
    blocked_by: str
    text: str


@dataclass(frozen=True, slots=True)
class StackRow:
    """What a thread did, the innermost frame last; `innermost` is that without its folder."""

    id: str
    thread: str
    innermost: str
    frames: list[str]


def rows(documents: Sequence[Mapping[str, Any]]) -> list[StackRow]:
    """The threads, that of the service's loop first, our own last."""
    return sorted((_stack(at, one) for at, one in enumerate(documents)), key=_rank)


def _rank(one: StackRow) -> int:
    """The thread of the service's loop first, our own last."""
    return 0 if one.thread == "MainThread" else 2 if one.thread.startswith(OWN) else 1


def _stack(at: int, one: Mapping[str, Any]) -> StackRow:
    given = one.get("frames")
    frames = [str(frame) for frame in given] if isinstance(given, list) else []
    return StackRow(
        f"stack-{at}", str(one.get("thread") or ""), frames[-1].rpartition("/")[2] if frames else "", frames
    )


def statement(one: Mapping[str, Any]) -> StatementRow:
    """One statement as a row."""
    waits = [str(one[name]) for name in ("wait_event_type", "wait_event") if one.get(name)]
    blocked = one.get("blocked_by")
    return StatementRow(
        pid=str(one.get("pid") or ""),
        state=str(one.get("state") or ""),
        waits=": ".join(waits),
        duration=format.quantity(format.number(one.get("seconds")), "s"),
        blocked_by=", ".join(map(str, blocked)) if isinstance(blocked, list) else "",
        text=str(one.get("query") or ""),
    )
