"""Whether a request that changes something comes from a page of ours.

Source: https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def is_same(headers: Mapping[str, str], public_url: str = "") -> bool:
    """Browsers say it in Sec-Fetch-Site, older ones in Origin, which must name the host that was asked.

    What sends neither is no browser that could have been misled. A page cannot set Host, Origin, Sec-Fetch-Site or,
    across origins, X-Forwarded-Host.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return True
    hosts = {headers.get("host", ""), headers.get("x-forwarded-host", "").split(",")[0].strip()}
    return _names_one(origin, hosts, public_url)


def _names_one(origin: str, hosts: set[str], public_url: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    if parts.scheme not in _PORTS or not parts.netloc:
        return False
    if public_url and origin.lower() == _origin_of(public_url):
        return True
    with_port = parts.netloc.lower() if ":" in parts.netloc else f"{parts.netloc.lower()}:{_PORTS[parts.scheme]}"
    return any(host and host.lower() in (parts.netloc.lower(), with_port) for host in hosts)


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()
