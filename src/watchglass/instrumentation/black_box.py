"""The last minutes of a process in full detail: every request with its spans, kept or not, and every log line.

What it holds are plain tuples of plain values, at which the garbage collector looks once: thousands of objects that
live for minutes would have it look through all of the service's memory again and again. The oldest leave when there is
too much, or when they are older than the setting says; of the work done for requests that is seen to every few seconds.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields
from operator import attrgetter
from types import FrameType
from typing import Any, Final

from watchglass import redaction
from watchglass.instrumentation.documents import described
from watchglass.instrumentation.request import Request
from watchglass.records import LogRecord
from watchglass.settings import Settings

A_REQUEST: Final = 1_000
A_CHILD: Final = 250
A_LINE: Final = 600
"""Bytes in memory, about: a request without children, one of them, a log line without its text."""

FOR_LOGS: Final = 0.25
"""The part of the memory that is for log lines."""

MAX_FRAMES: Final = 50

_PATH = 1_024

_MADE_FROM: Final = ("trace_id", "span_id", "parent_id", "sampled", "start", "method", "protocol")
_KNOWN_LATER: Final = ("end", "start_ns", "route", "status", "error", "error_group", "path", "dropped_children")
_OF_REQUEST: Final = (*_MADE_FROM, *_KNOWN_LATER)
_START, _END, _START_NS = map(_OF_REQUEST.index, ("start", "end", "start_ns"))
_of_request = attrgetter(*_OF_REQUEST)
_of_log = attrgetter(*(field.name for field in fields(LogRecord)))

HeldRequest = tuple[Any, ...]
"""The values of `_OF_REQUEST`, and behind them the client work."""

HeldLog = tuple[Any, ...]
"""The fields of a `LogRecord`."""


class Held:
    """What a box held at a moment, newest first, as documents; each is made when it is asked for."""

    def __init__(self, held: deque[Any], document: Callable[[Any], dict[str, Any]]) -> None:
        self._held = held
        self._document = document

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self._document, reversed(self._held))


class BlackBox:
    """`request` and `log` are told by the threads of the service. `clock` gives unix seconds."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self.seconds = settings.black_box_seconds
        self.active = self.seconds > 0 and settings.store_dsn is not None
        self._key = settings.redaction_key
        self._clock = clock
        self._most = settings.black_box_bytes * (1 - FOR_LOGS)
        self._most_logs = settings.black_box_bytes * FOR_LOGS
        self._requests: deque[HeldRequest] = deque(maxlen=int(self._most / A_REQUEST))
        self._logs: deque[HeldLog] = deque()
        self._weight_of_logs = 0.0

    def request(self, request: Request) -> None:
        """Hold a request that ended."""
        self._requests.append(_of_request(request) + tuple(request.client_work))

    def log(self, record: LogRecord) -> None:
        """Hold a log line."""
        self._logs.append(_of_log(record))
        self._weight_of_logs += _weight(record)
        while self._weight_of_logs > self._most_logs:
            self._drop_log()

    def clear(self) -> None:
        """Forget everything."""
        self._requests.clear()
        self._logs.clear()
        self._weight_of_logs = 0.0

    def trim(self) -> None:
        """Let go of what is too old or too much. Every few seconds, by any one thread."""
        since, room = (self._clock() - self.seconds) * 1e9, self._most
        held, kept = self._requests.copy(), 0
        for request in reversed(held):
            room -= A_REQUEST + A_CHILD * (len(request) - len(_OF_REQUEST))
            if room < 0 or request[_START_NS] + (request[_END] - request[_START]) * 1e9 < since:
                break
            kept += 1
        for _ in range(len(held) - kept):
            self._drop_request()
        while self._logs and self._logs[0][0] < since:
            self._drop_log()

    def requests(self) -> Held:
        """The requests that it holds."""
        return Held(self._requests.copy(), self._document)

    def logs(self) -> Held:
        """The log lines that it holds."""
        return Held(self._logs.copy(), _line)

    def _drop_request(self) -> None:
        with suppress(IndexError):  # another thread was faster
            self._requests.popleft()

    def _drop_log(self) -> None:
        try:
            self._weight_of_logs -= _weight(LogRecord(*self._logs.popleft()))
        except IndexError:
            self._weight_of_logs = 0.0

    def _document(self, held: HeldRequest) -> dict[str, Any]:
        request = _request(held)
        return {
            **described(request),
            "path": redaction.text(request.path, self._key, _PATH),
            "duration": max(0.0, request.end - request.start),
            "status": request.status,
            "error_type": request.error,
            "error_group": request.error_group,
        }


def stacks() -> list[dict[str, Any]]:
    """What each thread of the process is doing now: file, line and function of its frames, never a variable."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    me = threading.get_ident()
    return [
        {"thread": names.get(ident, str(ident)), "frames": _frames(frame)}
        for ident, frame in sys._current_frames().items()
        if ident != me
    ]


def _frames(frame: FrameType | None) -> list[str]:
    """Outermost first."""
    found: list[str] = []
    while frame is not None and len(found) < MAX_FRAMES:
        code = frame.f_code
        found.append(f"{code.co_filename}:{frame.f_lineno} {getattr(code, 'co_qualname', code.co_name)}")
        frame = frame.f_back
    return found[::-1]


def _request(held: HeldRequest) -> Request:
    """The request as it was when it ended."""
    known = dict(zip(_OF_REQUEST, held, strict=False))
    request = Request(*(known.pop(name) for name in _MADE_FROM))
    for name, value in known.items():
        setattr(request, name, value)
    request.client_work = list(held[len(_OF_REQUEST) :])
    return request


def _line(held: HeldLog) -> dict[str, Any]:
    record = LogRecord(*held)
    return {
        "time": record.time_ns / 1e9,
        "severity": record.severity,
        "level": record.level,
        "logger": record.logger,
        "message": record.message,
        "fields": record.fields,
        "trace_id": record.trace_id,
        "span_id": record.span_id,
        "exception": record.exception,
    }


def _weight(record: LogRecord) -> int:
    return A_LINE + len(record.message) + len(record.exception or "") + 150 * len(record.fields)
