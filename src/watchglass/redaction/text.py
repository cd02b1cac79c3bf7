"""Free text: log messages, exceptions, values. Secrets are found by their shape and by the name before them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_plus

from watchglass.redaction.assigned import without_assigned, without_said
from watchglass.redaction.issued import issued
from watchglass.redaction.personal import addresses, emails, process_key
from watchglass.redaction.quoted import without_quoted

LIMIT: Final = 8192
"""Characters kept of a log message or an exception."""

_MARGIN: Final = 1024
"""Scanned beyond the limit, so that a secret that the limit would cut in half is still recognised."""

SHORT: Final = 80
"""Texts up to this length are remembered: most messages and names are said again and again."""

SHORTEST: Final = 14
"""Characters that a word may have and be nothing that was issued (`redaction.issued`): all of that is longer."""

_DECODED: Final = 3
"""How often a percent-encoded text may have been encoded again."""

_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_WORDS = re.compile(rf"(?:[A-Za-z0-9,.!?_/-]{{1,{SHORTEST}}}+ )*[A-Za-z0-9,.!?_/-]{{0,{SHORTEST}}}+")
_ENCODED = re.compile(r"""[^\s"'<>%]*+%[0-9a-fA-F]{2}[^\s"'<>]*+""")


def text(message: str, key: bytes | None = None, limit: int = LIMIT) -> str:
    r"""`message` without secrets, of at most `limit` characters and a note, no control characters but \n and \t.

    Control characters, those that turn the direction of writing, and halves of surrogate pairs are spelled out
    (`\x1b`). What was percent-encoded is shown decoded where something in it was redacted. Never raises.
    """
    if key is None:
        key = process_key()
    if len(message) <= SHORT and limit >= SHORT:
        return clean_short(message, key)
    if len(message) <= limit:
        return _clean(message, key)
    return f"{_clean(message[: limit + _MARGIN], key)[:limit]}… [{len(message) - limit} characters more]"


def _clean(message: str, key: bytes | None) -> str:
    if _WORDS.fullmatch(message) and message.count(".") < 3:  # what most messages are
        return without_said(message) if " " in message or "," in message else message
    if not message.isprintable():
        message = _UNSAFE.sub(_spelled, message)
    if "%" in message:
        message = _ENCODED.sub(lambda match: _decoded(match[0], key), message)
    return _redacted(message, key)


def _redacted(message: str, key: bytes | None) -> str:
    message = issued(without_quoted(message))
    if "@" in message:
        message = emails(message, key)
    return addresses(without_assigned(message), key)


clean_short = lru_cache(maxsize=1024)(_clean)


def _decoded(part: str, key: bytes | None) -> str:
    """A percent-encoded part of a text, as it is if it hides nothing, else decoded and redacted."""
    plain = part
    for _ in range(_DECODED):
        plain = unquote_plus(before := plain)
        if plain == before:
            break
        shown = _redacted(plain, key)
        if shown != plain:
            return _UNSAFE.sub(_spelled, shown)
    return part


def _spelled(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
