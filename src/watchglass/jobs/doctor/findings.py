"""One thing the doctor found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "missing", "warning", "error"]
"""ok; missing: optional, something more would be shown with it; warning: something is lost; error: it does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A plain sentence about one subject; `remedy` says what to do, and `command` is to be copied."""

    subject: str
    state: State
    sentence: str
    remedy: str | None = None
    command: str | None = None
