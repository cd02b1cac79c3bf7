"""What this process has to show: what its meters say now, what idle series took with them, less what is another's."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from watchglass.exporters.workers.totals import Exemplars, Key, Totals, added, bounded, exposed, lasting, marked, since
from watchglass.records import Collect, State

_PATIENCE = 20
"""Milliseconds to wait for a series that is leaving."""


class Accounts:
    """The totals of a process, which never fall, although idle series leave its memory; with its exemplars."""

    def __init__(self, collect: Collect, most: int, exemplars: Callable[[], Mapping[Key, Exemplars]] = dict) -> None:
        self._collect = collect
        self._most = most
        self._exemplars = exemplars
        self.fresh()

    def fresh(self) -> None:
        """Forget everything, in a forked child."""
        self._retired: Totals = {}
        self._start: Totals = {}
        self._last: Totals = {}

    def skip(self) -> None:
        """Leave out what was counted until now: another process, or an earlier life of this one, has it."""
        self._start = dict(lasting(self._now()))
        self._last = {}

    def leave_out(self, totals: Totals) -> None:
        """Leave out what was shown already, and that others have now."""
        self._start = added([*self._start.items(), *lasting(totals)])

    def retire(self, states: Sequence[State]) -> None:
        """Keep what counted in series that have just left the recorder; for its `before_retire`."""
        gone = lasting(exposed(states))
        self._retired = bounded(added([*self._retired.items(), *gone], up=True), self._most)

    def totals(self) -> Totals:
        """What the process has to show now. By one thread at a time.

        Between the moment in which a series leaves and that in which it is retired here a total falls: then it is read
        again.
        """
        totals = self._now()
        for _ in range(_PATIENCE):
            if not self._fell(totals):
                break
            time.sleep(0.001)
            totals = self._now()
        self._last = totals
        return marked(since(totals, self._start), self._exemplars())

    def _now(self) -> Totals:
        retired = self._retired
        totals = exposed(self._collect())
        return added([*totals.items(), *retired.items()]) if retired else totals

    def _fell(self, totals: Totals) -> bool:
        return any(key not in totals or totals[key].sum < total.sum for key, total in lasting(self._last))
