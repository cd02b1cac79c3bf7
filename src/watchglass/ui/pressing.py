"""What presses now, as the sentence on top of the page asks for it: for all who look, and without being held up."""

from __future__ import annotations

import asyncio
from typing import Final

from watchglass.api.answers import Pressing
from watchglass.api.context import Context
from watchglass.api.pressing import known
from watchglass.ui.kept import Kept

FRESH: Final = 3.0
"""Seconds for which an answer is good; each page asks every five."""

PATIENCE: Final = 3.0
"""Seconds that the page waits for it."""


class PressingNow:
    """Of one process, which asks for itself."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._kept: Kept[list[Pressing] | None] = Kept(FRESH)

    async def get(self) -> list[Pressing] | None:
        """What presses; None where that is not known."""
        try:
            return await asyncio.wait_for(self._kept.get(None, lambda: known(self._context)), PATIENCE)
        except TimeoutError:
            return None
