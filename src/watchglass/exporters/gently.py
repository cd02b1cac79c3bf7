"""Long loops on a thread of our own, without making the service's event loop wait.

A thread that computes gives the GIL up when another has waited for it for five milliseconds (sys.getswitchinterval):
each time the loop of the service wakes up meanwhile, it is that much late. A pause in between lets it go first.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

EVERY = 32
"""Series that are worked on at once, about a millisecond."""

_PAUSE_SECONDS = 0.0001


def gently(items: Iterable[T]) -> Iterator[T]:
    """The items, with a short sleep after every few. Not for an event loop's thread that others wait for."""
    for number, item in enumerate(items, 1):
        yield item
        if number % EVERY == 0:
            time.sleep(_PAUSE_SECONDS)
