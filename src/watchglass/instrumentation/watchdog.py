"""Who holds an event loop: a thread that looks at a loop's stack when its heartbeat is late.

While the loop is healthy the thread wakes a few times a second, compares two numbers, and sleeps again.
"""

from __future__ import annotations

import asyncio
import os
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final, Protocol

from watchglass import guard
from watchglass.instrumentation.exceptions import SERVING
from watchglass.instrumentation.request import Request
from watchglass.records import LogRecord

LOGGER: Final = "watchglass.event_loop"
EVERY: Final = 10.0
"""Seconds in which at most one block is reported; the next report says how many there were in between."""

MAX_FRAMES: Final = 50
"""Frames of a stack that are kept, the innermost."""

_WARNING: Final = 13
_LIBRARIES: Final = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_LOOP: Final = os.path.dirname(asyncio.__file__)
_RUNS: Final = frozenset({"_run", "_run_once", "run", "run_forever", "run_until_complete"})

Frame = tuple[str, int, str]
"""File, line and function; never a variable."""


class Heart(Protocol):
    """A loop that beats: in thread `thread`, next at `expected`, a reading of `time.perf_counter`."""

    thread: int
    expected: float


class Watchdog:
    """Reports who holds a loop for longer than `seconds`, once for each time, to `report`, from its own thread."""

    def __init__(self, seconds: float, report: Callable[[LogRecord], None]) -> None:
        self._seconds = seconds
        self._report = report
        self._hearts: dict[Heart, float] = {}
        self._reported = -EVERY
        self._unreported = 0
        self._pid = 0
        self._ended = threading.Event()

    def watch(self, heart: Heart) -> None:
        """Watch a loop from now on; starts the thread of this process."""
        if self._pid != os.getpid():
            self._pid, self._hearts, self._ended = os.getpid(), {}, threading.Event()
        self._hearts[heart] = 0.0
        if len(self._hearts) == 1:
            self._ended.clear()
            threading.Thread(target=self._run, args=(self._ended,), name="watchglass-watchdog", daemon=True).start()

    def leave(self, heart: Heart) -> None:
        """Watch a loop no longer; the thread ends with the last."""
        self._hearts.pop(heart, None)
        if not self._hearts:
            self._ended.set()
            self._ended = threading.Event()

    def _run(self, ended: threading.Event) -> None:
        while not ended.wait(self._pause()):
            with guard.protected("watchdog"), guard.as_own_work():
                self._look()

    def _pause(self) -> float:
        """Until the first loop would be late, if it does not beat before."""
        now = time.perf_counter()
        due = [
            heart.expected + self._seconds - now for heart, seen in list(self._hearts.items()) if self._is_new(heart)
        ]
        return max(self._seconds / 4, min(due, default=self._seconds))

    def _is_new(self, heart: Heart) -> bool:
        return self._hearts.get(heart) != heart.expected

    def _look(self) -> None:
        for heart in list(self._hearts):
            expected, late = heart.expected, time.perf_counter() - heart.expected
            if late >= self._seconds and self._is_new(heart):
                self._hearts[heart] = expected
                self._blocked(sys._current_frames().get(heart.thread), late)

    def _blocked(self, frame: FrameType | None, late: float) -> None:
        frames, request = stack(frame)
        if not frames:  # the loop waits for events: the whole process stood still, or it is about to beat
            return
        now = time.monotonic()
        if now - self._reported < EVERY:
            self._unreported += 1
            return
        self._report(record(frames, request, late, self._unreported))
        self._reported, self._unreported = now, 0


def stack(frame: FrameType | None) -> tuple[list[Frame], Request | None]:
    """What a loop's thread runs in a callback, outermost first, nothing if it runs none; and for which request."""
    frames: list[Frame] = []
    request: Request | None = None
    while frame is not None and not _is_loop(frame):
        code = frame.f_code
        if len(frames) < MAX_FRAMES:
            frames.append((code.co_filename, frame.f_lineno or 0, getattr(code, "co_qualname", code.co_name)))
        if code is SERVING and request is None:
            exchange = frame.f_locals.get("exchange")
            request = None if exchange is None else exchange._root.request
        frame = frame.f_back
    if frames and os.path.basename(frames[-1][0]) == "selectors.py":
        return [], None
    return frames[::-1], request


def _is_loop(frame: FrameType) -> bool:
    code = frame.f_code
    return code.co_name in _RUNS and os.path.dirname(code.co_filename) == _LOOP


def record(frames: Sequence[Frame], request: Request | None, late: float, unreported: int = 0) -> LogRecord:
    """A block as a line of the log, with the innermost frame of the application's own code as the one to blame."""
    path, line, function = next((one for one in reversed(frames) if not one[0].startswith(_LIBRARIES)), frames[-1])
    where = f"{function} ({os.path.basename(path)}:{line})"
    fields = {
        "code.function.name": function,
        "code.file.path": path,
        "code.line.number": line,
        "code.stacktrace": "\n".join(f"{one[0]}:{one[1]} {one[2]}" for one in frames),
        "watchglass.blocked.seconds": round(late, 3),
    }
    if unreported:
        fields["watchglass.blocked.unreported"] = unreported
    return LogRecord(
        time.time_ns(),
        _WARNING,
        "warning",
        LOGGER,
        f"The event loop has been held for {late:.2g} s by {where}.",
        fields,
        request.trace_hex if request else None,
        request.span_hex if request else None,
    )
