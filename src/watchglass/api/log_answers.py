"""What the questions about log lines answer."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from watchglass.api.log_lines import LogLine
from watchglass.api.models import Answer, Model


class LogSearched(Model):
    """How lines were looked for. `scan`: text, line by line; `complete`: all of the window, or until the page was full.

    `scanned_from` is how far it got where it is not complete; the cursor of the answer goes on from there.
    """

    how: Literal["index", "scan"]
    scanned_from: datetime | None
    complete: bool
    note: str


class LogsAnswer(Answer):
    """A page of log lines, the newest first. `older` and `newer` are cursors, None where there is nothing beyond.

    `reach` is since when lines are kept where that is within the window, because older ones had to go for the limit in
    bytes. `dropped` counts the lines of the window that were lost before they were stored.
    """

    records: list[LogLine]
    older: str | None
    newer: str | None
    search: LogSearched
    reach: datetime | None
    dropped: int
