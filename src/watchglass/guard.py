"""The one place that swallows errors, so that the host never breaks; and the mark of Watchglass's own work.

Production counts an error and logs it at most once a minute per place. Tests set `strict`, which raises it again.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

from opentelemetry.instrumentation.utils import suppress_instrumentation

logger = logging.getLogger("watchglass")

errors: Counter[str] = Counter()
"""How often each place failed since the process started."""

strict = False
"""Raise what is caught; set by the tests."""

_LOG_EVERY = 60.0
_last_logged: dict[str, float] = {}

own_work: ContextVar[bool] = ContextVar("watchglass_own_work", default=False)
"""True where Watchglass works for itself: its statements, commands and logs are not observed."""


def caught(where: str) -> None:
    """Count the exception being handled under `where` and go on. Call it from an `except` block only."""
    errors[where] += 1
    if strict:
        raise  # noqa: PLE0704 - the caller is handling the exception
    now = time.monotonic()
    if now - _last_logged.get(where, -_LOG_EVERY) < _LOG_EVERY:
        return
    _last_logged[where] = now
    with as_own_work(), suppress(Exception):  # a handler of the host's may raise, and nobody logged anything there
        logger.warning(
            "watchglass failed in %s (%d times so far); the service is not affected",
            where,
            errors[where],
            exc_info=sys.exc_info(),
        )


@contextmanager
def protected(where: str) -> Iterator[None]:
    """Keep any error of the block from the host."""
    try:
        yield
    except Exception:
        caught(where)


@contextmanager
def as_own_work() -> Iterator[None]:
    """Mark what happens inside as Watchglass's own, not to be observed, nor by contrib's instrumentors."""
    token = own_work.set(True)
    try:
        with suppress_instrumentation():
            yield
    finally:
        own_work.reset(token)
