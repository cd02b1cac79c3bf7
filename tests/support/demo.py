"""The demo as a process of its own, as somebody would start it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psutil


class Demo:
    """`watchglass demo --json` with more arguments. As a context it is ended with SIGTERM, as by a supervisor."""

    def __init__(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "watchglass", "demo", "--json", "--port", "0", *arguments]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdout=pipe, stderr=pipe, text=True, env=dict(environment) if environment else None
        )
        self.said: deque[str] = deque(maxlen=200)
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    def __enter__(self) -> Demo:
        try:
            self.urls = self.ready()
        except RuntimeError:
            self.wait()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.wait()

    def ready(self) -> dict[str, Any]:
        """The URLs, once everything runs. Raises `RuntimeError` with what it said if it ends before."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the demo ended with {self.process.wait()}: {' / '.join(self.said)}")
        urls: dict[str, Any] = json.loads(line)
        return urls

    def family(self) -> list[int]:
        """The ids of every process it has started, and of these, whoever's session they are in."""
        return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]

    def family_names(self) -> list[str]:
        """The names of these processes."""
        names = []
        for pid in self.family():
            with suppress(psutil.NoSuchProcess):
                names.append(psutil.Process(pid).name())
        return names

    def wait(self, seconds: float = 40) -> int:
        """The exit code."""
        code = self.process.wait(seconds)
        self._listening.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def _listen(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self.said.append(line.rstrip())
