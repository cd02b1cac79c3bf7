"""Which statement is meant: a short name for the shape of an SQL text, the same in every process and on every page."""

from __future__ import annotations

import hashlib
import re

_FINGERPRINT = re.compile(r"[0-9a-f]{16}")


def of_statement(text: str) -> str:
    """The fingerprint of a statement's shape, as spans and slow statements show it (`db.query.text`): 16 hex digits.

    White space does not matter. A text with literals has another fingerprint than its shape: redact it first. NUL does
    not matter either, for a store does not keep it. BLAKE2b of 8 bytes, https://www.rfc-editor.org/rfc/rfc7693.
    """
    shape = " ".join(text.replace("\x00", "").split())
    return hashlib.blake2b(shape.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def is_fingerprint(text: str) -> bool:
    """Whether a text can be one of those."""
    return _FINGERPRINT.fullmatch(text) is not None
