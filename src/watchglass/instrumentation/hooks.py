"""Hooks of the application, which add attributes to the spans of client work, as contrib's hooks do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan

from watchglass.guard import caught

Hook = Callable[..., None]


class NotedSpan(NonRecordingSpan):
    """What a hook is given: takes note of attributes; the span itself is made later, if its trace is kept."""

    def __init__(self) -> None:
        super().__init__(INVALID_SPAN_CONTEXT)
        self.noted: dict[str, Any] = {}

    def is_recording(self) -> bool:
        return True

    def set_attribute(self, key: str, value: Any) -> None:
        self.noted[key] = value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        self.noted.update(attributes)


def call(hook: Hook | None, *args: Any) -> None:
    """Call a hook; what it raises is ours to bear, not the application's."""
    if hook is not None:
        try:
            hook(*args)
        except Exception:
            caught("instrumentation.hooks")
