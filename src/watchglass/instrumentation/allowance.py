"""How many traces may be kept in a minute, and which go first when there are more."""

from __future__ import annotations

from collections import Counter
from typing import Final

from watchglass.settings import Settings

SHARES: Final = {"error": 1.0, "slow": 0.75, "first": 0.5, "random": 0.5}
"""How far each reason may fill the minute, so that there is room for errors, and for slow ones, until its end."""

RANDOM_A_MINUTE: Final = 60
OF_A_GROUP: Final = 20
"""One error group has at most a twentieth of the minute's traces, one endpoint half of them."""

GROUP_IS_FULL: Final = "error_group"
"""Why there is no room for an error while there is for others."""

Endpoint = tuple[str, str | None]


class Allowance:
    """What is left of a minute, in traces and in bytes."""

    def __init__(self, settings: Settings) -> None:
        self._traces = settings.traces_per_minute
        self._bytes = settings.trace_bytes_per_minute
        self._of_endpoint = max(1, self._traces // 2)
        self._of_group = max(1, self._traces // OF_A_GROUP)
        self.begin()

    def begin(self) -> None:
        """A new minute."""
        self._kept = self._kept_bytes = 0
        self._endpoints: Counter[Endpoint] = Counter()
        self._groups: Counter[str | None] = Counter()
        self._random = 0

    def take(self, reason: str, endpoint: Endpoint, group: str | None, weight: int) -> str | None:
        """Take the room of one trace; why there is none, else None."""
        share = SHARES[reason]
        if self._kept + 1 > self._traces * share:
            return "traces_per_minute"
        if self._kept_bytes + weight > self._bytes * share:
            return "trace_bytes_per_minute"
        if self._endpoints[endpoint] >= self._of_endpoint:
            return "endpoint"
        if reason == "error" and self._groups[group] >= self._of_group:
            return GROUP_IS_FULL
        if reason == "random" and self._random >= RANDOM_A_MINUTE:
            return "random"
        self._kept += 1
        self._kept_bytes += weight
        self._endpoints[endpoint] += 1
        self._groups[group] += reason == "error"
        self._random += reason == "random"
        return None
