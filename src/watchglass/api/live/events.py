"""What a viewer of the live tail is sent, in the words of each way: server-sent events, and WebSocket messages.

An event is made once and shared by all who are sent it, text included.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any


class Event:
    """An event of a name with its content, both of them JSON; `position` is where the viewer is after it.

    `lines` is the number of log lines in it.
    """

    def __init__(self, name: str, content: str = "{}", position: str | None = None, lines: int = 0) -> None:
        self.name, self.position, self.lines = name, position, lines
        self._content = content

    @property
    def size(self) -> int:
        """Characters of its content."""
        return len(self._content)

    @cached_property
    def sse(self) -> bytes:
        """As a server-sent event. JSON has no line ends of its own.

        https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
        """
        id = f"id: {self.position}\n" if self.position is not None else ""
        return f"{id}event: {self.name}\ndata: {self._content}\n\n".encode()

    @cached_property
    def message(self) -> str:
        """As a message of a WebSocket: the content, with its type and the position."""
        head = {"type": self.name} if self.position is None else {"type": self.name, "id": self.position}
        return _joined(json.dumps(head, separators=(",", ":")), self._content)


def _joined(one: str, other: str) -> str:
    return one if other == "{}" else f"{one[:-1]},{other[1:]}"


def of(name: str, position: str | None = None, *, lines: int = 0, **content: Any) -> Event:
    """An event that says little, and stands for so many lines."""
    return Event(name, json.dumps(content, separators=(",", ":")), position, lines)


def of_lines(lines: Sequence[str], position: str) -> Event:
    """Log lines, each as JSON, the oldest first."""
    return Event("lines", f'{{"lines":[{",".join(lines)}]}}', position, len(lines))


class Heartbeat(Event):
    """Says that the stream is alive, and where the viewer is, though nothing was to be shown."""

    def __init__(self, position: str | None = None) -> None:
        super().__init__("heartbeat", position=position)

    @cached_property
    def sse(self) -> bytes:
        """A comment; an id without data sets the last event's id and shows nothing."""
        return f": heartbeat\nid: {self.position}\n\n".encode() if self.position else b": heartbeat\n\n"
