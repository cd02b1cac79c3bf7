"""What nobody handled, as lines of the log: uncaught exceptions, those that Python ignores, and warnings.

Python's hooks are entered and what they were is called first, so that all is printed, or reported, as it always was.
Where that logs the very exception itself it has its record already, and gets no second.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, Final

from watchglass import guard
from watchglass.instrumentation.log_capture import LogCapture
from watchglass.instrumentation.log_records import Ids
from watchglass.instrumentation.patching import Patches

_PLACE: Final = "unhandled"
_ENDINGS: Final = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""Ways to end a program or a thread, no errors."""

_SERVERS: Final = ("uvicorn.error", "hypercorn.error")
"""The loggers by which servers tell of exceptions of the application."""

Hook = Callable[..., Any]
Describe = Callable[..., tuple[BaseException | None, str, int, str, dict[str, Any]]]
"""Of what a hook was called with: the exception, and the logger, level, message and fields of its line."""


class Unhandled:
    """`enter`, which may be repeated when somebody else has set a hook since, and `leave`."""

    def __init__(self, capture: LogCapture, ids_of: Callable[[BaseException | None], Ids]) -> None:
        self._capture = capture
        self._ids_of = ids_of
        self._patches = Patches()
        self._active = True
        self._ours: list[Any] = []

    def enter(self) -> None:
        """Stand before the hooks that are set now."""
        for owner, name, describe in _hooks():
            if getattr(owner, name, None) not in self._ours:
                self._patches.replace(owner, name, functools.partial(self._hearing, describe))

    def of_request(self, error: BaseException) -> None:
        """An exception that a request ended with, where the server's logger, which would tell of it, is silenced.

        A `dictConfig` silences all loggers that were there before unless it is told not to.
        """
        if self._active and isinstance(error, Exception) and any(map(_is_silenced, _SERVERS)):
            self._tell(error, _SERVERS[0], logging.ERROR, "Exception in ASGI application", {})

    def leave(self) -> None:
        """Undo it. What stands before a hook of somebody else's stays there and does nothing."""
        self._active = False
        self._patches.restore()

    def _hearing(self, describe: Describe, original: Hook) -> Hook:
        @functools.wraps(original)
        def hook(*args: Any) -> Any:
            if not self._active:
                return original(*args)
            try:
                described = describe(*args)
            except Exception:
                guard.caught(_PLACE)
                return original(*args)
            with self._capture.witness(described[0]) as witness:
                try:
                    return original(*args)
                finally:
                    if not witness.told:
                        self._tell(*described)

        self._ours.append(hook)
        return hook

    def _tell(self, error: BaseException | None, logger: str, level: int, message: str, fields: dict[str, Any]) -> None:
        if not logger or isinstance(error, _ENDINGS):
            return
        with guard.protected(_PLACE):
            self._capture.tell(logger, level, message, fields, error, self._ids_of(error))


def _is_silenced(name: str) -> bool:
    logger = logging.root.manager.loggerDict.get(name)
    return isinstance(logger, logging.Logger) and logger.disabled


def _hooks() -> list[tuple[Any, str, Describe]]:
    loops = [asyncio.BaseEventLoop, getattr(sys.modules.get("uvloop"), "Loop", None)]
    return [
        (sys, "excepthook", _uncaught),
        (sys, "unraisablehook", _ignored),
        (threading, "excepthook", _uncaught_in_thread),
        (warnings, "_showwarnmsg", _warned),
        *((loop, "call_exception_handler", _reported_by_loop) for loop in loops if loop is not None),
    ]


def _uncaught(kind: Any, error: Any, trace: Any) -> Any:
    return error, "sys.excepthook", logging.CRITICAL, "Uncaught exception", {}


def _uncaught_in_thread(args: Any) -> Any:
    name = getattr(args.thread, "name", None)
    fields = {} if name is None else {"thread.name": name}
    return args.exc_value, "threading.excepthook", logging.ERROR, "Uncaught exception in a thread", fields


def _ignored(args: Any) -> Any:
    about = getattr(args.object, "__qualname__", None) or type(args.object).__qualname__
    message = f"{args.err_msg or 'Exception ignored in'}: {about}"
    return args.exc_value, "sys.unraisablehook", logging.ERROR, message, {}


def _reported_by_loop(loop: Any, context: Mapping[str, Any]) -> Any:
    task = context.get("task") or context.get("future")
    fields = {"task": task.get_name()} if isinstance(task, asyncio.Task) else {}
    message = context.get("message") or "Unhandled exception in event loop"
    return context.get("exception"), "asyncio", logging.ERROR, str(message), fields


def _warned(message: Any) -> Any:
    """A warning that is shown: one that is caught, as tests do, has no logger."""
    said = f"{message.category.__name__}: {message.message}"
    fields = {"code.file.path": message.filename, "code.line.number": message.lineno}
    return None, "" if _are_caught() else "py.warnings", logging.WARNING, said, fields


def _are_caught() -> bool:
    """Whether warnings are collected here (`warnings.catch_warnings(record=True)`) and not shown."""
    context = getattr(warnings, "_get_context", None)  # from Python 3.14 on
    if context is not None and getattr(context(), "log", None) is not None:
        return True
    return not isinstance(getattr(warnings, "_showwarnmsg_impl", None), FunctionType)
