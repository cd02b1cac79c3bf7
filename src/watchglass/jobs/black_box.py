"""Freezing the black box of a process into an incident, which is kept when its moment has passed.

Requests and log lines are lines of JSON, newest first, packed by zlib and written in base64: a minute of a busy process
is a few hundred kilobytes. It happens in a thread that nobody waits for.
"""

from __future__ import annotations

import _thread
import asyncio
import base64
import json
import secrets
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from math import inf
from typing import Any, Final, Literal

from watchglass import guard, redaction, sql
from watchglass.analysis.bursts import Bursts
from watchglass.errors import WatchglassError
from watchglass.exporters.gently import gently
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.black_box import BlackBox, Held, stacks
from watchglass.instrumentation.documents import running
from watchglass.instrumentation.error_groups import ErrorGroups
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.request import Request
from watchglass.instrumentation.tail import Handled
from watchglass.meters import INCIDENTS
from watchglass.records import Incident
from watchglass.settings import Settings
from watchglass.store.connection import close, connect, reported, transaction

Reason = Literal["alert", "error_burst", "sigterm", "by_hand"]

FORMAT: Final = 1
MOST_PACKED: Final = 2 * 1024 * 1024
"""Bytes that the packed lines of one incident may take, before base64; a quarter of them are for log lines."""

LOOK_SECONDS: Final = 2.5
MOST_OPEN: Final = 200
_TITLE = 300
_SECONDS = 2.0
_LAST_SECONDS = 1.0
"""How long an ending process packs: what is not done when its last flush begins is lost."""


class Freezer:
    """Freezes the black box of a process. `open_requests` gives those that are being handled."""

    def __init__(
        self,
        settings: Settings,
        box: BlackBox,
        errors: ErrorGroups,
        pipeline: Pipeline,
        recorder: Recorder,
        open_requests: Callable[[], Mapping[Request, Handled]],
    ) -> None:
        self._settings = settings
        self._box = box
        self._errors = errors
        self._pipeline = pipeline
        self._recorder = recorder
        self._open = open_requests
        self.begin()

    def begin(self) -> None:
        """The process lives, from now on, or again."""
        self._ending = False
        self._last_words = threading.Event()

    def told_to_end(self) -> None:
        """Freeze the box while requests are still under way. In a signal's handler, so that nothing is waited for."""
        if not self._ending:
            self._ending = True
            _thread.start_new_thread(self._freeze_at_the_end, ("The process was told to end.",))

    def ended(self) -> None:
        """Have the box frozen when this returns, whether a signal was heard or not; not on the service's event loop."""
        if not self._ending:
            self._ending = True
            self._freeze_at_the_end("The process ended in order.")
        self._last_words.wait(_SECONDS)

    def _freeze_at_the_end(self, title: str) -> None:
        try:
            with guard.protected("black box"):
                self.freeze_now("sigterm", title, seconds=_LAST_SECONDS)
        finally:
            self._last_words.set()

    async def freeze(self, reason: Reason, title: str) -> Incident | None:
        """The incident, which is stored with the next flush, with what the database is doing; None without a box."""
        statements = await running_statements(self._settings) if self._box.active else []
        return await asyncio.to_thread(self.freeze_now, reason, title, statements)

    def freeze_now(
        self, reason: Reason, title: str, statements: Sequence[dict[str, Any]] = (), seconds: float = inf
    ) -> Incident | None:
        """The same, of the process alone, as far as it is packed in `seconds`. Not on the service's event loop."""
        if not self._box.active:
            return None
        now = time.time()
        content = self._content(statements, seconds)
        title = redaction.text(title, self._settings.redaction_key, _TITLE)
        incident = Incident(secrets.token_hex(8), now, reason, title, now - self._box.seconds, now, content)
        self._pipeline.offer_incident(incident)
        self._recorder.counter(INCIDENTS, (reason,)).add()
        return incident

    async def watch(self) -> None:
        """Keep the box within its time, and freeze it when errors burst. For `Pipeline.run_on_loop`."""
        bursts = Bursts()
        while True:
            self._box.trim()
            number = bursts.look(time.monotonic(), self._errors.total)
            if number is not None:
                await self.freeze("error_burst", f"{number} requests failed within a minute.")
            await asyncio.sleep(LOOK_SECONDS)

    def _content(self, statements: Sequence[dict[str, Any]], seconds: float) -> dict[str, Any]:
        began = time.monotonic()
        threads = stacks()
        until = self._recorder.clock()
        under_way = [running(*one, until) for one in islice(self._open().items(), MOST_OPEN)]
        logs, of_logs = pack(self._box.logs(), MOST_PACKED // 4, began + seconds / 4)
        requests, of_requests = pack(self._box.requests(), MOST_PACKED - len(logs), began + seconds)
        me = self._pipeline.instance
        return {
            "format": FORMAT,
            "process": {"instance": me.instance_id, "host": me.host, "pid": me.pid, "version": me.service_version},
            "requests": of_requests,
            "logs": of_logs,
            "open": under_way,
            "stacks": threads,
            "statements": list(statements),
            "packed": f"{_text(requests)} {_text(logs)}",
        }


def pack(documents: Held, most: int, end: float = inf) -> tuple[bytes, dict[str, int]]:
    """Documents as packed lines of at most about `most` bytes, made before `end` on the monotonic clock.

    With how many they are, and how many found no room or time.
    """
    press = zlib.compressobj(6)
    packed, held = bytearray(), 0
    for document in gently(documents):
        packed += press.compress(json.dumps(document, separators=(",", ":"), default=str).encode() + b"\n")
        held += 1
        if len(packed) >= most or time.monotonic() >= end:
            break
    return bytes(packed + press.flush()), {"held": held, "left_out": len(documents) - held}


async def running_statements(settings: Settings) -> list[dict[str, Any]]:
    """What the service's own database is executing, as shapes; nothing where it does not answer in time."""
    dsn = settings.application_dsn
    if dsn is None:
        return []
    try:
        with guard.as_own_work():
            connection = await connect(dsn, application_name="watchglass snapshots", seconds=_SECONDS)
            try:
                with reported(dsn):
                    async with transaction(connection, seconds=_SECONDS, readonly=True):
                        rows = await connection.fetch(sql.load("incidents")["running_statements"])
            finally:
                await close(connection)
    except WatchglassError:
        return []
    return [{**row, "query": redaction.sql_shape(row["query"] or "")} for row in rows]


def _text(packed: bytes) -> str:
    return base64.b64encode(packed).decode()
