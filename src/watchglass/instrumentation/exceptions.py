"""Exceptions as text: types, messages and frames, never the variables of a frame."""

from __future__ import annotations

import sys
from traceback import TracebackException
from typing import Any, Final

from watchglass import redaction
from watchglass.instrumentation.asgi import Layer
from watchglass.instrumentation.request import Request

LIMIT: Final = 8192
"""Characters kept of an exception."""

_FRAMES: Final = 50
_SCANNED: Final = 65_536
_BEGINNING: Final = LIMIT // 4
SERVING: Final = Layer._serve.__code__
"""The code whose frames have the request in hand, as `exchange`."""


def error_of(exc_info: Any) -> BaseException | None:
    """The exception that `exc_info=` of a logging call stands for."""
    if isinstance(exc_info, BaseException):
        return exc_info
    error = exc_info[1] if isinstance(exc_info, tuple) and len(exc_info) == 3 else sys.exc_info()[1]
    return error if isinstance(error, BaseException) else None


def exception_text(error: BaseException, key: bytes | None = None) -> str:
    """As Python prints it, redacted, of about `LIMIT` characters: what is too much is left out of the middle.

    Of each exception in the chain the innermost frames are shown. Never raises.
    """
    try:
        shown = TracebackException(type(error), error, error.__traceback__, limit=-_FRAMES, compact=True)
        text = "".join(shown.format()).rstrip("\n")
    except Exception:  # an exception that cannot even be shown
        text = f"{type(error).__module__}.{type(error).__qualname__}"
    return traceback_text(text, key)


def traceback_text(text: str, key: bytes | None = None) -> str:
    """A traceback that somebody else has put into words, redacted and cut in the same way."""
    scanned = _cut(text, _SCANNED, 2 * _BEGINNING)  # more than is kept, so that no secret is cut in half
    return _cut(redaction.text(scanned, key, 2 * _SCANNED), LIMIT, _BEGINNING)


def request_behind(error: BaseException) -> Request | None:
    """The request that ended with this exception: servers report it when the request is not current any more."""
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code is SERVING:
            exchange = step.tb_frame.f_locals.get("exchange")
            return None if exchange is None else exchange._root.request
        step = step.tb_next
    return None


def _cut(text: str, limit: int, beginning: int) -> str:
    """`text` without what is too much behind its beginning; its last lines name the exception."""
    if len(text) <= limit:
        return text
    left_out = len(text) - limit
    return f"{text[:beginning]}\n… [{left_out} characters]\n{text[beginning + left_out :]}"
