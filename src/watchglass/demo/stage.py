"""Puts the demo on: PostgreSQL, Redis, the service and its traffic, and takes all of it down again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
import sys
import threading
import time
import webbrowser
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import asyncpg

from watchglass.demo import library
from watchglass.demo.process import Service, listen
from watchglass.demo.servers import PostgreSQL, Redis
from watchglass.demo.traffic import Traffic
from watchglass.errors import FolderNotWritable

SERVICE_NAME = "code-search"
VERSION = "1.4.0"
PAGE = "/ui/monitoring/advanced"

_IN_THE_TERMINAL = {"elinks", "links", "lynx", "w3m", "www-browser"}

LoginLink = Callable[[str, str], Awaitable[str]]
"""Makes a one-time login link from the database's URL and the service's address."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the demo is put on. `duration` is in seconds, None is until stopped."""

    port: int = 8000
    data: Path | None = None
    duration: float | None = None
    browser: bool = True
    json: bool = False


def play(options: Options, login_link: LoginLink) -> None:
    """Run the demo until Ctrl-C, SIGTERM or the end of its duration; nothing of it is left then.

    Raises `PortInUse`, `DataFolderInUse`, `FolderNotWritable`, `ServerNotFound` or `ServerStartFailed`.
    """
    say = _Voice(sys.stderr if options.json else sys.stdout)
    if options.data is not None:
        _check_passage(options.data.resolve())
    with _stopped_by_signals(), listen("127.0.0.1", options.port) as listener:
        postgresql, redis = PostgreSQL(_folder(options, "postgresql")), Redis(_folder(options, "redis"))
        with _started(say, postgresql), _started(say, redis):
            asyncio.run(_play(options, say, listener, postgresql, redis, login_link))
    say("Stopped.")


async def _play(
    options: Options,
    say: _Voice,
    listener: socket.socket,
    postgresql: PostgreSQL,
    redis: Redis,
    login_link: LoginLink,
) -> None:
    with say.doing("Filling the database"):
        await _prepare(postgresql)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with say.doing("Starting the code-search service"):
        log = options.data / "service.log" if options.data else None
        service = await Service.start(listener, _settings(postgresql, redis, address), log)
    try:
        link = await login_link(postgresql.url, address)
        _tell(options, say, address, link, postgresql, redis)
        await _perform(options, say, address, service)
    finally:
        await service.stop()


async def _prepare(postgresql: PostgreSQL) -> None:
    """Let the service's role see what PostgreSQL knows of itself, and give it something to search."""
    owner = await asyncpg.connect(postgresql.superuser_url)
    try:
        await owner.execute("GRANT pg_monitor TO app")
    finally:
        await owner.close()
    connection = await asyncpg.connect(postgresql.url)
    try:
        await library.fill(connection)
    finally:
        await connection.close()


async def _perform(options: Options, say: _Voice, address: str, service: Service) -> None:
    """Play the traffic until the time is up; raise if the service ends before."""
    say("Ctrl-C stops everything. The traffic:" if options.duration is None else "The traffic:")
    traffic = asyncio.create_task(Traffic(address, say).play())
    watching = asyncio.create_task(service.wait())
    try:
        done, _ = await asyncio.wait((traffic, watching), timeout=options.duration, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (traffic, watching):
            task.cancel()
        await asyncio.gather(traffic, watching, return_exceptions=True)


def _settings(postgresql: PostgreSQL, redis: Redis, address: str) -> Mapping[str, object]:
    return {
        "service_name": SERVICE_NAME,
        "resource_attributes": f"service.version={VERSION},deployment.environment.name=demo",
        "database_url": postgresql.url,
        "app_database_url": postgresql.url,
        "redis_url": redis.url,
        "public_url": address,
    }


def _tell(options: Options, say: _Voice, address: str, link: str, postgresql: PostgreSQL, redis: Redis) -> None:
    """Say where everything is: to people, to a program, and to the browser."""
    if options.json:
        urls = {
            "service": address,
            "page": address + PAGE,
            "login": link,
            "metrics": f"{address}/metrics",
            "database": postgresql.url,
            "redis": redis.url,
        }
        print(json.dumps(urls), flush=True)
    say(f"\nOpen {link}   (works once)")
    say(f"For Prometheus: {address}/metrics   The service itself: {address}/docs\n")
    if options.browser and not options.json:
        _open_browser(link)


def _open_browser(link: str) -> None:
    """Open the link where there is a browser with windows; one for the terminal would take ours over."""
    with contextlib.suppress(webbrowser.Error):
        browser = webbrowser.get()
        if getattr(browser, "name", "") not in _IN_THE_TERMINAL:
            # Some browsers are waited for.
            threading.Thread(target=browser.open, args=(link,), name="browser", daemon=True).start()


def _check_passage(folder: Path) -> None:
    """PostgreSQL refuses to run as root; the account it gets then has to reach its data. Raises `FolderNotWritable`."""
    if os.geteuid() != 0:
        return
    for parent in folder.parents:
        if parent.exists() and not parent.stat().st_mode & stat.S_IXOTH:
            reason = f"PostgreSQL does not run as root, and the account it runs as may not pass through {parent}"
            raise FolderNotWritable(folder=folder, reason=reason)


def _folder(options: Options, name: str) -> Path | None:
    return None if options.data is None else options.data.resolve() / name


@contextlib.contextmanager
def _started(say: _Voice, server: PostgreSQL | Redis) -> Iterator[None]:
    with say.doing(f"Starting {server.program}"):
        server.start()
    try:
        yield
    finally:
        server.stop()


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Take SIGTERM for Ctrl-C, and the terminal's end unless nohup has it ignored; return quietly after any of them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what runs in the background
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    with contextlib.suppress(KeyboardInterrupt):
        yield


class _Voice:
    """Says what happens, a line each, with the seconds that each step took."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, line: str) -> None:
        print(line, file=self._stream, flush=True)

    @contextlib.contextmanager
    def doing(self, step: str) -> Iterator[None]:
        print(f"{step} ...", end="", file=self._stream, flush=True)
        started = time.monotonic()
        try:
            yield
        except BaseException:
            self("")
            raise
        self(f" {time.monotonic() - started:.1f} s")
