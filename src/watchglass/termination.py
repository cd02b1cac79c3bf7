"""Knowing early that the process is to end: servers wait for open streams before they tell the application.

uvicorn and gunicorn's workers handle SIGTERM and Ctrl-C by waiting for every response to end, and shut the application
down after that. What must not be waited for, and what keeps the last moments, has to hear of the signal itself.
"""

from __future__ import annotations

import signal
import threading
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

from watchglass import guard

SIGNALS = (signal.SIGTERM, signal.SIGINT)

_told: set[weakref.WeakMethod[Callable[[], Any]]] = set()
_before: dict[int, Callable[[int, FrameType | None], Any]] = {}


def tell(method: Callable[[], Any]) -> None:
    """Have a bound method called when the process is told to end, as long as its object lives.

    It is called in a signal's handler: it must not wait, nor take a lock.
    """
    _told.add(weakref.WeakMethod(method, _told.discard))


def watch() -> None:
    """Hear the signals too that the server handles, from now on. Its own handling is as it was.

    In the main thread only, after the server has set its handlers; elsewhere, and without any, nothing happens.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in SIGNALS:
        handler = signal.getsignal(number)
        if callable(handler) and handler not in (_hear, signal.default_int_handler):
            _before[number] = handler
            signal.signal(number, _hear)


def forget() -> None:
    """Undo `watch`, where nobody has set another handler since."""
    if threading.current_thread() is threading.main_thread():
        for number, handler in list(_before.items()):
            if signal.getsignal(number) is _hear:
                signal.signal(number, handler)
    _before.clear()


def _hear(number: int, frame: FrameType | None) -> None:
    for reference in list(_told):
        with guard.protected("termination"):
            if method := reference():
                method()
    before = _before.get(number)
    if before is not None:
        before(number, frame)
