"""What OpenTelemetry does at the exit of a process, done on SIGTERM too.

Servers such as uvicorn end by the signal that they were sent, and an exit by SIGTERM runs nothing: what waits in the
SDK, up to its export interval, would be lost with every deploy.
"""

from __future__ import annotations

import signal
import threading
from typing import Any

from opentelemetry import _logs, metrics, trace

from watchglass import guard


def prepare(timeout: float) -> None:
    """Have SIGTERM, where nobody handles it, shut the global providers down within `timeout` seconds, and then end the
    process as it would have. Whoever handles it later goes first, and is free not to come back to this."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return

    def end(number: int, frame: Any) -> None:
        # In another thread, because this one may hold what it needs; what does not end in time is left behind.
        ending = threading.Thread(target=_shut_down, name="watchglass-ending", daemon=True)
        ending.start()
        ending.join(timeout)
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    signal.signal(signal.SIGTERM, end)


def _shut_down() -> None:
    found: tuple[Any, ...] = (
        getattr(trace, "_TRACER_PROVIDER", None),
        getattr(metrics._internal, "_METER_PROVIDER", None),
        getattr(_logs._internal, "_LOGGER_PROVIDER", None),
    )
    for provider in found:
        if hasattr(provider, "shutdown"):
            with guard.protected("entry_points.shutdown"):
                provider.shutdown()
