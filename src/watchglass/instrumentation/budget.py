"""Where the time of each request went, of every request: the latency budget.

What is waited for is noted as an interval `(start, end, part, task)` when it ends. Up to the end of the request's
duration the intervals are shared out, so that no moment counts twice:

- a moment belongs to the tasks of the request that wait at it, 1/n to each of n (`asyncio.gather` of two statements
  that take 10 ms each is 5 ms for either); of one task to the innermost of its intervals, so that what encloses others
  has its self time;
- a moment at which nothing is waited for is own code: components and own code add up to the duration;
- what is still under way when the duration ends does not count, for the response did not wait for it. What was given up
  before, by a timeout or a cancellation, does.

Lag of the event loop delays the return from each interval. How much is estimated, never more than was waited: the
number of returns by the loop's mean lag at the time (`MeanLag`), taken from all that was waited for in proportion.
"""

from __future__ import annotations

from asyncio import current_task
from collections import defaultdict
from collections.abc import Iterable
from threading import get_ident
from typing import Final

from watchglass.instrumentation.lag import MeanLag
from watchglass.instrumentation.recorder import Counter, Recorder
from watchglass.instrumentation.request import Request, Work, current_request
from watchglass.meters import HTTP_SERVER_BUDGET

OWN_CODE: Final = "own_code"
POSTGRESQL: Final = "postgresql"
REDIS: Final = "redis"
HTTP: Final = "http"
POOL_WAIT: Final = "pool_wait"
LOOP_LAG: Final = "loop_lag"

MAX_WORK: Final = 1_000
"""Intervals of one request that are held; more are shared out and added up as they come."""

MAX_DETAILS: Final = 50
"""Statements, cache types and hosts told apart in one endpoint; more are their component."""

MAX_ALL_DETAILS: Final = 2_000
"""The same, in all endpoints of the process."""

FORGET: Final = 60.0
"""Seconds for which the counters of an endpoint are held, so that idle ones can leave memory."""

Part = tuple[str | None, ...]
"""Component, `db.query.summary`, `db.query.text`, `watchglass.cache.type`, `server.address`; None where not its own."""

Spent = dict[Part, float]

POOL: Final[Part] = (POOL_WAIT, None, None, None, None)
LAG: Final[Part] = (LOOP_LAG, None, None, None, None)
OWN: Final[Part] = (OWN_CODE, None, None, None, None)


def part_of(
    component: str,
    summary: str | None = None,
    text: str | None = None,
    cache_type: str | None = None,
    address: str | None = None,
) -> Part:
    """A part of the budget: a component, in detail."""
    return component, summary, text, cache_type, address


def note(part: Part, start: float, end: float) -> None:
    """Take note of what was waited for in this task, for the current request; readings of the recorder's clock."""
    request = current_request()
    if request is None or (work := request.work) is None:
        return
    try:
        task = id(current_task())
    except RuntimeError:  # no event loop: in a thread, which no loop delays
        task = -get_ident()
    work.append((start, end, part, task))
    if len(work) >= MAX_WORK:
        _fold(request, work, end)


def _fold(request: Request, work: list[Work], until: float) -> None:
    """Share out what there is. What ends later and began earlier counts from `until` on only."""
    since, folded, returns = request.folded or (request.start, {}, 0)
    for part, seconds in shares(work, since, until).items():
        folded[part] = folded.get(part, 0.0) + seconds
    request.folded = until, folded, returns + _returns(work)
    request.work = []


def _returns(work: Iterable[Work]) -> int:
    """How often the event loop had to come back to a task."""
    return sum(one[3] > 0 for one in work)


def shares(work: Iterable[Work], start: float, until: float) -> Spent:
    """The seconds of each part between `start` and `until`, as the module says."""
    spent: Spent = defaultdict(float)
    at = start
    for begin, end, part, _ in work:
        if begin < at or end > until:
            return _swept(list(work), start, until)
        spent[part] += end - begin
        at = end
    return spent


