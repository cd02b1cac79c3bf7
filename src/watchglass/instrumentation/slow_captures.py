"""Slow statements with their parameters, in memory until their plans were asked for, and never anywhere else."""

from __future__ import annotations

import os
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from watchglass.analysis.fingerprints import of_statement
from watchglass.analysis.parameter_shapes import shapes_of
from watchglass.instrumentation.request import current_request
from watchglass.redaction import sql_shape

EVERY: Final = 600.0
"""Seconds in which one statement is captured once."""

PER_MINUTE: Final = 10
MOST_WAITING: Final = 20

MOST_HELD: Final = 50
HELD_SECONDS: Final = 3600.0
"""For how long the latest parameters of a statement are held, for an admin who has it run again."""

MOST_BYTES: Final = 100_000
"""Of a text and its parameters, about."""

_MOST_ITEMS: Final = 10_000


@dataclass(frozen=True, slots=True, repr=False)
class SlowStatement:
    """One execution; `arguments` is None where they are not known. `at` is a reading of the clock.

    `search_path` is its session's, None where it is not known to be another than the role's.
    """

    fingerprint: str
    text: str
    arguments: tuple[Any, ...] | None
    seconds: float
    database: str | None
    trace_id: bytes | None
    at: float
    search_path: str | None = None

    @property
    def shapes(self) -> list[str]:
        """Its parameters by type and size."""
        return shapes_of(self.arguments or ())


class SlowCaptures:
    """Of one process. What is offered costs nothing unless it is wanted; any thread, never waits."""

    def __init__(self, threshold: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.threshold = threshold
        self._clock = clock
        self._fresh()

    def _fresh(self) -> None:
        self._pid = os.getpid()
        self._waiting: deque[SlowStatement] = deque(maxlen=MOST_WAITING)
        self._held: OrderedDict[str, SlowStatement] = OrderedDict()
        self._captured: OrderedDict[str, float] = OrderedDict()
        self._lately: deque[float] = deque(maxlen=PER_MINUTE)

    def offer(
        self,
        text: str,
        shape: str | None,
        arguments: Any,
        seconds: float,
        database: str | None,
        search_path: str | None = None,
    ) -> None:
        """A statement that took longer than the threshold; `shape` is its text without literals, where known."""
        if self._pid != os.getpid():
            self._fresh()
        given = tuple(arguments) if isinstance(arguments, tuple | list) else None
        if _size(text) + _size(given) > MOST_BYTES:
            return
        now, request = self._clock(), current_request()
        fingerprint = of_statement(shape if shape is not None else sql_shape(text))
        trace_id = bytes.fromhex(request.trace_hex) if request is not None else None
        statement = SlowStatement(fingerprint, text, given, seconds, database, trace_id, now, search_path)
        self._hold(statement)
        if self._may(fingerprint, now):
            self._waiting.append(statement)

    def take(self) -> list[SlowStatement]:
        """What waits for its plan, once."""
        taken: list[SlowStatement] = []
        while self._waiting and self._pid == os.getpid():
            taken.append(self._waiting.popleft())
        return taken

    def latest(self, fingerprint: str) -> SlowStatement | None:
        """The latest slow execution of a statement in this process, if it is still held."""
        held = self._held.get(fingerprint) if self._pid == os.getpid() else None
        return held if held is not None and self._clock() - held.at < HELD_SECONDS else None

    def age(self, statement: SlowStatement) -> float:
        """Seconds since it was offered."""
        return self._clock() - statement.at

    def forget_old(self) -> None:
        """Let go of parameters that were held for long enough."""
        for fingerprint, held in list(self._held.items()):
            if self._clock() - held.at >= HELD_SECONDS:
                self._held.pop(fingerprint, None)

    def _hold(self, statement: SlowStatement) -> None:
        self._held[statement.fingerprint] = statement
        self._held.move_to_end(statement.fingerprint)
        while len(self._held) > MOST_HELD:
            self._held.popitem(last=False)

    def _may(self, fingerprint: str, now: float) -> bool:
        """Whether the statement was not captured lately, nor too many were."""
        captured = self._captured.get(fingerprint)
        if captured is not None and now - captured < EVERY:
            return False
        if len(self._lately) == PER_MINUTE and now - self._lately[0] < 60.0:
            return False
        self._lately.append(now)
        self._captured[fingerprint] = now
        self._captured.move_to_end(fingerprint)
        while len(self._captured) > 1000:
            self._captured.popitem(last=False)
        return True


def _size(value: Any, depth: int = 3) -> int:
    """About how much memory a value takes, bytes; too much where it is not looked at to its end."""
    if isinstance(value, str | bytes | bytearray | memoryview):
        return len(value)
    if isinstance(value, list | tuple | set | frozenset | dict):
        if depth == 0 or len(value) > _MOST_ITEMS:
            return MOST_BYTES + 1
        items = value.values() if isinstance(value, dict) else value
        return sum(_size(item, depth - 1) for item in items) + 8 * len(value)
    return 32
