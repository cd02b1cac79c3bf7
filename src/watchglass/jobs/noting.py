"""What a process has under way, noted in the store for as long as it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence, Set
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from watchglass.errors import WatchglassError
from watchglass.store.connection import transaction

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

T = TypeVar("T")

COLUMNS = 7
"""Of both statements that note, beside the process."""


async def keep_noted(
    look: Callable[[], Mapping[Hashable, T]],
    note: Callable[[Sequence[T]], Awaitable[None]],
    look_seconds: float,
    every: float,
) -> None:
    """Note what is seen whenever it is other than before, and every so many seconds: a killed process says nothing.

    It ends by being cancelled, and leaves nothing in the store then. Raises what noting raises.
    """
    noted: Set[Hashable] | None = None  # not known: what failed before may have left some there
    written = 0.0
    try:
        while True:
            await asyncio.sleep(look_seconds)
            seen = look()
            if seen.keys() != noted or (seen and time.monotonic() - written >= every):
                await note(list(seen.values()))
                noted, written = set(seen), time.monotonic()
    finally:
        if noted:
            with suppress(WatchglassError):
                await note([])


async def set_noted(connection: Connection, query: str, instance: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Have these rows of a process in the store, and no others."""
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(COLUMNS)]
    async with transaction(connection, seconds=5.0):
        await connection.execute(query, instance, *columns)
