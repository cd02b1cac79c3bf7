"""The last minutes of a process in full detail: every request with its spans, kept or not, and every log line.

It holds what was made anyway, by reference: a request costs an appending. The oldest leave when there is too much, or
when they are older than the setting says; of the work done for requests that is seen to every few seconds.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import FrameType
from typing import Any, Final

from watchglass import guard, redaction
from watchglass.instrumentation.attributes import of_outcome, span_name
from watchglass.instrumentation.request import Request
from watchglass.instrumentation.tail import Handled, children_of
from watchglass.records import LogRecord
from watchglass.settings import Settings

A_REQUEST: Final = 1_000
A_CHILD: Final = 250
A_LINE: Final = 600
"""Bytes in memory, about: a request without children, one of them, a log line without its text."""

FOR_LOGS: Final = 0.25
"""The part of the memory that is for log lines."""

MAX_FRAMES: Final = 50

MOST_SPANS: Final = 100
"""Spans of a request that runs that are told beside its own: those that ended last."""

_PATH = 1_024


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
    """`request` and `log` are told by the threads of the service. `clock` gives unix seconds.

    `request` holds a request that ended. It is the ring's own method, because each request pays for it.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self.seconds = settings.black_box_seconds
        self.active = self.seconds > 0 and settings.store_dsn is not None
        self._key = settings.redaction_key
        self._clock = clock
        self._most = settings.black_box_bytes * (1 - FOR_LOGS)
        self._most_logs = settings.black_box_bytes * FOR_LOGS
        self._requests: deque[Request] = deque(maxlen=int(self._most / A_REQUEST))
        self._logs: deque[LogRecord] = deque()
        self._weight_of_logs = 0.0
        self.request: Callable[[Request], None] = self._requests.append

    def log(self, record: LogRecord) -> None:
        """Hold a log line."""
        self._logs.append(record)
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
            room -= A_REQUEST + A_CHILD * len(request.children)
            if room < 0 or request.time_ns(request.end) < since:
                break
            kept += 1
        for _ in range(len(held) - kept):
            self._drop_request()
        while self._logs and self._logs[0].time_ns < since:
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
            self._weight_of_logs -= _weight(self._logs.popleft())
        except IndexError:
            self._weight_of_logs = 0.0

    def _document(self, request: Request) -> dict[str, Any]:
        return {
            **described(request),
            "path": redaction.text(request.path, self._key, _PATH),
            "duration": max(0.0, request.end - request.start),
            "status": request.status,
            "error_type": request.error,
            "error_group": request.error_group,
        }


def running(request: Request, handled: Handled, until: float) -> dict[str, Any]:
    """What is known of a request that runs until now, a reading of the recorder's clock."""
    known: dict[str, Any] = {}
    with guard.protected("black box"):
        known = handled.known()
    told = described(request, until, known)
    root, *children = told["spans"]
    left_out = max(0, len(children) - MOST_SPANS)
    return told | {"spans": [root, *children[left_out:]], "dropped_spans": told["dropped_spans"] + left_out}


def described(request: Request, until: float = 0.0, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What is known of a request that ended, or that runs `until` then; `known` are attributes of its span.

    Spans are as the store has those of traces: the root first, in nanoseconds since its start.
    """
    end = request.time_ns(request.end or until)
    attributes = {"http.request.method": request.method, **(known or {}), **of_outcome(request)}
    spans = [_span(request, span_name(request), "server", request.span_id, request.parent_id, 0, end, attributes)]
    for span in children_of(request):
        began = span.start_ns - request.start_ns
        ids = span.span_id, span.parent_id
        spans.append(_span(request, span.name, span.kind, *ids, began, span.end_ns, span.attributes, span.error))
    return {
        "trace_id": request.trace_hex,
        "span_id": request.span_hex,
        "time": request.start_ns / 1e9,
        "name": span_name(request),
        "method": request.method,
        "route": request.route,
        "dropped_spans": request.dropped_children,
        "spans": spans,
    }


def _span(
    request: Request,
    name: str,
    kind: str,
    span_id: int,
    parent_id: int | None,
    start_ns: int,
    end_ns: int,
    attributes: Any,
    error: str | None = None,
) -> dict[str, Any]:
    return {
        "span_id": f"{span_id:016x}",
        "parent_id": f"{parent_id:016x}" if parent_id else None,
        "name": name,
        "kind": kind,
        "start_ns": start_ns,
        "duration_ns": max(0, end_ns - request.start_ns - start_ns),
        "attributes": attributes,
        "error": error,
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


def _line(record: LogRecord) -> dict[str, Any]:
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
