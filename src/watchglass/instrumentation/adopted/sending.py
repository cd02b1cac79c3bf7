"""What of the host's telemetry leaves by OTLP without us: a collector is not to get it a second time.

The SDK tells nobody which exporters a provider has. They are looked for in it, in what it hands to and what these wrap.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from opentelemetry import trace
from opentelemetry._logs import _internal as logs_api

from watchglass.instrumentation.log_records import severity
from watchglass.records import LogRecord

_OTLP = "opentelemetry.exporter.otlp"
_LEADS_ON = re.compile("provider|processor|exporter|reader|config|wrapped")
_MOST = 300
_LOOK_SECONDS = 1.0


def sends_otlp(holder: Any) -> bool:
    """Whether an exporter of OTLP's is in a provider, a reader, a processor or a logging handler."""
    waiting, seen = [holder], {id(holder)}
    while waiting and len(seen) < _MOST:
        one = waiting.pop()
        if type(one).__module__.startswith(_OTLP):
            return True
        for part in _parts(one):
            if id(part) not in seen:
                seen.add(id(part))
                waiting.append(part)
    return False


def _parts(one: Any) -> Iterator[Any]:
    if isinstance(one, list | tuple):
        yield from list(one)
    elif isinstance(one, logs_api.ProxyLoggerProvider):
        yield logs_api._LOGGER_PROVIDER
    else:
        yield from (part for name, part in list(getattr(one, "__dict__", {}).items()) if _LEADS_ON.search(name))


def host_sends_traces() -> bool:
    """Whether the tracer provider that the host set has an exporter of OTLP's; its spans are ours."""
    provider = getattr(trace, "_TRACER_PROVIDER", None)
    return provider is not None and sends_otlp(provider)


class HostHandlers:
    """The host's logging handlers, looked into once a second at most."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[logging.Handler, tuple[float, bool]] = WeakKeyDictionary()

    def send(self, record: LogRecord) -> bool:
        """Whether one of the handlers that get this line, by its logger and its level, has an exporter of OTLP's."""
        return any(
            self._sends(handler) and severity(handler.level) <= record.severity for handler in _handlers(record.logger)
        )

    def _sends(self, handler: logging.Handler) -> bool:
        now = time.monotonic()
        until, answer = self._known.get(handler, (0.0, False))
        if now >= until:
            answer = sends_otlp(handler)
            self._known[handler] = now + _LOOK_SECONDS, answer
        return answer


def _handlers(name: str) -> Iterator[logging.Handler]:
    """Those that a line of the logger passes, the logger's own first."""
    found = logging.root.manager.loggerDict.get(name)
    logger: logging.Logger | None = found if isinstance(found, logging.Logger) else logging.root
    while logger is not None:
        yield from list(logger.handlers)
        logger = logger.parent if logger.propagate else None
