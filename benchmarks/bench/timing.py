"""Timing two systems in turns, so that a busy machine disturbs both alike."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

BUDGET = 90.0
"""Seconds that one question may keep the slower system busy, beyond the least number of rounds."""
LEAST = 3

Ask = Callable[[], Awaitable[int]]
"""Asks a question and says how many values the answer has."""


@dataclass
class Times:
    """Milliseconds of one system's answers to one question, and the values in an answer."""

    warm: list[float] = field(default_factory=list)
    cold: list[float] = field(default_factory=list)
    values: int = 0

    async def take(self, ask: Ask, into: list[float]) -> None:
        began = time.perf_counter()
        self.values = await ask()
        into.append((time.perf_counter() - began) * 1000)


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def p95(values: Sequence[float]) -> float:
    """The nearest rank; of fewer than twenty values the largest."""
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]


async def interleaved(ours: Ask, theirs: Ask, rounds: int) -> tuple[Times, Times]:
    """Both asked once to warm up and then in turns; where theirs is slow, in fewer rounds with more of ours in each."""
    mine, other = Times(), Times()
    await mine.take(ours, [])
    warming: list[float] = []
    await other.take(theirs, warming)
    rounds = max(min(LEAST, rounds), min(rounds, int(BUDGET * 1000 / warming[0])))
    for _ in range(rounds):
        for _ in range(-(-20 // rounds)):
            await mine.take(ours, mine.warm)
        await other.take(theirs, other.warm)
    return mine, other


def forget_files(folder: Path) -> None:
    """Have the system drop what it caches of a folder's files, whose processes have ended."""
    for file in folder.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


@contextmanager
def stopwatch(told: Callable[[str], None], what: str) -> Iterator[None]:
    """Say how long something took."""
    began = time.perf_counter()
    yield
    told(f"{what}: {time.perf_counter() - began:.0f} s")
