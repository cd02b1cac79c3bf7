"""What a forked child inherits is its parent's: dropped, never closed."""

from __future__ import annotations

_kept: list[object] = []


def abandon(thing: object) -> None:
    """Drop something of the parent's without its finalizer ever running: that could speak on the parent's socket."""
    _kept.append(thing)
