"""Plays the acts: requests at random moments of a given rate, the same requests for the same seed.

`python -m watchglass.demo.traffic URL` plays them against a service that runs elsewhere.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from random import Random

import httpx

from watchglass.demo.acts import ACTS, Act
from watchglass.demo.requests import KINDS, Call, Memory

AT_ONCE = 16
"""Requests under way at most; more are left out, so that a slow service is not drowned."""

_SLOW_ENOUGH = 1.25, 3.0  # seconds a search for references should take: slow on every machine, but bounded
MOST_SYMBOLS = 24

# No connection is used twice: a server closes it after an unhandled error, and the next request would be lost.
_LIMITS = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=0)

Announce = Callable[[str], None]


def plan(act: Act, random: Random) -> Iterator[tuple[float, str]]:
    """When each request of an act starts, in seconds from its beginning, and of which kind it is."""
    kinds, shares = list(act.mix), list(act.mix.values())
    moment = random.expovariate(act.rate)
    while moment < act.seconds:
        yield moment, random.choices(kinds, shares)[0]
        moment += random.expovariate(act.rate)


class Traffic:
    """Requests to one service. `answers` counts status codes, and `left out` and `failed`."""

    def __init__(self, url: str, announce: Announce, *, seed: int = 22) -> None:
        self.answers: Counter[str] = Counter()
        self._announce = announce
        self._random = Random(seed)
        self._memory = Memory(run=f"{time.time_ns():x}")
        self._under_way: dict[asyncio.Task[None], str] = {}
        self._client = httpx.AsyncClient(base_url=url, timeout=30, limits=_LIMITS)

    async def play(self, acts: Sequence[Act] = ACTS, rounds: int | None = None) -> None:
        """Play the acts one after another, `rounds` times or until cancelled."""
        try:
            for number in itertools.count() if rounds is None else range(rounds):
                for act in acts:
                    self._tell(act, first=number == 0)
                    await self._play_one(act)
        finally:
            await self._close()

    def _tell(self, act: Act, *, first: bool) -> None:
        again = "" if first else " again"
        self._announce(f"{datetime.now():%H:%M:%S}  {act.name}{again}, {act.seconds:g} s: {act.sentence}")

    async def _play_one(self, act: Act) -> None:
        started = time.monotonic()
        for moment, kind in plan(act, self._random):
            await asyncio.sleep(max(0.0, started + moment - time.monotonic()))
            self._start(kind)
        await asyncio.sleep(max(0.0, started + act.seconds - time.monotonic()))

    def _start(self, kind: str) -> None:
        """Send a request of a kind without waiting for its answer. Searches for references go one at a time."""
        call = KINDS[kind](self._random, self._memory)
        if len(self._under_way) >= AT_ONCE or (kind == "references" and kind in self._under_way.values()):
            self.answers["left out"] += 1
            return
        task = asyncio.create_task(self._send(kind, call))
        self._under_way[task] = kind
        task.add_done_callback(self._under_way.pop)

    async def _send(self, kind: str, call: Call) -> None:
        started = time.monotonic()
        try:
            answer = await self._client.request(call.method, call.path, params=dict(call.params), json=call.json)
        except httpx.HTTPError:
            self.answers["failed"] += 1
            return
        self.answers[str(answer.status_code)] += 1
        self._learn(kind, answer, time.monotonic() - started)

    def _learn(self, kind: str, answer: httpx.Response, seconds: float) -> None:
        """Remember what was uploaded, and search for so many references that it is slow on this machine too."""
        if kind == "add_document" and answer.status_code == httpx.codes.CREATED:
            self._memory.uploaded.append(answer.json()["id"])
        elif kind == "references":
            low, high = _SLOW_ENOUGH
            factor = 1.5 if seconds < low else 0.7 if seconds > high else 1
            self._memory.symbols = max(1, min(MOST_SYMBOLS, round(self._memory.symbols * factor)))

    async def _close(self) -> None:
        for task in list(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._client.aclose()


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the acts against a URL until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m watchglass.demo.traffic", description=__doc__)
    parser.add_argument("url", help="where the demo service answers, for example http://127.0.0.1:8000")
    parser.add_argument("--seed", type=int, default=22, help="the same requests for the same seed (default 22)")
    options = parser.parse_args(arguments)
    traffic = Traffic(options.url, lambda line: print(line, flush=True), seed=options.seed)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(traffic.play())
    return 0


if __name__ == "__main__":
    sys.exit(main())
