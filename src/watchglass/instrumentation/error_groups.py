"""Every error of a process, counted by group: the type of the exception and the innermost frame of the application's.

A frame is a module and a function without a line, so that a group outlives a deploy that moves the code. An answer of
500 and above that no exception came with is grouped by its endpoint. Only requests that fail pay for this.
"""

from __future__ import annotations

import os
import sysconfig
import time
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from types import CodeType
from typing import Any, Final

from watchglass import guard, redaction
from watchglass.records import ErrorCount

MOST: Final = 300
"""Groups of a process that are told apart; the errors of more are counted as one."""

FRESH: Final = 60.0
"""Seconds for which the text of a group's error is good enough; the stack takes a millisecond to put into words."""

IDLE: Final = 3600.0
"""Seconds after which a group without errors leaves memory."""

OVERFLOW: Final = "(other)"

_MESSAGE: Final = 1_000
_LIBRARIES: Final = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_OURS: Final = ("watchglass.instrumentation.", "watchglass.api.", "watchglass.exporters.")


class _Group:
    """`count` and `taken` only grow: what is between them is not flushed yet."""

    __slots__ = ("count", "error_type", "first", "frame", "id", "last", "message", "stack", "taken", "told", "worded")

    def __init__(self, id: str, error_type: str, frame: str, now: float) -> None:
        self.id, self.error_type, self.frame = id, error_type, frame
        self.count = self.taken = 0
        self.first = self.last = now
        self.message = self.stack = ""
        self.told = False
        self.worded = 0.0


class ErrorGroups:
    """Counts errors. `key` marks addresses in their texts, `clock` gives unix seconds.

    `stack` puts an exception into words, redacted; without it stacks are empty.
    """

    def __init__(
        self,
        key: bytes | None = None,
        stack: Callable[[BaseException, bytes | None], str] = lambda error, key: "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.total = 0
        """Errors since the process started."""
        self._key = key
        self._stack = stack
        self._clock = clock
        self._groups: dict[str, _Group] = {}
        self._leaving: list[_Group] = []

    def of_exception(self, error: BaseException, error_type: str) -> str:
        """Count an exception; the id of its group."""
        error = _alone(error)
        group = self._counted(error_type, frame_of(error))
        now = group.last
        if now - group.worded >= FRESH:
            group.message, group.stack = self._worded(error)
            group.worded, group.told = now, False
        return group.id

    def of_status(self, status: str, endpoint: str) -> str:
        """Count an answer that says it failed, of this endpoint; the id of its group."""
        return self._counted(status, endpoint).id

    def take(self) -> list[ErrorCount]:
        """What came since the last time. The text is told when it is new. By one thread at a time."""
        groups = [*self._groups.values(), *self._leaving]
        self._leaving = []
        taken = [_taken(group, group.count) for group in groups if group.count > group.taken]
        idle = self._clock() - IDLE
        for group in groups:
            if group.last < idle and self._groups.get(group.id) is group:
                del self._groups[group.id]
                self._leaving.append(group)  # somebody may be counting in it at this moment
        return taken

    def _counted(self, error_type: str, frame: str) -> _Group:
        now = self._clock()
        self.total += 1
        id = _id(error_type, frame)
        group = self._groups.get(id)
        if group is None:
            if len(self._groups) >= MOST:
                error_type, frame = OVERFLOW, ""
                id = _id(error_type, frame)
            group = self._groups.setdefault(id, _Group(id, error_type, frame, now))
        if group.count == group.taken:
            group.first = now
        group.count += 1
        group.last = now
        return group

    def _worded(self, error: BaseException) -> tuple[str, str]:
        try:
            message = redaction.text(str(error), self._key, _MESSAGE)
        except Exception:  # an exception that cannot be shown
            message = ""
        return message, self._stack(error, self._key)


def frame_of(error: BaseException) -> str:
    """`module:function` of the innermost frame of the application's own; of any, where none is. "" without frames."""
    step, found, innermost = error.__traceback__, None, None
    while step is not None:
        innermost = step.tb_frame
        variables = innermost.f_globals
        module, file = str(variables.get("__name__", "")), str(variables.get("__file__", ""))
        if _is_own(innermost.f_code.co_filename, module) and _is_own(
            file, module
        ):  # compiled code has no path of its own
            found = innermost
        step = step.tb_next
    frame = found or innermost
    return "" if frame is None else _named(frame.f_code, frame.f_globals)


def _named(code: CodeType, variables: dict[str, Any]) -> str:
    module = str(variables.get("__name__", ""))
    if module in ("", "__main__"):
        module = os.path.splitext(os.path.basename(code.co_filename))[0]
    return f"{module[:200]}:{getattr(code, 'co_qualname', code.co_name)[:200]}"


@lru_cache(maxsize=2_000)
def _is_own(file: str, module: str) -> bool:
    return not file.startswith((*_LIBRARIES, "<frozen")) and not module.startswith(_OURS)


def _alone(error: BaseException) -> BaseException:
    """Of a group of one exception that one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


@lru_cache(maxsize=2_000)
def _id(error_type: str, frame: str) -> str:
    return blake2b(f"{error_type}\0{frame}".encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _taken(group: _Group, count: int) -> ErrorCount:
    gained, group.taken = count - group.taken, count
    message, stack = ("", "") if group.told else (group.message, group.stack)
    group.told = True
    return ErrorCount(group.id, group.error_type, group.frame, message, stack, group.first, group.last, gained)


def counted(groups: ErrorGroups, error: BaseException, error_type: str) -> str | None:
    """The group of an exception, counted; None where that fails, which must not cost the service its answer."""
    try:
        return groups.of_exception(error, error_type)
    except Exception:
        guard.caught("error groups")
        return None