def _swept(work: list[Work], start: float, until: float) -> Spent:
    """The same where intervals overlap: n log n, by a clock that runs at 1/n while n tasks wait."""
    edges: list[tuple[float, int, int]] = []
    for number, (begin, end, _, _) in enumerate(work):
        if max(begin, start) < min(end, until):
            edges += (max(begin, start), 1, -number), (min(end, until), 0, -number)
    spent: Spent = defaultdict(float)
    waiting: dict[int, list[int]] = {}
    since: dict[int, float] = {}
    clock = last = 0.0
    for time, opens, number in sorted(edges):
        if waiting:
            clock += (time - last) / len(waiting)
        last, task = time, work[-number][3]
        inner = waiting.setdefault(task, [])
        if inner:
            spent[work[-inner[-1]][2]] += clock - since[task]
        since[task] = clock
        if opens:
            inner.append(number)
        else:
            inner.remove(number)
            if not inner:
                del waiting[task]
    return spent


class Budget:
    """The budgets of all endpoints of a process, as counters of seconds. `lag` is that of its event loops."""

    def __init__(self, recorder: Recorder, lag: MeanLag | None = None) -> None:
        self._recorder = recorder
        self._lag = lag or MeanLag()
        self._endpoints: dict[tuple[str, str | None], Endpoint] = {}
        self._details: defaultdict[tuple[str, str | None], set[Part]] = defaultdict(set)
        self._number = 0
        self._forgot = recorder.clock()
        recorder.before_collect(self._forget)

    def settle(self, request: Request, until: float) -> Spent | None:
        """What the request waited for until then, None if for nothing; later work for it is not noted any more."""
        spent, request.work = self.so_far(request, until), None
        return spent

    def so_far(self, request: Request, until: float) -> Spent | None:
        """The same of a request that goes on."""
        work = request.work
        if not work and request.folded is None:
            return None
        since, folded, returns = request.folded or (request.start, {}, 0)
        spent = dict(folded)
        for part, seconds in shares(work or (), since, until).items():
            spent[part] = spent.get(part, 0.0) + seconds
        if self._lag.seconds:
            _delay(spent, self._lag.seconds * (returns + _returns(work or ())))
        return spent

    def record(self, request: Request, seconds: float, spent: Spent | None) -> None:
        """Add a request that took `seconds`, its route known, to its endpoint."""
        key = request.method, request.route
        endpoint = self._endpoints.get(key) or self._endpoint(key)
        if spent:
            for part, of_part in spent.items():
                (endpoint.get(part) or self._counter(key, endpoint, part)).add(of_part)
            seconds = max(0.0, seconds - sum(spent.values()))
        endpoint[OWN].add(seconds)

    def _endpoint(self, key: tuple[str, str | None]) -> Endpoint:
        own = self._recorder.counter(HTTP_SERVER_BUDGET, (*key, *OWN))
        return self._endpoints.setdefault(key, {OWN: own})

    def _counter(self, key: tuple[str, str | None], endpoint: Endpoint, part: Part) -> Counter:
        named = part if self._may_name(self._details[key], part) else (part[0], None, None, None, None)
        return endpoint.setdefault(part, self._recorder.counter(HTTP_SERVER_BUDGET, (*key, *named)))

    def _may_name(self, details: set[Part], part: Part) -> bool:
        if part in details:
            return True
        if len(details) >= MAX_DETAILS or self._number >= MAX_ALL_DETAILS:
            return False
        details.add(part)
        self._number += 1
        return True

    def _forget(self) -> None:
        """Let go of all counters now and then: the recorder keeps those in use, and lets the others leave."""
        now = self._recorder.clock()
        if now - self._forgot >= FORGET:
            self._forgot, self._endpoints = now, {}


Endpoint = dict[Part, Counter]


def _delay(spent: Spent, seconds: float) -> None:
    """Move what the event loop took of the waiting, all of it at most, to its own part."""
    waited = sum(spent.values())
    lag = min(waited, seconds)
    if lag > 0:
        for part in spent:
            spent[part] *= 1 - lag / waited
        spent[LAG] = lag
