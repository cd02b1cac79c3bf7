"""An answer that several viewers and several parts of a page share for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """The latest answer to one question, for `seconds`; who asks while it is being asked waits for the same one.

    An error is not kept.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._key: Hashable = None
        self._asked_at = 0.0
        self._task: asyncio.Future[T] | None = None

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer for `key`: the kept one, or a new one by `ask`. Giving up waiting does not end the question."""
        if key != self._key or not self._is_fresh() or self._task is None:
            self._key, self._asked_at = key, time.monotonic()
            self._task = asyncio.ensure_future(ask())
        return await asyncio.shield(self._task)

    def _is_fresh(self) -> bool:
        task = self._task
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            return False
        if not task.done():
            return True
        failed = task.cancelled() or task.exception() is not None
        return not failed and time.monotonic() - self._asked_at < self._seconds
