"""The time range and the comparison of a question, from the URL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from watchglass.analysis.tiers import HOUR, MINUTE, TEN_SECONDS, resolution
from watchglass.analysis.windows import Window
from watchglass.errors import InvalidRange

RANGES = {"15m": 900, "1h": 3600, "6h": 21_600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000}
"""Seconds of each named range, as `?range=` takes it."""

COMPARISONS = {"previous": 0, "1h": 3600, "1d": 86_400, "1w": 604_800}
"""Seconds before, as `?compare=` takes it; `previous` is the window right before. `none` compares with nothing."""

THAN = {"previous": "in the period before", "1h": "an hour ago", "1d": "a day ago", "1w": "a week ago", "none": ""}
"""How a sentence says it: 12 % above an hour ago."""

DEFAULT_RANGE, DEFAULT_COMPARISON = "1h", "1h"

SHORTEST = 60
"""Seconds of the shortest window of figures."""

_LONGEST = 400 * 86_400


def window_of(
    query: Mapping[str, str], now: float, kept: Sequence[tuple[int, float]] = (), shortest: float = SHORTEST
) -> Window:
    """The window that `range`, or `start` and `end`, name; an end in the future becomes now. Raises `InvalidRange`.

    It begins where the rows of its first moment begin: `kept` has the seconds that rows of each width are kept.
    """
    if query.get("start") or query.get("end"):
        window = _between(query.get("start") or "", query.get("end") or "", now, shortest)
    else:
        name = query.get("range") or DEFAULT_RANGE
        if name not in RANGES:
            raise _invalid(name)
        window = Window(now - RANGES[name], now)
    width = max(_coarse(window.seconds), resolution(window.start, now, kept) if kept else 0)
    return Window(window.start // width * width, window.end) if width > TEN_SECONDS else window


def _coarse(seconds: float) -> int:
    """How exactly the start of a window matters: a minute of a day, an hour of a week."""
    return HOUR if seconds >= RANGES["7d"] else MINUTE if seconds >= RANGES["24h"] else TEN_SECONDS


def earlier_of(query: Mapping[str, str], window: Window) -> Window | None:
    """The earlier window that `compare` names. Raises `InvalidRange`."""
    name = query.get("compare") or DEFAULT_COMPARISON
    if name == "none":
        return None
    if name not in COMPARISONS:
        raise InvalidRange(value=f"compare={name}", allowed=", ".join((*COMPARISONS, "none")))
    return window.earlier(COMPARISONS[name] or window.seconds)


def comparison_of(query: Mapping[str, str]) -> str:
    """The words for what `compare` names."""
    return THAN[query.get("compare") or DEFAULT_COMPARISON]


def _between(start: str, end: str, now: float, shortest: float) -> Window:
    first = _instant(start)
    last = min(_instant(end), now) if end else now
    if not shortest <= last - first <= _LONGEST:
        raise _invalid(f"{start} to {end or 'now'}")
    return Window(first, last)


def _instant(text: str) -> float:
    """Unix seconds of an ISO 8601 time with a zone; a space stands for the + that a URL made of it."""
    try:
        time = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text)
        if time.tzinfo is None:
            raise _invalid(text)
        return time.timestamp()
    except (ValueError, OverflowError):
        raise _invalid(text) from None


def _invalid(value: str) -> InvalidRange:
    return InvalidRange(value=repr(value[:100]), allowed=", ".join(RANGES))
