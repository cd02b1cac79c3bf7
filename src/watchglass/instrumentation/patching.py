"""Replacing attributes of libraries, and putting them back exactly as they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_ABSENT = object()


class Patches:
    """What was replaced, undone in reverse. An attribute that someone else replaced since is left alone."""

    def __init__(self) -> None:
        self._replaced: list[tuple[Any, str, Any, Any]] = []

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> bool:
        """Set the attribute to what `make` makes of the present one; False if there is none."""
        original = getattr(owner, name, _ABSENT)
        if original is _ABSENT:
            return False
        own = vars(owner).get(name, _ABSENT)
        replacement = make(original)
        setattr(owner, name, replacement)
        self._replaced.append((owner, name, own, replacement))
        return True

    def restore(self) -> None:
        """Put back everything."""
        for owner, name, own, replacement in reversed(self._replaced):
            if vars(owner).get(name) is replacement:
                if own is _ABSENT:
                    delattr(owner, name)
                else:
                    setattr(owner, name, own)
        self._replaced.clear()
