"""A first start prints a one-time login link: one process of the service does, until somebody has logged in."""

from __future__ import annotations

import asyncio
import os
import sys
from urllib.parse import quote

import psutil

from watchglass import guard
from watchglass.api import paths
from watchglass.api.context import Context
from watchglass.errors import DatabaseNotConfigured, WatchglassError

_PATIENCE = 5.0
"""Seconds that a store which does not answer yet is waited for."""

_USUAL_PORT = 8000


async def invite(context: Context) -> None:
    """Print a login link on standard error, if nobody has logged in yet and no other process does."""
    with guard.protected("invitation"):
        if context.authorize is None and await _is_wanted(context):
            token = await context.tokens.new()
            link = f"{address(context)}{context.settings.path_prefix}{paths.LOGIN}?token={quote(token.text)}"
            trouble = f"\nWatchglass: {token.trouble}" if token.trouble else ""
            print(f"Watchglass: log in once with {link}{trouble}", file=sys.stderr, flush=True)


def address(context: Context) -> str:
    """Where the service is reached: as the settings say, else where this process listens."""
    if context.settings.public_url:
        return context.settings.public_url.rstrip("/")
    host, port = next(iter(_listening()), ("127.0.0.1", _USUAL_PORT))
    host = "127.0.0.1" if host in ("0.0.0.0", "::", "") else f"[{host}]" if ":" in host else host
    return f"http://{host}:{port}"


async def _is_wanted(context: Context) -> bool:
    """Whether this process is the one to print it; without a store every process is."""
    for _ in range(int(_PATIENCE / 0.5)):
        await asyncio.sleep(0.5)
        status = context.status() if context.status else None
        if status is None or status.state != "starting":
            break
    try:
        if context.access is None:
            raise DatabaseNotConfigured
        return await context.access.claim_first_login(f"{context.settings.host_name}:{os.getpid()}")
    except WatchglassError:
        return True


def _listening() -> list[tuple[str, int]]:
    try:
        found = psutil.Process().net_connections("tcp")
    except psutil.Error:
        return []
    return [(c.laddr.ip, c.laddr.port) for c in found if c.status == psutil.CONN_LISTEN]
