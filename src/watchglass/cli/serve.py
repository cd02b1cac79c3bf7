"""`watchglass serve`: the page and the API alone, from the store, beside a service that has crashed or hangs."""

from __future__ import annotations

import argparse
import asyncio
import errno
import importlib.util
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from watchglass import termination
from watchglass.cli.parsing import add_command, port
from watchglass.errors import AddressUnusable, DatabaseNotConfigured, ExtraMissing, PortInUse, WatchglassError
from watchglass.settings import Settings

if TYPE_CHECKING:
    from watchglass.api.context import Context
    from watchglass.cli.parsing import Commands

_EPILOG = (
    "It reads the database of WATCHGLASS_DATABASE_URL, else of DATABASE_URL, and measures nothing. SIGTERM or Ctrl-C "
    "ends it within a second."
)
_UNNAMED = "unknown_service"
_GRACE = 0.5
"""Seconds that answers under way are given when ending."""


def add(commands: Commands) -> None:
    text = "serve the page and the API from the store alone, beside a service that has crashed or hangs"
    parser = add_command(commands, "serve", _run, help=text, epilog=_EPILOG)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=port, default=8001, help="where to listen; 0 for a free port (default 8001)")
    parser.add_argument(
        "--service", metavar="NAME", help="whose figures to show (default: OTEL_SERVICE_NAME; without it, all services)"
    )


def _run(options: argparse.Namespace) -> None:
    if importlib.util.find_spec("uvicorn") is None:
        raise ExtraMissing(feature="watchglass serve", package="uvicorn", extra="server")
    settings = Settings(service_name=options.service) if options.service else Settings()
    if settings.store_dsn is None:
        raise DatabaseNotConfigured
    with _ended_by_signals(), _listening(options.host, options.port) as listener:
        asyncio.run(_serve(settings, settings.store_dsn, listener))


async def _serve(settings: Settings, dsn: str, listener: socket.socket) -> None:
    import uvicorn

    from watchglass.api.app import create_app
    from watchglass.api.context import Context
    from watchglass.store.access import Access
    from watchglass.store.database import Database
    from watchglass.store.reader import Reader
    from watchglass.ui.app import add_pages

    database = Database(dsn, application_name="watchglass serve")
    service = None if settings.service == _UNNAMED else settings.service
    render = _render(settings) if service else None
    context = Context(settings, Reader(database, service=service), Access(database), render, aside=True)
    options: dict[str, Any] = {"lifespan": "off", "log_level": "warning", "access_log": False}
    # uvicorn hands the seconds to asyncio, which takes parts of one as well.
    config = uvicorn.Config(create_app(context, add_pages), timeout_graceful_shutdown=_GRACE, **options)  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    telling = asyncio.create_task(_tell(context, dsn, _address(listener)))
    try:
        await server.serve(sockets=[listener])
    finally:
        telling.cancel()
        with suppress(TimeoutError):
            await asyncio.wait_for(database.close(), _GRACE / 2)


def _render(settings: Settings) -> Callable[[str], tuple[bytes, str]]:
    """`/metrics` of the service's workers that run on this host: their own word, or their last where they hang."""
    from starlette.exceptions import HTTPException

    from watchglass.exporters import prometheus
    from watchglass.exporters.workers.gathering import of_host

    def render(accept: str) -> tuple[bytes, str]:
        totals = of_host(settings)
        if not totals:
            raise HTTPException(404, f"No worker of {settings.service} runs on this host.")
        return prometheus.write(totals, accept, {**settings.resource, "service.name": settings.service})

    return render


async def _tell(context: Context, dsn: str, address: str) -> None:
    """Say where the page is, and how to get in. The server handles signals by now."""
    termination.watch()
    from watchglass.api import paths
    from watchglass.store.connection import address_of

    base = address + context.settings.path_prefix
    print(f"The page of {context.service}, from the store at {address_of(dsn)}: {base}{paths.PAGE}", flush=True)
    try:
        assert context.access is not None
        if await context.access.claim_first_login(f"{context.settings.host_name}: watchglass serve"):
            token = await context.tokens.new()
            print(f"Log in once with {base}{paths.LOGIN}?token={quote(token.text)}", flush=True)
            return
    except WatchglassError as error:
        print(str(error), flush=True)
    print(f"For a login link: watchglass login --url {address}", flush=True)


def _address(listener: socket.socket) -> str:
    host, number = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{number}" if ":" in host else f"http://{host}:{number}"


def _listening(host: str, number: int) -> socket.socket:
    """A socket on the address. Raises `PortInUse` or `AddressUnusable`."""
    try:
        family, *_, address = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family)
    except OSError as error:
        raise AddressUnusable(host=host, reason=error.strerror) from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(port=number) from None
        raise AddressUnusable(host=host, reason=error.strerror) from None
    return listener


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Take SIGTERM for Ctrl-C, and return quietly after either."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        yield
