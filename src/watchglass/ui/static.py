"""The built assets: hashed names, kept in memory once asked for, never changing under one name."""

from __future__ import annotations

import gzip
import json
import mimetypes
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from watchglass.errors import AssetsMissing

FOLDER = Path(__file__).parent / "static"
FOREVER = "public, max-age=31536000, immutable"

_TYPES = {".js": "text/javascript; charset=utf-8", ".woff2": "font/woff2", ".svg": "image/svg+xml"}
_PACKED = (".js", ".css", ".svg", ".txt")


@cache
def manifest() -> dict[str, str]:
    """The hashed name of each asset by its logical name. Raises `AssetsMissing`."""
    try:
        names: dict[str, str] = json.loads((FOLDER / "manifest.json").read_text())
    except FileNotFoundError:
        raise AssetsMissing(folder=FOLDER) from None
    return names


@cache
def _files() -> frozenset[str]:
    return frozenset(path.name for path in FOLDER.iterdir() if path.name != "manifest.json")


@cache
def _content(name: str, packed: bool) -> bytes:
    content = (FOLDER / name).read_bytes()
    return gzip.compress(content, 6, mtime=0) if packed else content


def serve(request: Request, name: str) -> Response:
    """One asset; 404 for any other name."""
    if not FOLDER.is_dir() or name not in _files():
        return PlainTextResponse("There is no such asset.", 404)
    suffix = Path(name).suffix
    packed = suffix in _PACKED and "gzip" in request.headers.get("accept-encoding", "")
    headers = {"cache-control": FOREVER, "x-content-type-options": "nosniff", "vary": "accept-encoding"}
    if packed:
        headers["content-encoding"] = "gzip"
    kind = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(_content(name, packed), headers=headers, media_type=kind)
