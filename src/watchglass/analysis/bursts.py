"""Whether something that is counted comes much faster than usual."""

from __future__ import annotations

from collections import deque
from math import inf

LEAST = 20
"""What is a burst at all, within a minute."""

TIMES = 5.0
"""How many times the usual rate it is."""

MINUTE, HOUR = 60.0, 3600.0

PAUSE = 600.0
"""Seconds in which one burst is told at most."""


class Bursts:
    """Looks at a count that only grows. The usual is the mean of up to an hour before the last minute."""

    def __init__(self) -> None:
        self._history: deque[tuple[float, int]] = deque()
        self._told = -inf

    def look(self, now: float, total: int) -> int | None:
        """How many came within the last minute, if that is a burst that was not told; `now` in seconds."""
        history = self._history
        history.append((now, total))
        while history[0][0] < now - HOUR - MINUTE:
            history.popleft()
        recent = next(one for one in history if one[0] >= now - MINUTE)
        came = total - recent[1]
        minutes = (recent[0] - history[0][0]) / MINUTE
        usual = (recent[1] - history[0][1]) / max(1.0, minutes)
        if came < LEAST or came < TIMES * usual or now - self._told < PAUSE:
            return None
        self._told = now
        return came
