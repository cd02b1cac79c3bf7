"""`Server-Timing` on the service's own responses, for admins who are logged in: where the time went until they began.

A header of W3C's (https://www.w3.org/TR/server-timing/), which browsers show beside a request. Nobody else gets it: it
tells how long a look-up took, which may tell whether there was something to find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from watchglass.instrumentation.budget import HTTP, LOOP_LAG, OWN_CODE, POOL_WAIT, POSTGRESQL, REDIS, Budget
from watchglass.instrumentation.request import Request

NAMES: Final = {POSTGRESQL: "db", REDIS: "redis", HTTP: "http", POOL_WAIT: "pool", LOOP_LAG: "loop", OWN_CODE: "app"}
"""What the components of the budget are called; they add up to `total`."""


@dataclass(frozen=True, slots=True)
class ServerTiming:
    """`mark` is in the Cookie header of everyone who may get it; `is_admin` tells of such a header whether they do.

    `is_admin` runs on the request path, and must not wait for anything.
    """

    mark: bytes
    is_admin: Callable[[bytes], bool]

    def wanted(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether a request with these headers (names in lower case) is an admin's."""
        for name, value in headers:  # noqa: SIM110 - any() takes three times as long, on every request
            if name == b"cookie" and self.mark in value and self.is_admin(value):
                return True
        return False


def timing(budget: Budget, request: Request, now: float) -> bytes:
    """The header's value: milliseconds until `now`, in all and by what they were spent on."""
    total = now - request.start
    by_name: dict[str, float] = {}
    for part, seconds in (budget.so_far(request, now) or {}).items():
        name = NAMES.get(part[0] or "", "other")
        by_name[name] = by_name.get(name, 0.0) + seconds
    by_name[NAMES[OWN_CODE]] = max(0.0, total - sum(by_name.values()))
    metrics = (f"{name};dur={1000 * seconds:.1f}" for name, seconds in [("total", total), *by_name.items()])
    return ", ".join(metrics).encode()
