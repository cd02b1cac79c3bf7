"""What the question about connection pools answers."""

from __future__ import annotations

from watchglass.api.activity_answers import Pool
from watchglass.api.models import Answer, Figure


class PoolsAnswer(Answer):
    """The pools of every process, those first that make requests wait; `more` were left out.

    `figures` are of all of them together: used, idle, size, max, waiting, wait, timeouts.
    """

    figures: dict[str, Figure]
    pools: list[Pool]
    more: int = 0
